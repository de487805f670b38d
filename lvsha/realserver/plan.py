"""What to do, and what to take back, so that the server is as wanted and nothing more.

The facts are seen as if nothing had been done yet (`without`); what would have to be done on that server
is the whole of what is wanted, and what was done beyond that goes back. Then the same question once more,
of the server as it will be: what is still missing is to be done.

Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from checks.audit import Facts, Finding, Preparation, Step, examine
from checks.audit.preparation import Address
from checks.audit.steps import (
    AddAddress,
    AddFou,
    AddLink,
    ClampMss,
    LoadModule,
    SetMtu,
    SetSysctl,
    SetUp,
    ordered,
)


@dataclass(frozen=True, slots=True)
class Move:
    """A step that is done, or taken back."""

    step: Step
    back: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from a server as it is to one as it should be."""

    stops: tuple[Finding, ...]
    """Why there is none; a person must act first."""
    back: tuple[Step, ...]
    """What was done earlier and is taken back, in this order."""
    steps: tuple[Step, ...]
    """What is done then, in this order."""
    record: tuple[Step, ...]
    """Everything that will have been done by then."""

    @property
    def moves(self) -> tuple[Move, ...]:
        """All of it in its order: no moment in which the server does not keep still.

        Where another interface is to keep still, or all of them instead of one, it does before the first no
        longer does.
        """
        early = [step for step in self.steps if self._hushes(step)]
        late = [step for step in self.steps if step not in early]
        return (
            *(Move(step) for step in early),
            *(Move(step, back=True) for step in self.back),
            *(Move(step) for step in late),
        )

    def _hushes(self, step: Step) -> bool:
        if not isinstance(step, SetSysctl) or step.setting not in ("arp_ignore", "arp_announce"):
            return False
        made = {other.name for other in (*self.steps, *self.back) if isinstance(other, AddLink)}
        again = {other.name for other in self.back if isinstance(other, SetSysctl)}
        return step.value > step.before and step.name not in again and step.interface not in made


def plan(wanted: Preparation, facts: Facts, done: Iterable[Step]) -> Plan:
    """What to do on a server on which some steps were done already."""
    done = tuple(done)
    untouched = examine(wanted, without(facts, done))
    whole = {_what(step) for finding in untouched for step in finding.mend}
    kept = tuple(step for step in done if _what(step) in whole)
    back = taken_back(facts, [step for step in done if _what(step) not in whole])
    findings = examine(wanted, without(facts, back))
    steps = tuple(ordered(step for finding in findings for step in finding.mend))
    known = {_what(step) for step in kept}
    # A module stays loaded, for others may have come to use it.
    new = (s for s in steps if _what(s) not in known and not isinstance(s, LoadModule))
    record = (*kept, *new)
    return Plan(tuple(f for f in findings if f.stops), back, steps, record)


def taken_back(facts: Facts, done: Iterable[Step]) -> tuple[Step, ...]:
    """Of what was done, what is there to be taken back, in the order to do so.

    What somebody has changed again meanwhile is his.
    """
    done = list(done)
    made = {step.name for step in done if isinstance(step, AddLink)}
    # What is set on a device of ours goes with it.
    bare = [step for step in done if not (isinstance(step, SetUp | SetMtu) and step.name in made)]
    bare = [step for step in bare if not (isinstance(step, SetSysctl) and step.interface in made)]
    return tuple(reversed(ordered(step for step in bare if in_force(step, facts))))


def in_force(step: Step, facts: Facts) -> bool:
    """Whether a step's effect is there and can be taken back."""
    match step:
        case AddAddress(address, device):
            return any(held.device == device and str(held.address.ip) == address for held in facts.addresses)
        case AddLink(name):
            return name in facts.links
        case SetUp(name):
            return name in facts.links and facts.links[name].up
        case SetMtu(name, mtu):
            return name in facts.links and facts.links[name].mtu == mtu
        case SetSysctl(interface, setting, value):
            return interface in facts.ipv4 and getattr(facts.ipv4[interface], setting) == value
        case AddFou(port, version):
            return (port, version, True) in (facts.fou or ())
        case ClampMss():
            return _clamps(step) <= facts.clamps
        case LoadModule():
            return False


def without(facts: Facts, done: Iterable[Step]) -> Facts:
    """The facts as they would be with steps taken back."""
    for step in taken_back(facts, done):
        facts = _without(facts, step)
    return facts


def _without(facts: Facts, step: Step) -> Facts:
    match step:
        case AddAddress(address, device):
            left = (h for h in facts.addresses if (str(h.address.ip), h.device) != (address, device))
            return replace(facts, addresses=tuple(left))
        case AddLink(name):
            return replace(
                facts,
                links={n: link for n, link in facts.links.items() if n != name},
                addresses=tuple(h for h in facts.addresses if h.device != name),
                ipv4={n: conf for n, conf in facts.ipv4.items() if n != name},
                ipv6={n: conf for n, conf in facts.ipv6.items() if n != name},
            )
        case SetUp(name):
            link = facts.links[name]
            return replace(facts, links={**facts.links, name: replace(link, flags=link.flags - {"UP"})})
        case SetMtu(name):
            return replace(facts, links={**facts.links, name: replace(facts.links[name], mtu=step.before)})
        case SetSysctl(interface, setting):
            conf = replace(facts.ipv4[interface], **{setting: step.before})
            return replace(facts, ipv4={**facts.ipv4, interface: conf})
        case AddFou(port, version):
            return replace(facts, fou=(facts.fou or frozenset()) - {(port, version, True)})
        case ClampMss():
            return replace(facts, clamps=facts.clamps - _clamps(step))
        case LoadModule():
            return facts


def _clamps(step: ClampMss) -> frozenset[tuple[Address, int]]:
    return frozenset((ip_address(address), step.mss) for address in step.addresses.split(", "))


def _what(step: Step) -> Step:
    """What a step does, whatever was there before."""
    match step:
        case SetSysctl() | SetMtu():
            return replace(step, before=0)
        case _:
            return step
