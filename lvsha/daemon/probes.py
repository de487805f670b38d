"""How a probe leaves this director: straight to the server, or the clients' way.

For the clients' way its socket bears the mark of a service in IPVS that has this server alone, and asks
the service's own address. It is sent from an address of this director's that stays here, never from the
service's, and for two reasons from one in the network that clients come from if there is one. A server in
mode nat then has to send its answer to its gateway, as it does with a client's. And while this director
holds the service's address it would send from that very address, to a server that has it as well.

In modes dr and tun the answer comes from the service's address. While this director holds that, the kernel
takes such a packet for a forgery, unless `accept_local` is set where it comes in.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import checks
from lvsha.config import Config, Passage
from lvsha.daemon import monitor
from lvsha.desired import Target
from lvsha.errors import KernelError
from lvsha.kernel.addresses import OURS, Addresses, Held
from lvsha.kernel.links import Links
from lvsha.model import Address, Family, Method, ServiceKey

AGAIN = 0.25
"""Seconds after which it is looked again whether a way is there."""
FRESH = 5.0
"""Seconds for which what was seen of this director's addresses is good."""
_TENTATIVE, _DAD_FAILED = 0x40, 0x08
"""IFA_F_* of include/uapi/linux/if_addr.h."""

Look = Callable[[Collection[ServiceKey]], Awaitable[object]]
"""Has the kernel hold these services, if it can."""


class Probes:
    """Carries out probes for the monitor.

    `there` tells whether the kernel holds a service, `look` sees to it; `accept` has an interface take
    packets from this director's own addresses.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        there: Callable[[ServiceKey], bool],
        look: Look,
        accept: Callable[[str], None],
    ) -> None:
        self._config = config
        self._there = there
        self._look = look
        self._accept = accept
        self._seen: tuple[Held, ...] = ()
        self._names: dict[int, str] = {}
        self._seen_at = float("-inf")
        self._seeing = asyncio.Lock()

    async def probe(self, target: Target) -> checks.Outcome:
        """One probe of a target, within the time its check allows.

        It begins when the way is there: that it is not is no fault of the server's.
        """
        way = target.passage
        if way is None:
            return await monitor.probe(target)
        await self._programmed(way)
        check = replace(target.check, check=_marked(target, await self._source(way)))
        return await monitor.probe(replace(target, check=check))

    async def _programmed(self, way: Passage) -> None:
        """Return once the mark leads somewhere.

        Without its own service a mark means nothing, and any server of the service asked would answer.
        """
        if not self._there(way.service):
            with contextlib.suppress(KernelError):
                await self._look([way.service])
        # Now it is there, or the reconciler tells why not and tries again by itself.
        while not self._there(way.service):  # noqa: ASYNC110 - it has no event for one service
            await asyncio.sleep(AGAIN)

    async def _source(self, way: Passage) -> str:
        async with self._seeing:
            if time.monotonic() - self._seen_at > FRESH:
                # What cannot be seen anew is most likely as it was.
                with contextlib.suppress(KernelError):
                    await self._see()
        found = choose(self._seen, way, virtual(self._config()))
        if found is None:
            return ""
        if seems_forged(way) and (name := self._names.get(found.place.index)) is not None:
            self._accept(name)
        return str(found.place.address.ip)

    async def _see(self) -> None:
        addresses, links = Addresses.open(), Links.open()
        try:
            self._seen = tuple(await addresses.observe())
            self._names = {link.index: link.name for link in await links.observe()}
        finally:
            addresses.close()
            links.close()
        self._seen_at = time.monotonic()


def seems_forged(way: Passage) -> bool:
    """Whether answers bear an address that this director may have itself."""
    return way.server.method is not Method.MASQUERADE and way.family is Family.IPV4


def virtual(config: Config) -> set[Address]:
    """Addresses that servers may have as well, or that may be on another director at any time."""
    moving = {address for vrrp in config.vrrp.values() for address in vrrp.held}
    return moving | {s.address for s in config.services.values() if s.address is not None}


def choose(held: Iterable[Held], way: Passage, virtual: Collection[Address]) -> Held | None:
    """The address to probe from: on the clients' side, else on the server's; None: let the kernel choose."""
    own = [one for one in held if _usable(one, way) and one.place.address.ip not in virtual]
    for near in (way.address, way.key.address):
        for one in own:
            if near.version == one.place.address.version and near in one.place.address.network:
                return one
    return None


def _usable(one: Held, way: Passage) -> bool:
    address = one.place.address
    if address.version != way.address.version or one.mark == OURS or address.ip == way.address:
        return False
    unfit = _TENTATIVE | _DAD_FAILED if address.version == 6 else 0
    return not (one.flags & unfit or address.ip.is_loopback or address.ip.is_link_local)


def _marked(target: Target, source: str) -> Any:
    """The check with the mark; a source that the configuration gives stays."""
    check: Any = target.check.check
    assert target.passage is not None  # noqa: S101 - the caller has one
    return replace(check, mark=target.passage.mark, source=check.source or source)
