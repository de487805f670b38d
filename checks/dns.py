"""DNS: a query is answered with the right response code and, if wanted, the right record.

A truncated answer over UDP is asked for again over TCP, as a resolver would (RFC 7766 section 5).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from checks import settings
from checks.base import Outcome, ProbeError, endpoint, quote, trying
from checks.datagram import datagrams, receive
from checks.stream import Stream, connect, via


@dataclass(frozen=True, slots=True)
class Dns:
    """Ask one question."""

    name: str = ""
    """Name to ask for. Required."""
    type: str = "A"
    """Type of record to ask for."""
    rcode: tuple[str, ...] = ("NOERROR",)
    """Response codes that are good, such as NOERROR, NXDOMAIN, REFUSED."""
    answer: str = ""
    """Regular expression that must be found in the data of a record in the answer, written as in a zone
    file: "^192\\\\.0\\\\.2\\\\.1$". Empty: no answer is needed."""
    recursion: bool = True
    """Ask the server to find the answer elsewhere if it must (RD)."""
    tcp: bool = False
    """Ask over TCP at once."""
    source: str = ""
    """Local address to ask from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            ["name: missing"] if not self.name else _problem("name", dns.name.from_text, self.name),
            _problem("type", dns.rdatatype.from_text, self.type),
            [] if self.rcode else ["rcode: no response code would be good"],
            *(_problem("rcode", dns.rcode.from_text, code) for code in self.rcode),
            settings.pattern("answer", self.answer),
            settings.path(self.source, self.mark),
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        flags = dns.flags.RD if self.recursion else 0
        query = dns.message.make_query(self.name, self.type, flags=flags)
        what = f"DNS {endpoint(address, port)}{via(self.source, self.mark)} {self.name} {self.type}"
        if self.tcp:
            return self._judge(await self._ask_by_tcp(query, address, port, what), f"{what} over TCP")
        response = await self._ask_by_udp(query, address, port, what)
        if response.flags & dns.flags.TC:
            what = f"{what} over TCP, truncated over UDP"
            response = await self._ask_by_tcp(query, address, port, what)
        return self._judge(response, what)

    async def _ask_by_udp(
        self, query: dns.message.Message, address: str, port: int, what: str
    ) -> dns.message.Message:
        trying(what)
        with datagrams(address, port, source=self.source, mark=self.mark) as sock:
            sock.send(query.to_wire())
            while True:
                response = _parse(await receive(sock, 65535))
                # An answer to something else may be forged (RFC 5452 section 9.1), and the real one to come.
                if query.is_response(response):
                    return response
                trying(f"{what}: got an answer to another question")

    async def _ask_by_tcp(
        self, query: dns.message.Message, address: str, port: int, what: str
    ) -> dns.message.Message:
        with await connect(address, port, source=self.source, mark=self.mark) as stream:
            trying(f"{what}: connected")
            wire = query.to_wire()
            await stream.send(struct.pack("!H", len(wire)) + wire)
            (length,) = struct.unpack("!H", await _exactly(stream, 2))
            response = _parse(await _exactly(stream, length))
        if not query.is_response(response):
            raise ProbeError("got an answer to another question")
        return response

    def _judge(self, response: dns.message.Message, what: str) -> Outcome:
        rcode = dns.rcode.to_text(response.rcode())
        records = [record.to_text() for records in response.answer for record in records]
        done = f"{what} answered {rcode}, {len(records)} records {quote(', '.join(records))}"
        if rcode not in {code.upper() for code in self.rcode}:
            return Outcome(ok=False, detail=f"{done} (expected {', '.join(self.rcode)})")
        if self.answer and not any(re.search(self.answer, record) for record in records):
            return Outcome(ok=False, detail=f"{done} (expected {self.answer!r})")
        return Outcome(ok=True, detail=done)


def _parse(wire: bytes) -> dns.message.Message:
    try:
        return dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError, struct.error) as error:
        raise ProbeError(f"not DNS ({type(error).__name__}): {quote(wire)}") from error


async def _exactly(stream: Stream, count: int) -> bytes:
    read = b""
    while len(read) < count:
        data = await stream.receive(count - len(read))
        if not data:
            raise ProbeError(f"closed after {len(read)} of {count} bytes")
        read += data
    return read


def _problem(field: str, read: Callable[[str], object], text: str) -> list[str]:
    try:
        read(text)
    except (dns.exception.DNSException, ValueError) as error:
        return [f"{field}: {text!r}: {error}"]
    return []
