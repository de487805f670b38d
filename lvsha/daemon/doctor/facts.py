"""What the doctor saw, as one frozen value, with the questions that several judgements ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from lvsha.config import Config, VrrpConfig
from lvsha.daemon.record import Entry
from lvsha.kernel.addresses import OURS, Held, Interface
from lvsha.kernel.forwarding import Gate
from lvsha.kernel.links import Link
from lvsha.kernel.modules import Presence
from lvsha.kernel.neighbours import Neighbour
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Way
from lvsha.model import Address, Family, Observed
from lvsha.speaker.messages import InstanceStatus, StatusReport

SOMEWHERE: Mapping[Family, Address] = {
    # Stand for a client somewhere in the world. They are for documentation (RFC 5737, RFC 3849), so no real
    # network has a route of its own to them.
    Family.IPV4: IPv4Address("198.51.100.1"),
    Family.IPV6: IPv6Address("2001:db8::1"),
}


LO = "lo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was seen."""

    observed: Observed = Observed()
    trouble: str = ""
    """Why the kernel's IPVS does not answer."""
    refused: tuple[str, ...] = ()
    """Steps that the kernel refused at the latest look."""
    links: Mapping[int, Link] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    """Every address of this machine."""
    ways: Mapping[Address, Way | Refusal] = field(default_factory=dict)
    """To each server, to each service's address, beside each virtual address, and to `SOMEWHERE`."""
    neighbours: Mapping[tuple[Address, int], Neighbour] = field(default_factory=dict)
    """By address and interface."""
    owners: Mapping[Address, frozenset[str]] = field(default_factory=dict)
    """The link-layer addresses of who answers ARP for an address: for those that could be asked for."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Those that could be read."""
    modules: Mapping[str, Presence] = field(default_factory=dict)
    programs: frozenset[str] = frozenset()
    """Programs that run here and write the table too."""
    gates: tuple[Gate, ...] = ()
    """Chains that drop what is forwarded unless a rule accepts it; none where they cannot be listed."""
    report: StatusReport | None = None
    """What the speaker says of itself; None: it does not answer."""
    changed: tuple[Entry, ...] = ()
    """Kernel settings that lvsha has changed and not put back."""
    alarms: tuple[str, ...] = ()
    """What it told of the pair that is not over, a sentence each."""

    def name(self, index: int) -> str:
        """The name of an interface."""
        link = self.links.get(index)
        return link.name if link is not None else f"interface {index}"

    def index(self, name: str) -> int | None:
        """The number of an interface."""
        return next((i for i, link in self.links.items() if link.name == name), None)

    def having(self, address: Address) -> list[Held]:
        """Where this machine has an address."""
        return [one for one in self.held if one.place.address.ip == address]

    def on_lo(self, address: Address) -> bool:
        """Whether this machine has an address as a real server has it."""
        return any(self.name(one.place.index) == LO for one in self.having(address))

    def own(self, near: Address) -> list[Interface]:
        """The machine's own addresses (not lvsha's) in the network of another one."""
        return [
            one.place.address
            for one in self.held
            if one.mark != OURS
            and one.place.address.version == near.version
            and near in one.place.address.network
        ]

    def number(self, name: str) -> int | None:
        """The value of a setting that is a number; None where the kernel has none."""
        value = self.sysctls.get(name, "")
        return int(value) if value.lstrip("-").isdigit() else None

    def instance(self, name: str) -> InstanceStatus | None:
        """How a VRRP instance stands, as the speaker says."""
        instances = self.report.instances if self.report is not None else ()
        return next((one for one in instances if one.name == name), None)

    def entry(self, address: Address, config: Config) -> int | None:
        """The interface on which clients' packets for a service's address come in."""
        held = [one for one in self.having(address) if self.name(one.place.index) != LO]
        if held:
            return held[0].place.index
        holder = holder_of(address, config)
        if holder is not None:
            place = next(v for v in (*holder.addresses, *holder.excluded) if v.address.ip == address)
            return self.index(place.interface)
        way = self.ways.get(address)
        return way.index if isinstance(way, Way) else None


def beside(interface: Interface) -> Address | None:
    """Stands for an address's neighbours in its network; None for one without, or with that of every link."""
    network = interface.network
    if network.num_addresses < 2 or interface.is_link_local:
        return None
    first = network.network_address + (1 if network.num_addresses > 2 else 0)
    return first if first != interface.ip else first + 1


def strangers(config: Config) -> frozenset[Address]:
    """Addresses of nobody in particular, that ways are looked for to: nobody has to be there."""
    moving = (vip for v in config.vrrp.values() for vip in (*v.addresses, *v.excluded))
    found = {beside(vip.address) for vip in moving}
    return frozenset(SOMEWHERE.values()) | {address for address in found if address is not None}


def holder_of(address: Address, config: Config) -> VrrpConfig | None:
    """The VRRP instance that an address moves with."""
    return next((v for v in config.vrrp.values() if address in v.held), None)


def moving_with(holder: VrrpConfig, config: Config) -> list[Interface]:
    """Every address that moves together with those of an instance."""
    group = [
        v for v in config.vrrp.values() if v.name == holder.name or (v.group and v.group == holder.group)
    ]
    return [vip.address for v in group for vip in (*v.addresses, *v.excluded)]


def per_link(interface: str, setting: str) -> str:
    """The name of an IPv4 setting of one interface (or `all`); with slashes, for its name may have dots."""
    return f"net/ipv4/conf/{interface}/{setting}"
