"""What the script printed, as values.

The answer comes from another machine and is taken for hostile: it is bounded before it gets here, every
line must have its form, and names that could not stand in a command are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from types import MappingProxyType

from checks.audit.preparation import INTERFACE, Address
from checks.base import quote

BEGIN = "lvsha-audit 1"
ALL = "all"
"""The entry of /proc/sys/net/*/conf that is none of an interface."""


class AuditError(Exception):
    """What came is not the script's output; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface."""

    name: str
    flags: frozenset[str]
    """IFF_* as `ip` spells them: UP, NOARP, LOOPBACK ..."""
    mtu: int
    kind: str = ""
    """Of a tunnel: ipip, sit, gre, ip6tnl, ip6gre."""
    local: Address | None = None
    """The address it unwraps for; None: any."""
    remote: Address | None = None
    """The address it unwraps from; None: any."""
    checksum: bool = False
    """Unwraps only what has a checksum (gre)."""
    payload: str = ""
    """Which payloads it takes, where it tells: any, ip6ip6, ipip6 ..."""

    @property
    def up(self) -> bool:
        """An operator wants it up."""
        return "UP" in self.flags

    @property
    def silent(self) -> bool:
        """Nobody asks here who has an address, neither by ARP nor by neighbour discovery."""
        return bool(self.flags & {"LOOPBACK", "NOARP"})


@dataclass(frozen=True, slots=True)
class Held:
    """An address of an interface."""

    address: IPv4Interface | IPv6Interface
    device: str
    scope: str
    leased: bool = False
    """It goes by itself when nobody renews it."""


@dataclass(frozen=True, slots=True)
class Conf4:
    """What counts here of net.ipv4.conf.NAME."""

    arp_ignore: int
    arp_announce: int
    rp_filter: int


@dataclass(frozen=True, slots=True)
class Conf6:
    """What counts here of net.ipv6.conf.NAME."""

    disable_ipv6: int
    forwarding: int
    proxy_ndp: int


@dataclass(frozen=True, slots=True)
class Route:
    """A way out by default."""

    via: Address
    device: str


_NONE: Mapping[str, Conf6] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Facts:
    """A server, as far as it matters here."""

    links: Mapping[str, Link]
    addresses: tuple[Held, ...]
    ipv4: Mapping[str, Conf4]
    """By interface, and `all`."""
    ipv6: Mapping[str, Conf6] = field(default_factory=lambda: _NONE)
    routes: tuple[Route, ...] = ()
    fou: frozenset[tuple[int, int, bool]] | None = None
    """Ports that unwrap UDP: port, IP version, whether it is gue. None: the kernel has none, or `ip` cannot
    tell."""
    proxies: frozenset[tuple[Address, str]] = frozenset()
    """Addresses of others that an interface may answer for by neighbour discovery."""
    clamps: frozenset[tuple[Address, int]] = frozenset()
    """Addresses that name an MSS of no more than so much to their peers."""
    nft: bool | None = None
    """Whether nftables can be used. None: the one who looked is not told of rules."""
    kernel: str = ""

    def holders(self, address: Address) -> list[Held]:
        """Where an address is."""
        return [held for held in self.addresses if held.address.ip == address]

    def loud(self) -> list[Link]:
        """The interfaces on which it is asked who has an address."""
        return [link for link in self.links.values() if not link.silent]


def parse(output: bytes) -> Facts:
    """The facts in what the script wrote. Raises AuditError."""
    lines = output.decode("utf-8", "replace").splitlines()
    if BEGIN not in lines:
        raise AuditError(f"no audit came back, but {quote(output, 100)}")
    # A login may greet first.
    lines = lines[lines.index(BEGIN) :]
    if "no-ip" in lines[1:2]:
        raise AuditError("the server has no `ip` command: install iproute2")
    if lines[-1] != "end":
        raise AuditError(f"the audit was cut short after {len(lines)} lines: {quote(lines[-1], 100)}")
    found = _Found()
    for line in lines[1:-1]:
        found.take(line)
    if not {"all", "default"} <= found.ipv4.keys() or "lo" not in found.links:
        raise AuditError("the audit does not tell of `lo`, net.ipv4.conf.all and net.ipv4.conf.default")
    return Facts(
        links=found.links,
        addresses=tuple(found.addresses),
        ipv4=found.ipv4,
        ipv6=found.ipv6,
        routes=tuple(found.routes),
        fou=None if found.fou is None else frozenset(found.fou),
        proxies=frozenset(found.proxies),
        clamps=frozenset(found.clamps),
        nft=found.nft,
        kernel=found.kernel,
    )


class _Found:
    """What has been read so far."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.addresses: list[Held] = []
        self.ipv4: dict[str, Conf4] = {}
        self.ipv6: dict[str, Conf6] = {}
        self.routes: list[Route] = []
        self.fou: set[tuple[int, int, bool]] | None = None
        self.proxies: set[tuple[Address, str]] = set()
        self.clamps: set[tuple[Address, int]] = set()
        self.nft: bool | None = None
        self.kernel = ""
        self._takes: Mapping[str, Callable[[str], None]] = {
            "link": self._link,
            "address": self._address,
            "route": self._route,
            "fou": self._fou,
            "proxy": self._proxy,
            "ipv4": self._ipv4,
            "ipv6": self._ipv6,
            "kernel": self._kernel,
            "clamp": self._clamp,
            "nft": lambda _: self._nft(there=True),
            "no-nft": lambda _: self._nft(there=False),
        }

    def take(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        try:
            self._takes[what](rest)
        except (KeyError, TypeError, ValueError) as error:
            raise AuditError(f"a line of the audit is not as it should be: {quote(line, 200)}") from error

    def _kernel(self, text: str) -> None:
        self.kernel = text[:100]

    def _link(self, text: str) -> None:
        link = _link(text)
        self.links[link.name] = link

    def _address(self, text: str) -> None:
        held = _held(text)
        if held is not None:
            self.addresses.append(held)

    def _route(self, text: str) -> None:
        # Several ways stand in one line, and without a gateway there is nothing to be said of one.
        for via, device in re.findall(r"via (?:inet6 )?(\S+) dev (\S+)", text):
            self.routes.append(Route(ip_interface(via).ip, _name(device)))

    def _fou(self, text: str) -> None:
        if self.fou is None:
            self.fou = set()
        words = text.split()
        if words:
            port = int(words[words.index("port") + 1])
            self.fou.add((port, 6 if "-6" in words else 4, "gue" in words))

    def _proxy(self, text: str) -> None:
        address, dev, device, *_ = text.split()
        if dev != "dev":
            raise ValueError(text)
        self.proxies.add((ip_interface(address).ip, _name(device)))

    def _nft(self, *, there: bool) -> None:
        self.nft = there

    def _clamp(self, text: str) -> None:
        found = _CLAMP.search(text)
        if found is not None:  # else it is a rule of another form, for what else it may be
            addresses = re.split(", ?", found[1] or found[2])
            self.clamps |= {(ip_interface(one).ip, int(found[3])) for one in addresses}

    def _ipv4(self, text: str) -> None:
        name, values = _conf(text)
        self.ipv4[name] = Conf4(*values)

    def _ipv6(self, text: str) -> None:
        name, values = _conf(text)
        self.ipv6[name] = Conf6(*values)


_LINK = re.compile(r"\d+: ([^\s@]+)(?:@\S+)?: <([A-Z0-9_,-]*)> mtu (\d+) ", re.ASCII)
_TYPE = re.compile(r"link/(\S+) (\S+)(?: peer (\S+))?", re.ASCII)
# As `ip` calls them, where 823 is ARPHRD_IP6GRE, whose name BusyBox does not know.
_TUNNELS = {
    "ipip": "ipip",
    "sit": "sit",
    "gre": "gre",
    "tunnel6": "ip6tnl",
    "gre6": "ip6gre",
    "[823]": "ip6gre",
}
_DETAILS = re.compile(r"\\ +(ipip|sit|gre|ip6tnl|ip6gre) (?:(\S+) )?remote (\S+) local (\S+)(.*)", re.ASCII)


def _link(text: str) -> Link:
    r"""`3: eth0@if4: <UP,...> mtu 1500 ...\    link/ether ...\    veth ...`."""
    found = _LINK.match(text)
    kind = _TYPE.search(text)
    if found is None:
        raise ValueError(text)
    name, flags, mtu = _name(found[1]), frozenset(found[2].split(",")), int(found[3])
    if kind is None or kind[1] not in _TUNNELS:
        return Link(name, flags, mtu)
    details = _DETAILS.search(text)
    if details is None:
        return Link(name, flags, mtu, _TUNNELS[kind[1]], _end(kind[2]), _end(kind[3]))
    checksum = {"icsum", "csum"} & set(details[5].split())
    return Link(
        name, flags, mtu, details[1], _end(details[4]), _end(details[3]), bool(checksum), details[2] or ""
    )


def _end(text: str | None) -> Address | None:
    """An end of a tunnel; nothing where it may be any."""
    if text in (None, "any", "0.0.0.0", "::"):
        return None
    # BusyBox writes an IPv6 address as sixteen bytes.
    if text.count(":") == 15:
        packed = IPv6Address(bytes.fromhex(text.replace(":", "")))
        return packed if int(packed) else None
    return ip_interface(text).ip


_CLAMP = re.compile(
    r"(?:saddr|-s) (?:\{ ([0-9a-f:., ]+) \}|([0-9a-f:.]+)(?:/32|/128)?) .*(?:size set|--set-mss) (\d{1,5})$",
    re.ASCII,
)
"""A rule of nft's own, or of iptables'."""
_HELD = re.compile(r"\d+: (\S+) +(inet6?) (\S+)(?: peer \S+)?.*? scope (\S+)([^\\]*)", re.ASCII)


def _held(text: str) -> Held | None:
    """`2: eth0    inet 10.0.1.11/24 brd 10.0.1.255 scope global ...`; other families are passed over."""
    found = _HELD.match(text)
    if found is None:
        if " inet" in text:
            raise ValueError(text)
        return None
    leased = "dynamic" in found[5].split()
    return Held(ip_interface(found[3]), _name(found[1].partition("@")[0]), found[4], leased)


def _conf(text: str) -> tuple[str, list[int]]:
    name, *values = text.split()
    # A kernel without a setting has nothing to be wrong there.
    return _name(name), [0 if value == "-" else int(value) for value in values]


def _name(text: str) -> str:
    if not INTERFACE.fullmatch(text):
        raise ValueError(text)
    return text
