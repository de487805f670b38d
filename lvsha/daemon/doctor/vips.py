"""The addresses of services and of VRRP: held by somebody, by one only, on a lease, and with a way back."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, VipConfig, VrrpConfig
from lvsha.daemon.doctor.facts import LO, SOMEWHERE, Facts, beside, holder_of, per_link
from lvsha.daemon.doctor.finding import error, ok, sysctl, warning
from lvsha.daemon.doctor.serving import served_here
from lvsha.kernel.addresses import OURS, Held
from lvsha.kernel.routes import Way
from lvsha.model import Address, Family
from lvsha.speaker.messages import State

_DEPRECATED = 0x20
"""IFA_F_DEPRECATED of include/uapi/linux/if_addr.h."""


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about who holds the addresses, and whether clients' packets may come in."""
    serving = {s.address for s in config.services.values() if s.address is not None}
    moving = [vip for v in config.vrrp.values() for vip in (*v.addresses, *v.excluded)]
    for address in sorted(serving | {vip.address.ip for vip in moving}, key=lambda a: (a.version, a)):
        yield from _address(address, config, facts)
        if address in serving:
            yield from _strict(address, config, facts)
    for vip in moving:
        yield from _cut_off(vip, facts)


def _address(address: Address, config: Config, facts: Facts) -> Iterator[FindingView]:
    subject, held = f"address {address}", facts.having(address)
    holder = holder_of(address, config)
    if holder is not None:
        served = config.ipvs.directors_serve or address in served_here(config, facts)
        # What a real server has on lo is judged as that.
        moving = [one for one in held if not (served and facts.name(one.place.index) == LO)]
        yield from _moving(subject, holder, moving, facts)
    elif not held:
        where = "no interface here has it" + (", and no VRRP instance holds it" if config.vrrp else "")
        yield error(subject, f"{where}: clients reach nobody", f"ip address add {address} dev INTERFACE")
    elif config.vrrp:
        where = facts.name(held[0].place.index)
        words = f"is on {where}, and no VRRP instance holds it: it stays here when this director fails"
        yield warning(subject, words, "put it under [vrrp.NAME] addresses or excluded")
    else:
        yield _here(subject, held[0], facts)


def _here(subject: str, held: Held, facts: Facts) -> FindingView:
    """The one director has it."""
    where = facts.name(held.place.index)
    if held.place.address.version == 6 and not held.flags & _DEPRECATED:
        # RFC 6724, rule 8: a longer prefix is preferred, and it mostly stands alone, as a /128.
        words = (
            f"is on {where}, and the kernel may choose it as the source of what this director has to say: "
            "servers that have it too do not answer"
        )
        return warning(subject, words, f"ip address change {held.place.address} dev {where} preferred_lft 0")
    return ok(subject, f"is on {where}")


def _moving(subject: str, holder: VrrpConfig, held: list[Held], facts: Facts) -> Iterator[FindingView]:
    status = facts.instance(holder.name)
    foreign = [one for one in held if one.mark != OURS]
    for one in foreign:
        place, where = one.place.address, facts.name(one.place.index)
        words = (
            f"is on {where}, but not put there by lvsha: it stays when vrrp.{holder.name} moves, and two "
            "directors answer for it"
        )
        yield error(subject, words, f"ip address del {place} dev {where}")
    if status is None:
        return  # that the speaker is silent is told once, elsewhere
    if status.state is State.MASTER and not held:
        yield error(
            subject, f"vrrp.{holder.name} is master here, and no interface has it", "lvsha-cli events"
        )
    elif status.state is State.MASTER and not foreign:
        lease = f"on a lease of {holder.lease} s" if holder.lease else "for good"
        yield ok(subject, f"is held by vrrp.{holder.name}, {lease}")
    elif status.state is not State.MASTER and status.master is None:
        words = f"nobody holds it, as far as vrrp.{holder.name} hears: {status.state.value}, {status.why}"
        yield error(subject, words, f"lvsha-cli vrrp {holder.name}")
    elif status.state is not State.MASTER and not held:
        yield ok(subject, f"is held by {status.master}, which advertises vrrp.{holder.name}")


def _cut_off(vip: VipConfig, facts: Facts) -> Iterator[FindingView]:
    """No route comes with a virtual address: that is not to depend on which director is master."""
    neighbour = beside(vip.address)
    way = facts.ways.get(neighbour) if neighbour is not None else None
    there = isinstance(way, Way) and (
        way.local or (not way.gateway and facts.index(vip.interface) == way.index)
    )
    if way is None or there or facts.index(vip.interface) is None:
        return
    network, interface = vip.address.network, vip.interface
    words = f"its network {network} is not reached by {interface} from here: neighbours there get no answer"
    yield warning(f"address {vip.address.ip}", words, f"ip route add {network} dev {interface}")


def _strict(address: Address, config: Config, facts: Facts) -> Iterator[FindingView]:
    """rp_filter = 1 drops a packet that comes in where the way back to its sender does not lead out."""
    entry, back = facts.entry(address, config), facts.ways.get(SOMEWHERE[Family.IPV4])
    if address.version != 4 or entry is None or not isinstance(back, Way):
        return
    name, out = facts.name(entry), facts.name(back.index)
    # net/ipv4/fib_frontend.c, IN_DEV_RPFILTER: the higher of the two counts.
    names = [per_link(name, "rp_filter"), per_link("all", "rp_filter")]
    if max(facts.number(n) or 0 for n in names) != 1 or back.index == entry:
        return
    words = (
        f"clients' packets come in on {name}, and the way back to the world leads out by {out}: "
        "rp_filter drops them"
    )
    yield warning(f"address {address}", words, sysctl((names[0], 2)))
