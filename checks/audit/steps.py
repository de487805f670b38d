"""One change of a server, as the command that makes it and the one that takes it back.

What `lvsha-cli realserver setup` does and what `check` tells a person to do are the same values. Devices
are named after the word `dev` throughout: `ip` takes a bare `d` or `up` for something else.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadModule:
    """Have the kernel load a module. It stays when everything else is taken back: others may use it now."""

    name: str

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        return ("modprobe", self.name)

    @property
    def reverse(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, slots=True)
class AddFou:
    """Unwrap what comes to a UDP port."""

    port: int
    version: int
    """Of IP."""

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        return ("ip", *self._family, "fou", "add", "port", str(self.port), "gue")

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("ip", *self._family, "fou", "del", "port", str(self.port))

    @property
    def _family(self) -> tuple[str, ...]:
        return ("-6",) if self.version == 6 else ()


@dataclass(frozen=True, slots=True)
class AddLink:
    """Make a tunnel device."""

    name: str
    kind: str
    local: str
    mtu: int
    checksum: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        # Any payload for ip6tnl, which else takes IPv6 only; IPv6 only for sit, for IPv4 is ipip's.
        payload = {"ip6tnl": ("mode", "any"), "sit": ("mode", "ip6ip")}.get(self.kind, ())
        checksum = ("icsum",) if self.checksum else ()
        shape = ("type", self.kind, *payload, "local", self.local, *checksum)
        return ("ip", "link", "add", "name", self.name, "mtu", str(self.mtu), *shape)

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("ip", "link", "del", "dev", self.name)


@dataclass(frozen=True, slots=True)
class SetUp:
    """Bring a device up."""

    name: str

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        return ("ip", "link", "set", "dev", self.name, "up")

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("ip", "link", "set", "dev", self.name, "down")


@dataclass(frozen=True, slots=True)
class SetMtu:
    """Give a device another MTU."""

    name: str
    mtu: int
    before: int

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        return ("ip", "link", "set", "dev", self.name, "mtu", str(self.mtu))

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("ip", "link", "set", "dev", self.name, "mtu", str(self.before))


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Give a setting of net.ipv4.conf another value."""

    interface: str
    """`all` for every one."""
    setting: str
    value: int
    before: int

    @property
    def name(self) -> str:
        """As sysctl(8) takes it."""
        return sysctl(4, self.interface, self.setting)

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        return ("sysctl", "-w", f"{self.name}={self.value}")

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("sysctl", "-w", f"{self.name}={self.before}")


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Hold a service's address on a device where nobody asks for it.

    It is one that the kernel does not choose by itself as the source of what the server begins: of scope
    host (IPv4, inet_select_addr() in net/ipv4/devinet.c), or deprecated, which comes after every other
    address of its scope (IPv6, RFC 6724 section 5 rule 3).

    Without `nodad` an address of IPv6 is tentative, and nobody can listen there, until a work queue has run:
    on `lo` and tunnels too, which are not probed for duplicates (addrconf_dad_start() in
    net/ipv6/addrconf.c). What is started right after a set-up would fail on a busy machine.
    """

    address: str
    device: str

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        source = ("preferred_lft", "0", "nodad") if ":" in self.address else ("scope", "host")
        return ("ip", "address", "add", self._whole, "dev", self.device, *source)

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("ip", "address", "del", self._whole, "dev", self.device)

    @property
    def _whole(self) -> str:
        return f"{self.address}/{128 if ':' in self.address else 32}"


@dataclass(frozen=True, slots=True)
class ClampMss:
    """Have the services' addresses name a smaller MSS to their clients, who go by it (RFC 9293, 3.7.1).

    A table of nftables' that nobody else has, made anew at one stroke. One that is smaller already stays as
    it is (nft_exthdr_tcp_set_eval() in net/netfilter/nft_exthdr.c).
    """

    version: int
    """Of IP."""
    addresses: str
    """With commas between them."""
    mss: int

    @property
    def command(self) -> tuple[str, ...]:
        """What to run."""
        table, family = self._table, self._table.split()[0]
        rule = f"{family} saddr {{ {self.addresses} }} tcp flags syn tcp option maxseg size set {self.mss}"
        words = (
            f"add table {table}; delete table {table}; add table {table}; "
            f"add chain {table} mss {{ type filter hook output priority -150; }}; "
            f"add rule {table} mss {rule}"
        )
        return ("nft", words)

    @property
    def reverse(self) -> tuple[str, ...]:
        """What takes it back."""
        return ("nft", "delete", "table", *self._table.split())

    @property
    def _table(self) -> str:
        return f"ip{6 if self.version == 6 else ''} lvsha_realserver"


Step = LoadModule | AddFou | AddLink | ClampMss | SetSysctl | SetMtu | SetUp | AddAddress

ORDER: tuple[type, ...] = (LoadModule, AddFou, AddLink, ClampMss, SetSysctl, SetMtu, SetUp, AddAddress)
"""What may fail comes first, where it harms nothing; an address comes when everything is still about it."""


def ordered(steps: Iterable[Step]) -> list[Step]:
    """The steps, each once, in an order that is safe to stop after any of them.

    The other way round is the order to take them back in.
    """
    return sorted(dict.fromkeys(steps), key=lambda step: ORDER.index(type(step)))


def shown(command: tuple[str, ...]) -> str:
    """A command as one would type it."""
    return shlex.join(command)


def sysctl(version: int, interface: str, setting: str) -> str:
    """The name of an interface's setting, with slashes where the interface has a dot in its name."""
    parts = ("net", f"ipv{version}", "conf", interface, setting)
    return ("/" if "." in interface else ".").join(parts)
