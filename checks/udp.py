"""UDP: a datagram is sent, and what comes back is judged.

Where the service never answers what a check could send, `silence` makes do with less: that no ICMP
error says the port is closed. It is weak evidence, for a dead machine is silent as well.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from checks import settings
from checks.base import Outcome, endpoint, quote, trying
from checks.datagram import datagrams, receive
from checks.stream import via


@dataclass(frozen=True, slots=True)
class Udp:
    """Send one datagram and judge the first that comes back."""

    send: str = ""
    """Text to send, in UTF-8. Empty, with `send_hex` empty too: an empty datagram."""
    send_hex: str = ""
    """Bytes to send, two hexadecimal digits each, spaces allowed; instead of `send`."""
    expect: str = ""
    """Regular expression that must be found in the answer's text. Empty: any answer."""
    expect_hex: str = ""
    """Bytes the answer must begin with, in hexadecimal; instead of `expect`."""
    silence: float = 0.0
    """Seconds without an ICMP error after which no answer is good. 0: there must be an answer."""
    source: str = ""
    """Local address to send from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            settings.hexadecimal("send_hex", self.send_hex),
            settings.hexadecimal("expect_hex", self.expect_hex),
            ["send_hex: give either send or send_hex"] if self.send and self.send_hex else [],
            ["expect_hex: give either expect or expect_hex"] if self.expect and self.expect_hex else [],
            settings.pattern("expect", self.expect),
            settings.within("silence", self.silence, 0, 3600),
            ["silence: what is expected cannot be silence"] if self._wants_answer and self.silence else [],
            settings.path(self.source, self.mark),
        )

    @property
    def _wants_answer(self) -> bool:
        return bool(self.expect or self.expect_hex)

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        payload = bytes.fromhex(self.send_hex) or self.send.encode()
        done = f"UDP {endpoint(address, port)}{via(self.source, self.mark)}, sent {quote(payload)}"
        trying(done)
        with datagrams(address, port, source=self.source, mark=self.mark) as sock:
            sock.send(payload)
            try:
                async with asyncio.timeout(self.silence or None):
                    answer = await receive(sock, 65535)
            except TimeoutError:
                if not self.silence:
                    raise
                return Outcome(ok=True, detail=f"{done}, no ICMP error within {self.silence:g} s")
        return self._judge(answer, f"{done}, got {quote(answer)}")

    def _judge(self, answer: bytes, done: str) -> Outcome:
        if not answer.startswith(bytes.fromhex(self.expect_hex)):
            return Outcome(ok=False, detail=f"{done} (expected {self.expect_hex})")
        if not re.search(self.expect, answer.decode("utf-8", "replace")):
            return Outcome(ok=False, detail=f"{done} (expected {self.expect!r})")
        return Outcome(ok=True, detail=done)
