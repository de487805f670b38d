"""Ask a link who has an address, and hear everybody who says so: the kernel hears the first one only.

The one who asks names itself by an own address. The probe of RFC 5227 would do no harm either, but is not
answered by a machine that has the address on `lo` (arp_process() in net/ipv4/arp.c looks at the interface
alone then), and that is the machine to be found.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from lvsha.wire.announce import Announcer, arp_request
from lvsha.wire.conflict import Address, ArpListener

PATIENCE = 0.5
"""Seconds until everybody has answered. It is asked twice meanwhile, for a question may be lost."""
_BATCH = 64
"""Packets that are read at a stretch."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who has this address?"""

    address: IPv4Address
    interface: str
    source: IPv4Address
    """Who asks, ..."""
    mac: bytes
    """... and where it is."""


async def owners(
    questions: Collection[Question], patience: float = PATIENCE
) -> dict[Address, frozenset[str]]:
    """The link-layer addresses of who answers for each address, of other machines than this one.

    Raises OSError without CAP_NET_RAW; an interface that is gone is passed over.
    """
    found: dict[Address, set[str]] = {question.address: set() for question in questions}
    with contextlib.ExitStack() as stack:
        for interface, wanted in _by_interface(questions):
            with contextlib.suppress(OSError):
                stack.enter_context(_listening(interface, wanted, found))
        announcer = stack.enter_context(contextlib.closing(Announcer()))
        for _ in range(2 if questions else 0):
            for question in questions:
                with contextlib.suppress(OSError):
                    request = arp_request(question.address, question.source, question.mac)
                    announcer.send(question.interface, request)
            await asyncio.sleep(patience / 2)
    return {address: frozenset(macs) for address, macs in found.items()}


def _by_interface(questions: Collection[Question]) -> Iterator[tuple[str, set[Address]]]:
    wanted: dict[str, set[Address]] = defaultdict(set)
    for question in questions:
        wanted[question.interface].add(question.address)
    yield from wanted.items()


@contextlib.contextmanager
def _listening(interface: str, wanted: set[Address], found: dict[Address, set[str]]) -> Iterator[None]:
    listener, loop = ArpListener(interface), asyncio.get_running_loop()
    with contextlib.closing(listener):
        listener.watch(wanted)
        loop.add_reader(listener.fileno(), _reader(listener, found))
        try:
            yield
        finally:
            loop.remove_reader(listener.fileno())


def _reader(listener: ArpListener, found: dict[Address, set[str]]) -> Callable[[], None]:
    def read() -> None:
        for _ in range(_BATCH):
            try:
                claim = listener.receive()
            except OSError:
                return  # there is no more, or the interface is gone
            if claim is not None and claim.address in found:
                found[claim.address].add(claim.mac)

    return read
