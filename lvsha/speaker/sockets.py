"""The advert sockets of all instances: one per interface and family, opened again when that comes back.

A socket that the kernel refuses is asked for again every second. Until it is there its instances
are deaf and mute, which is for them to know: who is deaf hears no master and would become one.

A wake-up takes at most `BATCH` adverts before the event loop, and so every timer that is due,
has its turn: ten thousand mangled packets a second do not hold up an advert.
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from lvsha.kernel.links import Link
from lvsha.wire.advert import AdvertSocket, Datagram

Address = IPv4Address | IPv6Address
Hear = Callable[[Datagram], None]

BATCH = 16
DRAIN = 512
"""After a freeze: more than a socket's buffer holds."""
RETRY = 1.0
"""Seconds until a socket that was refused is asked for again."""
IPV6_MTU = 1280
"""What a link must carry for IPv6 (RFC 8200, section 5)."""

_VRID = 1


class Sockets:
    """All advert sockets, by interface and family."""

    def __init__(self, failed: Callable[[str, OSError], None], changed: Callable[[], None]) -> None:
        """`failed` is called with an interface whose socket could not be opened.

        `changed` is called soon after the trouble of any socket began or ended.
        """
        self._failed = failed
        self._changed = changed
        self._troubles: dict[tuple[str, int], str] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._links: dict[str, Link] = {}
        self._hear: dict[tuple[str, int], dict[int, Hear]] = {}
        self._open: dict[tuple[str, int], AdvertSocket] = {}
        self.dropped: Counter[str] = Counter()
        """What no instance was asked about, by reason."""

    def listen(self, interface: str, family: int, vrid: int, hear: Hear) -> None:
        """Hand the adverts of one virtual router to `hear`."""
        self._hear.setdefault((interface, family), {})[vrid] = hear
        self._refresh(interface, family)

    def forget(self, interface: str, family: int, vrid: int, hear: Hear) -> None:
        """`hear` is not interested in this virtual router any more; somebody else may be, since then."""
        listeners = self._hear.get((interface, family), {})
        if listeners.get(vrid) == hear:
            del listeners[vrid]
        if not listeners:
            self._hear.pop((interface, family), None)
        self._refresh(interface, family)

    def link(self, link: Link) -> None:
        """An interface is as it is now; a new index means that it is another one."""
        known = self._links.get(link.name)
        self._links[link.name] = link
        if known is None or known.index != link.index:
            self._reopen(link.name, (4, 6))
        elif known.mtu < IPV6_MTU <= link.mtu:
            # Below that the kernel took all of IPv6 away (net/ipv6/addrconf.c, addrconf_notify), and with it
            # the group that the socket still believes to be in.
            self._reopen(link.name, (6,))

    def _reopen(self, name: str, families: tuple[int, ...]) -> None:
        for family in families:
            self._close(name, family)
            self._refresh(name, family)

    def gone(self, name: str) -> None:
        """An interface is no more."""
        self._links.pop(name, None)
        for family in (4, 6):
            self._refresh(name, family)

    def send(
        self, interface: str, family: int, payload: bytes, source: Address, destination: Address
    ) -> None:
        """Send one advert. Raises OSError, ENODEV where there is no socket."""
        sock = self._open.get((interface, family))
        if sock is None:
            raise OSError(errno.ENODEV, f"no socket on {interface}")
        sock.send(payload, source, destination)

    def trouble(self, interface: str, family: int) -> str:
        """Why there is no socket although there is an interface; empty where nothing is wrong."""
        return self._troubles.get((interface, family), "")

    def drain(self, interface: str, family: int) -> None:
        """Hear everything that waits, before a timer is believed that fired late."""
        if (interface, family) in self._open:
            self._read(interface, family, DRAIN)

    def overflowed(self) -> int:
        """Adverts that the kernel dropped because they came faster than they were read."""
        return sum(sock.overflowed() for sock in self._open.values())

    def close(self) -> None:
        """Close them all."""
        for interface, family in list(self._open):
            self._close(interface, family)
        if self._retry is not None:
            self._retry.cancel()

    def _refresh(self, interface: str, family: int) -> None:
        """Open, filter or close one socket as its listeners want it."""
        wanted = self._hear.get((interface, family))
        link = self._links.get(interface)
        if not wanted or link is None:
            self._close(interface, family)
            self._trouble(interface, family, "")
            return
        try:
            if (interface, family) not in self._open:
                self._start(link, family)
            self._open[interface, family].listen(wanted)
        except OSError as error:
            self._close(interface, family)
            self._trouble(interface, family, error.strerror or str(error))
            self._failed(interface, error)
        else:
            self._trouble(interface, family, "")

    def _trouble(self, interface: str, family: int, why: str) -> None:
        loop, key = asyncio.get_running_loop(), (interface, family)
        if why != self._troubles.pop(key, ""):
            # Not from within somebody's own turn.
            loop.call_soon(self._changed)
        if why:
            self._troubles[key] = why
            if self._retry is None:
                self._retry = loop.call_later(RETRY, self._again)

    def _again(self) -> None:
        self._retry = None
        for interface, family in list(self._troubles):
            self._refresh(interface, family)

    def _start(self, link: Link, family: int) -> None:
        sock = AdvertSocket(link.name, link.index, family)
        self._open[link.name, family] = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read, link.name, family, BATCH)

    def _close(self, interface: str, family: int) -> None:
        sock = self._open.pop((interface, family), None)
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            self.dropped["overflow"] += sock.overflowed()
            sock.close()

    def _read(self, interface: str, family: int, most: int) -> None:
        for _ in range(most):
            sock = self._open.get((interface, family))
            if sock is None:
                return
            try:
                datagram = sock.receive()
            except BlockingIOError:
                return
            except OSError as error:
                # The interface went down or away: its next change says so, and reading clears the error.
                self.dropped[errno.errorcode.get(error.errno or 0, "error")] += 1
                return
            self._deliver(interface, family, datagram)

    def _deliver(self, interface: str, family: int, datagram: Datagram | None) -> None:
        if datagram is None or len(datagram.payload) <= _VRID:
            self.dropped["truncated"] += 1
            return
        hear = self._hear.get((interface, family), {}).get(datagram.payload[_VRID])
        if hear is None:
            self.dropped["vrid"] += 1
            return
        hear(datagram)
