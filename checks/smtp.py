"""SMTP: the server greets and takes our EHLO; optionally under TLS, by STARTTLS or from the start."""

from __future__ import annotations

import re
from dataclasses import dataclass

from checks import proxy, settings
from checks.base import Outcome, ProbeError, endpoint, quote, trying
from checks.stream import Stream, connect, via
from checks.tls import Tls

_LONGEST_REPLY = 16384  # RFC 5321 section 4.5.3.1.5 allows 512 bytes a line, of which there may be many
_REPLY = re.compile(rb"(?:\d{3}-[^\n]*\n)*(\d{3})(?: [^\n]*|\r?)\n")
_NO_REPLY = re.compile(rb"(?m)^(?!\d{3}[- \r\n])[^\n]*\n")


@dataclass(frozen=True, slots=True)
class Smtp:
    """Greeting, EHLO, QUIT; no mail is sent."""

    helo: str = ""
    """Name given in EHLO. Empty: our address as a literal, such as [192.0.2.1]."""
    greeting: str = ""
    """Regular expression that must be found in the greeting. Empty: any."""
    capabilities: str = ""
    """Regular expression that must be found in the answer to EHLO (the last one, under TLS if there is
    TLS), such as "AUTH". Empty: any."""
    starttls: bool = False
    """Turn to TLS by STARTTLS."""
    tls: Tls | None = None
    """TLS settings: of STARTTLS with `starttls` (None: the defaults); else of TLS from the start (None:
    in clear)."""
    proxy_protocol: int = 0
    """Version of the PROXY header sent first: 1, 2, or 0 for none."""
    source: str = ""
    """Local address to connect from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            settings.line("helo", self.helo),
            ["helo: only ASCII may be in it"] if not self.helo.isascii() else [],
            settings.pattern("greeting", self.greeting),
            settings.pattern("capabilities", self.capabilities),
            settings.within("proxy_protocol", self.proxy_protocol, 0, 2),
            settings.path(self.source, self.mark),
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        what = f"SMTP {endpoint(address, port)}{via(self.source, self.mark)}"
        with await connect(address, port, source=self.source, mark=self.mark) as stream:
            trying(f"{what}: connected")
            await stream.send(proxy.header(self.proxy_protocol, stream.socket))
            if self.tls and not self.starttls:
                await self._secure(stream, self.tls, address, what)
            greeting = await _reply(stream, what, "the greeting", b"220")
            if not re.search(self.greeting, greeting):
                return Outcome(
                    ok=False, detail=f"{what} greeted {quote(greeting)} (expected {self.greeting!r})"
                )
            capabilities = await self._hello(stream, what)
            if self.starttls:
                capabilities = await self._starttls(stream, capabilities, address, what)
            await stream.send(b"QUIT\r\n")
        done = (
            f"{what} greeted {quote(greeting)}, took EHLO{' under TLS' if self.tls or self.starttls else ''}"
        )
        if not re.search(self.capabilities, capabilities):
            wanted = f"(expected {self.capabilities!r})"
            return Outcome(ok=False, detail=f"{done}, offers {quote(capabilities, 200)} {wanted}")
        return Outcome(ok=True, detail=done)

    async def _hello(self, stream: Stream, what: str) -> str:
        own = stream.socket.getsockname()[0].partition("%")[0]
        literal = f"[IPv6:{own}]" if ":" in own else f"[{own}]"  # RFC 5321 section 4.1.3
        await stream.send(f"EHLO {self.helo or literal}\r\n".encode("ascii"))
        return await _reply(stream, what, "the answer to EHLO", b"250")

    async def _starttls(self, stream: Stream, capabilities: str, address: str, what: str) -> str:
        if not re.search(r"(?mi)^250[ -]STARTTLS\r?$", capabilities):
            raise ProbeError(f"no STARTTLS offered: {quote(capabilities, 200)}")
        await stream.send(b"STARTTLS\r\n")
        await _reply(stream, what, "the answer to STARTTLS", b"220")
        await self._secure(stream, self.tls or Tls(), address, what)
        return await self._hello(stream, what)

    async def _secure(self, stream: Stream, tls: Tls, address: str, what: str) -> None:
        trying(f"{what}: TLS handshake")
        await stream.secure(tls.context(), tls.server_name or address.partition("%")[0])
        trying(f"{what}: connected under TLS")


async def _reply(stream: Stream, what: str, which: str, code: bytes) -> str:
    """One reply, of one line or more (RFC 5321 section 4.2.1), which must have the code."""
    read = b""
    while len(read) < _LONGEST_REPLY:
        trying(f"{what}: waiting for {which} after {len(read)} bytes {quote(read)}")
        data = await stream.receive(_LONGEST_REPLY - len(read))
        read += data
        if found := _REPLY.match(read):
            if found[1] != code or found.end() != len(read):
                # More than the reply was not asked for; before STARTTLS it would be an injection.
                break
            return read.decode("utf-8", "replace")
        if not data or _NO_REPLY.search(read):
            break
    trying(what)
    raise ProbeError(f"{which} is {quote(read)} (expected {code.decode()})")
