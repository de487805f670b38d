"""Tests of lvsha.plan: any plan leads there, may be cut anywhere, and never dips on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lvsha.model import (
    GONE,
    AddressKey,
    Desired,
    DesiredService,
    Family,
    FwmarkKey,
    Method,
    Observed,
    Owned,
    Protocol,
    Server,
    ServerKey,
    Service,
    ServiceFlag,
    ServiceKey,
    SourceNat,
    SourceNatState,
    SyncDaemon,
    SyncKey,
    SyncRole,
    Timeouts,
    Unaccepted,
    UnacceptedState,
    source_nat,
)
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    SetAcceptance,
    SetServer,
    SetSourceNat,
    StartSync,
    StopSync,
    plan,
)
from tests.lab.fake_ipvs import FakeIpvs

VIP = ip_address("192.0.2.1")
WEB = AddressKey(Protocol.TCP, VIP, 80)
RS1 = ServerKey(ip_address("10.0.0.1"), 80)
RS2 = ServerKey(ip_address("10.0.0.2"), 80)
RR = Service("rr")


def nat(weight: int) -> Server:
    """A NAT server of some weight."""
    return Server(Method.MASQUERADE, weight)


keys: st.SearchStrategy[ServiceKey] = st.one_of(
    st.builds(AddressKey, st.sampled_from(Protocol), st.just(VIP), st.integers(1, 3)),
    st.builds(FwmarkKey, st.sampled_from(Family), st.integers(1, 2)),
)
services = st.builds(
    Service,
    st.sampled_from(["rr", "wlc", "sh"]),
    st.sampled_from([ServiceFlag.NONE, ServiceFlag.SCHEDULER_1, ServiceFlag.PERSISTENT]),
    st.sampled_from([0, 300]),
)
servers = st.builds(Server, st.sampled_from(Method), st.integers(0, 3), st.integers(0, 1))
server_keys = st.builds(
    ServerKey, st.sampled_from([ip_address(f"10.0.0.{n}") for n in (1, 2, 3)]), st.just(80)
)
wanted_services = st.builds(DesiredService, services, st.dictionaries(server_keys, servers, max_size=3))
sync_daemons = st.builds(
    SyncDaemon, st.sampled_from(SyncRole), st.sampled_from(["eth0", "eth1"]), st.integers(0, 1)
)


pools = st.lists(st.sampled_from([ip_address(f"10.0.1.{n}") for n in (1, 2, 3)]), min_size=1, max_size=2)


unaccepted = st.builds(
    Unaccepted,
    st.sampled_from([ip_address("192.0.2.2"), ip_address("fe80::1")]),
    st.sampled_from(["", "eth0"]),
)


def by_role(daemons: list[SyncDaemon]) -> frozenset[SyncDaemon]:
    """At most one daemon of each role."""
    return frozenset({d.role: d for d in daemons}.values())


def entries_of(services: dict[ServiceKey, DesiredService]) -> st.SearchStrategy[SourceNat]:
    """Source NAT for some servers of one of the services."""
    filled = [(key, sorted(s.servers, key=str)) for key, s in services.items() if s.servers]
    return st.sampled_from(filled).flatmap(
        lambda one: st.builds(
            lambda pool, servers, strip: source_nat(one[0], pool, servers, strip_timestamps=strip),
            pools,
            st.lists(st.sampled_from(one[1]), min_size=1),
            st.booleans(),
        )
    )


@st.composite
def wishes(draw: st.DrawFn) -> Desired:
    """A wish that owns everything it may ever have added."""
    services = draw(st.dictionaries(keys, wanted_services, max_size=4))
    return Desired(
        services=services,
        source_nat=frozenset(draw(st.lists(entries_of(services), max_size=2, unique_by=lambda e: e.service)))
        if any(s.servers for s in services.values())
        else frozenset(),
        unaccepted=frozenset(draw(st.lists(unaccepted, max_size=2))),
        timeouts=draw(st.builds(Timeouts, st.sampled_from([0, 600]), st.just(0), st.just(0))),
        sync=draw(st.none() | st.lists(sync_daemons, max_size=2).map(by_role)),
        sweep=draw(st.booleans()),
    )


def reach(table: FakeIpvs, wish: Desired) -> None:
    """Carry out a whole plan; every step must be accepted."""
    for step in plan(wish, table.table()):
        failure = table.carry_out(step)
        assert failure is None, failure


def nat_of(entries: Iterable[SourceNat]) -> set[tuple[ServiceKey, ServerKey]]:
    """The servers that have source NAT, each with its service."""
    return {(entry.service, server) for entry in entries for server in entry.servers}


def holds(table: FakeIpvs, wish: Desired) -> bool:
    """Whether everything that is wished for is there, and nothing of it is more."""
    there = table.table().services
    beside = (SourceNatState(wish.source_nat or frozenset()), UnacceptedState(wish.unaccepted or frozenset()))
    return (table.source_nat, table.unaccepted) == beside and all(
        key in there
        and there[key].service == want.service
        and {k: s.server for k, s in there[key].servers.items()} == dict(want.servers)
        for key, want in wish.services.items()
    )


@given(wishes(), wishes())
def test_a_plan_leads_from_anything_to_what_is_desired(first: Desired, second: Desired) -> None:
    """Whatever is in the table, one plan makes it what is wanted, and then there is nothing left to do."""
    table = FakeIpvs()
    reach(table, first)
    reach(table, second)
    assert holds(table, second)
    assert plan(second, table.table()) == []
    if second.sweep:
        assert table.services.keys() == second.services.keys()
    else:
        assert first.services.keys() <= table.services.keys() | second.services.keys()


@given(wishes(), wishes(), st.data())
def test_a_plan_may_be_cut_after_any_step(first: Desired, second: Desired, data: st.DataObject) -> None:
    """After any prefix the rest of the plan comes out again, and it ends at the same table."""
    whole, cut = FakeIpvs(), FakeIpvs()
    reach(whole, first)
    reach(cut, first)
    reach(whole, second)
    steps = plan(second, cut.table())
    end = data.draw(st.integers(0, len(steps)))
    for step in steps[:end]:
        assert cut.carry_out(step) is None
    assert plan(second, cut.table()) == steps[end:]
    reach(cut, second)
    assert cut.table() == whole.table()


@given(wishes(), wishes(), st.sampled_from(["", "a rule was added"]))
def test_no_server_is_without_its_source_nat(first: Desired, second: Desired, altered: str) -> None:
    """While a plan is carried out every server that has source NAT, before or after, has it."""
    table = FakeIpvs()
    reach(table, first)
    table.source_nat = replace(table.source_nat, altered=altered)
    before, after = nat_of(first.source_nat or ()), nat_of(second.source_nat or ())
    for step in plan(second, table.table()):
        assert table.carry_out(step) is None
        there = {(service, server) for service, held in table.servers.items() for server in held}
        if isinstance(step, AddServer | SetServer | DeleteServer | DeleteService):
            covered = nat_of(table.source_nat.entries)
            assert there & (before | after) <= covered
    assert table.source_nat == SourceNatState(second.source_nat or frozenset())


@given(wishes(), wishes())
def test_a_wish_between_two_others_leaves_no_trace(first: Desired, second: Desired) -> None:
    """A plan that was cut by a newer wish does no harm: the newer wish is reached all the same."""
    table = FakeIpvs()
    reach(table, first)
    for step in plan(second, table.table())[:2]:
        table.carry_out(step)
    reach(table, first)
    assert holds(table, first)


def test_services_come_before_servers_and_removals_last() -> None:
    """The order of a plan keeps traffic flowing at each of its steps."""
    table = FakeIpvs()
    other = AddressKey(Protocol.TCP, VIP, 443)
    reach(table, Desired({other: DesiredService(RR, {RS1: nat(1)})}))
    wish = Desired({WEB: DesiredService(RR, {RS1: nat(1)})}, owned=Owned(frozenset({other})))
    steps = plan(wish, table.table())
    assert [type(s) for s in steps] == [AddService, AddServer, DeleteService]


def test_a_weight_rises_before_another_falls() -> None:
    """Swapping the server in service never leaves the service without one."""
    table = FakeIpvs()
    reach(table, Desired({WEB: DesiredService(RR, {RS1: nat(1), RS2: nat(0)})}))
    steps = plan(Desired({WEB: DesiredService(RR, {RS1: nat(0), RS2: nat(1)})}), table.table())
    assert steps == [SetServer(WEB, RS2, nat(1)), SetServer(WEB, RS1, nat(0))]


def test_a_new_server_comes_before_the_old_one_goes() -> None:
    """Replacing a server adds the new one first."""
    table = FakeIpvs()
    reach(table, Desired({WEB: DesiredService(RR, {RS1: nat(1)})}))
    steps = plan(Desired({WEB: DesiredService(RR, {RS2: nat(1)})}), table.table())
    assert steps == [AddServer(WEB, RS2, nat(1)), DeleteServer(WEB, RS1)]


def test_a_service_of_somebody_else_is_left_alone() -> None:
    """What is neither wanted nor owned is not touched; owned, or with leave to sweep, it is removed."""
    table = FakeIpvs()
    reach(table, Desired({WEB: DesiredService(RR)}))
    assert plan(Desired(), table.table()) == []
    assert plan(Desired(owned=Owned(frozenset({WEB}))), table.table()) == [DeleteService(WEB)]
    assert plan(Desired(sweep=True), table.table()) == [DeleteService(WEB)]


def test_a_sync_daemon_with_other_settings_is_stopped_first() -> None:
    """The kernel refuses a second start of a role, so the old daemon is stopped before."""
    old = SyncDaemon(SyncRole.MASTER, "eth0", 1)
    new = SyncDaemon(SyncRole.MASTER, "eth1", 1)
    steps = plan(Desired(sync=frozenset({new})), Observed(sync=frozenset({old})))
    assert steps == [StopSync(old), StartSync(new)]


def test_a_sync_daemon_that_nobody_wants_is_stopped_where_it_is_owned() -> None:
    """As it was started: on another interface, for another id or in another role it is somebody else's."""
    running = SyncDaemon(SyncRole.MASTER, "eth0", 1, 1460, 8848, 1)
    others = (
        replace(running, interface="eth1"),
        replace(running, sync_id=2),
        replace(running, role=SyncRole.BACKUP),
    )
    wish = Desired(owned=Owned(sync=frozenset({SyncKey(SyncRole.MASTER, "eth0", 1)})))
    assert plan(wish, Observed(sync=frozenset({running}))) == [StopSync(running)]
    for other in others:
        assert plan(wish, Observed(sync=frozenset({other}))) == []
    assert plan(Desired(), Observed(sync=frozenset({running}))) == []


def test_an_owned_sync_daemon_is_known_on_an_interface_that_is_gone() -> None:
    """It is stopped although it is shown as one on another interface."""
    running = SyncDaemon(SyncRole.MASTER, "eth0" + GONE, 1)
    wish = Desired(owned=Owned(sync=frozenset({SyncKey(SyncRole.MASTER, "eth0", 1)})))
    assert plan(wish, Observed(sync=frozenset({running}))) == [StopSync(running)]


def test_what_a_sync_daemon_leaves_open_is_the_kernels_to_choose() -> None:
    """A daemon whose port, length and group the kernel filled in is the wanted one."""
    there = SyncDaemon(SyncRole.BACKUP, "eth0", 1, 1460, 8848, 1, ip_address("224.0.0.81"))
    assert (
        plan(
            Desired(sync=frozenset({SyncDaemon(SyncRole.BACKUP, "eth0", 1)})),
            Observed(sync=frozenset({there})),
        )
        == []
    )


NAT1 = source_nat(WEB, [ip_address("10.0.1.1")], [RS1])
NAT2 = source_nat(WEB, [ip_address("10.0.1.2")], [RS2])


def wish(server: ServerKey, nat_entry: SourceNat) -> Desired:
    """One server in mode fullnat."""
    return Desired({WEB: DesiredService(RR, {server: nat(1)})}, source_nat=frozenset({nat_entry}))


def test_source_nat_comes_before_servers_and_goes_after_them() -> None:
    """Both servers are covered while one takes the other's place; the new pool holds from the beginning."""
    table = FakeIpvs()
    reach(table, wish(RS1, NAT1))
    both = frozenset({source_nat(WEB, NAT2.addresses, [RS1, RS2])})
    assert plan(wish(RS2, NAT2), table.table()) == [
        SetSourceNat(both),
        AddServer(WEB, RS2, nat(1)),
        DeleteServer(WEB, RS1),
        SetSourceNat(frozenset({NAT2})),
    ]


def test_altered_source_nat_is_put_right_and_the_reason_told() -> None:
    """What somebody changed by hand costs one step, which says what was wrong."""
    wanted = wish(RS1, NAT1)
    there = FakeIpvs()
    reach(there, wanted)
    altered = replace(there.table(), source_nat=SourceNatState(frozenset({NAT1}), "a rule was added"))
    (step,) = plan(wanted, altered)
    assert step == SetSourceNat(frozenset({NAT1}), "a rule was added")
    assert str(step) == "set source NAT for 1 service from 1 address (a rule was added)"


def test_source_nat_that_was_not_looked_at_is_left_alone() -> None:
    """A look at a few services says nothing about source NAT, and neither does a wish about them."""
    assert plan(Desired(source_nat=frozenset({NAT1})), Observed()) == []
    assert plan(Desired(), Observed(source_nat=SourceNatState(frozenset({NAT1})))) == []


DEAF = frozenset({Unaccepted(VIP)})


def test_a_service_comes_to_an_address_whose_packets_pass() -> None:
    """An address that gets a service and is to take packets takes them first."""
    there = FakeIpvs(unaccepted=UnacceptedState(DEAF))
    wanted = Desired({WEB: DesiredService(RR)}, unaccepted=frozenset())
    assert plan(wanted, there.table()) == [SetAcceptance(frozenset()), AddService(WEB, RR)]


def test_altered_accept_mode_is_put_right_and_the_reason_told() -> None:
    """A rule too many costs one step, which says what was wrong, and is no trouble afterwards."""
    there = FakeIpvs(unaccepted=UnacceptedState(DEAF, "a rule was added"))
    (step,) = plan(Desired(unaccepted=DEAF), there.table())
    assert str(step) == "drop packets to 1 address of VRRP (a rule was added)"
    assert there.carry_out(step) is None
    assert plan(Desired(unaccepted=DEAF), there.table()) == []
    assert [str(s) for s in plan(Desired(unaccepted=frozenset()), there.table())] == [
        "drop packets to no address of VRRP"
    ]


def test_accept_mode_that_was_not_looked_at_is_left_alone() -> None:
    """A look at a few services says nothing about it, and neither does a wish about them."""
    assert plan(Desired(unaccepted=DEAF), Observed()) == []
    assert plan(Desired(), Observed(unaccepted=UnacceptedState(DEAF))) == []


def test_the_order_of_a_pool_does_not_matter() -> None:
    """Two directors that list the same addresses in another order choose alike."""
    one, other = ip_address("10.0.1.9"), ip_address("10.0.1.10")
    assert source_nat(WEB, [one, other, one], [RS1]) == source_nat(WEB, [other, one], [RS1])


def test_steps_say_what_they_do() -> None:
    """A step reads as an operator would say it."""
    assert (
        str(AddServer(WEB, RS1, nat(3))) == "add server 10.0.0.1:80 to tcp 192.0.2.1:80 masquerade weight 3"
    )
    assert str(DeleteService(FwmarkKey(Family.IPV6, 7))) == "delete service fwmark 7 ipv6"
