"""TCP: the port accepts a connection; optionally it says, or answers, what it should."""

from __future__ import annotations

import time
from dataclasses import dataclass

from checks import proxy, settings
from checks.base import Outcome, endpoint, quote, trying
from checks.stream import Stream, connect, expect, via
from checks.tls import Tls


@dataclass(frozen=True, slots=True)
class Tcp:
    """Connect, optionally send a text and expect one."""

    send: str = ""
    """Text to send once connected, in UTF-8. Empty: nothing."""
    expect: str = ""
    """Regular expression that must be found in what the server sends. Empty: a connection is enough."""
    max_read: int = 4096
    """Bytes read at most while looking for `expect`; bounds memory and the expression's work."""
    tls: Tls | None = None
    """Settings of TLS over the connection. None: in clear."""
    proxy_protocol: int = 0
    """Version of the PROXY header sent first: 1, 2, or 0 for none."""
    source: str = ""
    """Local address to connect from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            settings.pattern("expect", self.expect),
            settings.within("max_read", self.max_read, 1, 1 << 20),
            settings.within("proxy_protocol", self.proxy_protocol, 0, 2),
            settings.path(self.source, self.mark),
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        began = time.monotonic()
        with await connect(address, port, source=self.source, mark=self.mark) as stream:
            where = f"{endpoint(address, port)}{via(self.source, self.mark)}"
            done = f"TCP connect to {where} took {(time.monotonic() - began) * 1000:.1f} ms"
            trying(done)
            await self._open(stream, address, done)
            return await self._talk(stream, done)

    async def _open(self, stream: Stream, address: str, done: str) -> None:
        await stream.send(proxy.header(self.proxy_protocol, stream.socket))
        if self.tls:
            trying(f"{done}, TLS handshake")
            await stream.secure(self.tls.context(), self.tls.server_name or address)

    async def _talk(self, stream: Stream, done: str) -> Outcome:
        if self.send:
            await stream.send(self.send.encode())
            done += f", sent {quote(self.send)}"
        if not self.expect:
            return Outcome(ok=True, detail=done)
        found, read = await expect(stream, self.expect, self.max_read, done)
        if found:
            return Outcome(ok=True, detail=f"{done}, got {quote(read)}")
        end = f"{len(read)} bytes" if len(read) >= self.max_read else "the end of the stream"
        return Outcome(ok=False, detail=f"{done}, no {self.expect!r} before {end}: {quote(read)}")
