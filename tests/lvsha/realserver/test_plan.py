"""Tests of `lvsha.realserver.plan`: over any history, interrupted anywhere, all can be taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.audit import Encapsulation, Facts, Preparation, Step, examine
from checks.audit.facts import Conf4, Link
from checks.audit.steps import AddAddress, AddFou, AddLink, LoadModule, SetSysctl, SetUp
from lvsha.realserver.plan import Plan, plan, taken_back, without
from tests.lab.realserver import ETHERNET, after, device, server, undone

FOUR, SIX, OTHER = "192.0.2.100", "2001:db8:1::100", "192.0.2.101"
DR = Preparation("dr", (FOUR, SIX))
TUN = Preparation("tun", (FOUR, SIX), local="10.0.1.11")
GUE = replace(TUN, tunnel=Encapsulation("gue", 6080))


def done(facts: Facts, way: Plan) -> Facts:
    """The server after a plan."""
    for move in way.moves:
        facts = undone(facts, move.step) if move.back else after(facts, move.step)
    return facts


def test_direct_routing() -> None:
    """Settings first, then addresses; nothing of it twice."""
    way = plan(DR, server(), ())
    assert (
        way.steps
        == way.record
        == (
            SetSysctl("all", "arp_ignore", 1, 0),
            SetSysctl("all", "arp_announce", 2, 0),
            AddAddress(FOUR, "lo"),
            AddAddress(SIX, "lo"),
        )
    )
    again = plan(DR, done(server(), way), way.record)
    assert (again.steps, again.back, again.record) == ((), (), way.record)


def test_what_was_there_before_is_not_ours() -> None:
    """A right value and an address that somebody else had set are not on record."""
    facts = server(conf={"all": Conf4(1, 2, 0)}, addresses=((f"{FOUR}/32", "lo"),))
    assert plan(DR, facts, ()).record == (AddAddress(SIX, "lo"),)


def test_another_set_of_addresses() -> None:
    """The second set-up says the whole: an address that it does not name goes."""
    first = plan(DR, server(), ())
    second = plan(Preparation("dr", (FOUR, OTHER)), done(server(), first), first.record)
    assert second.back == (AddAddress(SIX, "lo"),)
    assert second.steps == (AddAddress(OTHER, "lo"),)


def test_from_one_mode_to_another() -> None:
    """From direct routing to gue: the addresses move to the device, what both need stays."""
    first = plan(DR, server(), ())
    second = plan(GUE, done(server(), first), first.record)
    assert second.back == (AddAddress(SIX, "lo"), AddAddress(FOUR, "lo"))
    assert [type(step) for step in second.steps] == [
        LoadModule,
        AddFou,
        AddLink,
        AddLink,
        SetUp,
        SetUp,
        AddAddress,
        AddAddress,
    ]
    # A module stays when all else goes, so it is not on record.
    assert LoadModule("fou") not in second.record


@pytest.mark.parametrize(("first", "second"), [((), ("eth0",)), (("eth0",), ())])
def test_it_keeps_still_all_the_time(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """From all interfaces to one and the other way round: that one keeps still after every step."""
    before, now = replace(DR, interfaces=first), replace(DR, interfaces=second)
    way = plan(before, server(), ())
    facts = done(server(), way)
    way = plan(now, facts, way.record)
    assert len(way.moves) == 4
    for move in way.moves:
        facts = undone(facts, move.step) if move.back else after(facts, move.step)
        every, own = facts.ipv4["all"], facts.ipv4["eth0"]
        assert max(every.arp_ignore, own.arp_ignore) == 1
        assert max(every.arp_announce, own.arp_announce) == 2


def test_another_end_of_the_tunnels() -> None:
    """A device of ours for an address that is no longer meant is replaced."""
    facts = server(addresses=(("10.0.1.12/24", "eth0"),))
    first = plan(TUN, facts, ())
    second = plan(replace(TUN, local="10.0.1.12"), done(facts, first), first.record)
    assert not second.stops
    assert AddLink("lvsha-ipip", "ipip", "10.0.1.11", 1480) in second.back
    assert AddLink("lvsha-ipip", "ipip", "10.0.1.12", 1480) in second.steps


def test_after_a_reboot() -> None:
    """Nothing is there but the record, whose values from before stay: they are the true ones."""
    first = plan(DR, server(conf={"all": Conf4(0, 1, 0)}), ())
    # The file in sysctl.d has been applied; nobody has set anything else up yet.
    booted = server(conf={"all": Conf4(1, 2, 0)})
    second = plan(DR, booted, first.record)
    assert second.record == first.record
    assert second.steps == (AddAddress(FOUR, "lo"), AddAddress(SIX, "lo"))


def test_what_somebody_changed_since_is_theirs() -> None:
    """A value that is neither ours nor wrong is not put back."""
    first = plan(DR, server(), ())
    facts = after(done(server(), first), SetSysctl("all", "arp_ignore", 2, 1))
    back = taken_back(facts, first.record)
    assert SetSysctl("all", "arp_announce", 2, 0) in back
    assert SetSysctl("all", "arp_ignore", 1, 0) not in back


def test_the_first_value_counts() -> None:
    """What somebody set wrong between two set-ups is not what undoing goes back to."""
    first = plan(DR, server(), ())
    facts = after(done(server(), first), SetSysctl("all", "arp_ignore", 3, 1))
    second = plan(DR, facts, first.record)
    assert second.steps == (SetSysctl("all", "arp_ignore", 1, 3),)
    assert second.record == first.record


def test_back_in_the_other_order() -> None:
    """Addresses go while everything is still about them; what is set on a device of ours goes with it."""
    way = plan(GUE, server(conf={"default": Conf4(0, 0, 1)}), ())
    facts = done(server(conf={"default": Conf4(0, 0, 1)}), way)
    assert [type(step).__name__ for step in taken_back(facts, way.record)] == [
        "AddAddress",
        "AddAddress",
        "SetSysctl",
        "SetSysctl",
        "AddLink",
        "AddLink",
        "AddFou",
    ]


def test_a_stop_is_told() -> None:
    """Where a person must act first, the plan says so."""
    facts = server(addresses=((f"{FOUR}/24", "eth0"),))
    (finding,) = plan(DR, facts, ()).stops
    assert finding.setting == f"address {FOUR}"


VIPS = st.lists(st.sampled_from([FOUR, SIX, OTHER]), min_size=1, max_size=3, unique=True).map(tuple)
ENDS = st.sampled_from(["10.0.1.11", "2001:db8:2::11"])
TUNNELS = st.sampled_from(
    [
        Encapsulation(),
        Encapsulation("gue", 6080),
        Encapsulation("gue", 6081, "remote"),
        Encapsulation("gre"),
        Encapsulation("gre", checksum="checksum"),
    ]
)
INTERFACES = st.sampled_from([(), ("eth0",), ("eth0", "eth1")])
PREPARATIONS = st.one_of(
    st.builds(Preparation, st.just("dr"), VIPS, interfaces=INTERFACES),
    st.builds(Preparation, st.just("tun"), VIPS, TUNNELS, local=ENDS, interfaces=INTERFACES),
    st.builds(Preparation, st.just("tun"), VIPS, local=ENDS, device=st.sampled_from(["tunl0", "mine"])),
)
CONF = st.builds(Conf4, st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))
SERVERS = st.builds(
    lambda conf, up, address, nft: server(
        Link("eth1", ETHERNET, 1400),
        device("tunl0", "ipip", up=up),
        device("mine", "ip6tnl", up=up, payload="any", mtu=1500),
        conf=conf,
        addresses=address,
        nft=nft,
    ),
    st.dictionaries(st.sampled_from(["all", "default", "eth0", "eth1", "tunl0"]), CONF),
    st.booleans(),
    st.sampled_from([(), ((f"{OTHER}/32", "lo"),), ((f"{FOUR}/32", "eth1"),)]),
    st.sampled_from([True, None]),
)


def run(
    facts: Facts, record: tuple[Step, ...], wanted: Preparation, cut: int
) -> tuple[Facts, tuple[Step, ...]]:
    """A set-up that dies after `cut` steps; server and record after it."""
    way = plan(wanted, facts, record)
    if way.stops:
        return facts, record
    for move in way.moves[:cut]:
        facts = undone(facts, move.step) if move.back else after(facts, move.step)
    whole = cut >= len(way.moves)
    return facts, way.record if whole else tuple(dict.fromkeys((*record, *way.record)))


@given(SERVERS, st.lists(st.tuples(PREPARATIONS, st.integers(0, 20)), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_history(facts: Facts, history: list[tuple[Preparation, int]]) -> None:
    """Whatever was set up, wherever it broke off: the next one ends ready, undoing ends at the start."""
    began = replace(facts, fou=frozenset())
    record: tuple[Step, ...] = ()
    for wanted, cut in history:
        facts, record = run(facts, record, wanted, cut)
    wanted = history[-1][0]
    way = plan(wanted, facts, record)
    if not way.stops:
        ready, record = run(facts, record, wanted, 100)
        assert all(finding.ok for finding in examine(wanted, ready))
        assert plan(wanted, ready, record) == Plan((), (), (), record)
        facts = ready
    facts = undone(facts, *taken_back(facts, record))
    assert same(facts, began)


@given(SERVERS, PREPARATIONS)
def test_without_is_what_taking_back_does(facts: Facts, wanted: Preparation) -> None:
    """The facts without the steps are those of the server on which they were taken back."""
    way = plan(wanted, facts, ())
    if not way.stops:
        there = done(facts, way)
        assert same(without(there, way.record), undone(there, *taken_back(there, way.record)))


def same(one: Facts, other: Facts) -> bool:
    """Equal but for the order of addresses, and for a module that was loaded."""
    held = [sorted(map(str, facts.addresses)) for facts in (one, other)]
    plain = [replace(facts, addresses=(), fou=facts.fou or frozenset()) for facts in (one, other)]
    return held[0] == held[1] and plain[0] == plain[1]
