"""Who held which address when: every coming and going on several nodes, as their kernels tell it.

    with timeline(net.directors) as line:
        ...
    line.nobody("192.0.2.100", since, until)     # seconds in which no node had it
    line.story("192.0.2.100", since, until)      # "lb1, 0.37 s nobody, lb2"

A thread reads the kernels' notifications and stamps them, so that a busy test does not make them late. It
is written against netlink itself (rtnetlink(7)), for it is a witness: nothing of the product is in it. That a
lease is renewed is no coming.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from tests.lab.network import Node

# include/uapi/linux/rtnetlink.h, if_addr.h, netlink.h
_GROUPS = 0x10 | 0x100
"""RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR"""
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_DUMP = 0x301
"""NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH"""
_HEADER = struct.Struct("=IHHII")
_IFADDR = struct.Struct("=BBBBi")
_ATTRIBUTE = struct.Struct("=HH")
_ADDRESS, _LOCAL = 1, 2


@dataclass(frozen=True, slots=True)
class Change:
    """An address came to a node or went."""

    at: float
    """On the monotonic clock."""
    node: str
    address: str
    came: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the same nodes held an address."""

    holders: frozenset[str]
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


class Timeline:
    """The changes so far."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def holders(self, address: str, at: float) -> frozenset[str]:
        """The nodes that had an address at a moment."""
        held: dict[str, bool] = {}
        for change in list(self.changes):
            if change.address == address and change.at <= at:
                held[change.node] = change.came
        return frozenset(node for node, has in held.items() if has)

    def spans(self, address: str, since: float, until: float) -> list[Span]:
        """What happened to an address, without gaps."""
        moments = [c.at for c in list(self.changes) if c.address == address and since < c.at < until]
        spans: list[Span] = []
        for begin, end in zip([since, *moments], [*moments, until], strict=True):
            holders = self.holders(address, begin)
            if spans and spans[-1].holders == holders:
                spans[-1] = Span(holders, spans[-1].begin, end)
            else:
                spans.append(Span(holders, begin, end))
        return spans

    def nobody(self, address: str, since: float, until: float) -> float:
        """Seconds in which no node had the address."""
        return sum(s.seconds for s in self.spans(address, since, until) if not s.holders)

    def several(self, address: str, since: float, until: float) -> float:
        """Seconds in which more than one node had the address."""
        return sum(s.seconds for s in self.spans(address, since, until) if len(s.holders) > 1)

    def owners(self, address: str, since: float, until: float) -> list[str]:
        """The nodes that had the address alone, one after another."""
        alone = [next(iter(s.holders)) for s in self.spans(address, since, until) if len(s.holders) == 1]
        return [name for i, name in enumerate(alone) if i == 0 or alone[i - 1] != name]

    def story(self, address: str, since: float, until: float) -> str:
        """The spans in words; only those of nobody and of several tell their length."""
        words = []
        for span in self.spans(address, since, until):
            who = "+".join(sorted(span.holders)) or "nobody"
            words.append(who if len(span.holders) == 1 else f"{who} {span.seconds * 1000:.0f} ms")
        return " → ".join(words)

    def divided(self, addresses: Iterable[str], since: float, until: float) -> float:
        """Seconds in which a node had some of the addresses and not the others."""
        wanted = list(addresses)
        moments = sorted(c.at for c in list(self.changes) if c.address in wanted and since < c.at < until)
        total = 0.0
        for begin, end in zip([since, *moments], [*moments, until], strict=True):
            total += (end - begin) * (len({self.holders(a, begin) for a in wanted}) > 1)
        return total


class _Reader(threading.Thread):
    """Reads until `stop`."""

    def __init__(self, nodes: Iterable[Node], line: Timeline) -> None:
        super().__init__(name="timeline", daemon=True)
        self._line = line
        self._selector = selectors.DefaultSelector()
        self._ending, self._end = os.pipe()
        self._selector.register(self._ending, selectors.EVENT_READ, None)
        for node in nodes:
            sock = _listen(node)
            self._selector.register(sock, selectors.EVENT_READ, (sock, node.name))

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                sock, name = key.data
                data = sock.recv(1 << 16)
                self._line.changes += _changes(data, name, time.monotonic())

    def stop(self) -> None:
        os.write(self._end, b"x")
        self.join()
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                key.data[0].close()
        self._selector.close()
        os.close(self._ending)
        os.close(self._end)


@contextmanager
def timeline(nodes: Iterable[Node]) -> Iterator[Timeline]:
    """Write down what happens while the block runs, beginning with what is there."""
    line = Timeline()
    reader = _Reader(nodes, line)
    reader.start()
    try:
        yield line
    finally:
        reader.stop()


def _listen(node: Node) -> socket.socket:
    """Notifications, and behind them all addresses that are there now."""
    with node.entered():
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((0, _GROUPS))
    message = _HEADER.pack(_HEADER.size + 8, _GETADDR, _DUMP, 1, 0) + bytes(8)
    sock.send(message)
    return sock


def _changes(data: bytes, node: str, now: float) -> Iterator[Change]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if kind in (_NEWADDR, _DELADDR):
            yield Change(now, node, _address(data[_HEADER.size : length]), kind == _NEWADDR)
        data = data[max(_HEADER.size, (length + 3) & ~3) :]


def _address(body: bytes) -> str:
    """IFA_LOCAL where there is one: on IFA_ADDRESS a point-to-point link has its other end."""
    attributes: dict[int, bytes] = {}
    rest = body[_IFADDR.size :]
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        attributes[kind] = rest[_ATTRIBUTE.size : length]
        rest = rest[max(_ATTRIBUTE.size, (length + 3) & ~3) :]
    return str(ip_address(attributes.get(_LOCAL) or attributes[_ADDRESS]))
