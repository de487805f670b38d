"""The kernel's IPVS table, as lvsha sees and changes it and as ipvsadm sees it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import astuple, replace
from ipaddress import ip_address

import pytest

from lvsha.errors import KernelError
from lvsha.kernel import frames, genl
from lvsha.kernel.attributes import MalformedError, pack, pack_u16
from lvsha.kernel.ipvs import Ipvs
from lvsha.kernel.netlink import Netlink
from lvsha.model import (
    AddressKey,
    Counters,
    Desired,
    DesiredService,
    Family,
    FwmarkKey,
    Method,
    Observed,
    Protocol,
    Server,
    ServerKey,
    Service,
    ServiceFlag,
    ServiceKey,
    SyncDaemon,
    SyncRole,
    Timeouts,
    Tunnel,
    TunnelFlag,
    TunnelKind,
)
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    SetServer,
    SetService,
    SetTimeouts,
    StartSync,
    Step,
    StopSync,
    plan,
)
from tests.lab.network import Network, Node
from tests.lab.played import Ends, acknowledge, refuse, sequence

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh")
"""All of kernel 6.1; `twos` came with 6.10."""
WEB = AddressKey(Protocol.TCP, ip_address("192.0.2.100"), 80)
DNS6 = AddressKey(Protocol.UDP, ip_address("2001:db8::100"), 53)
MARK = FwmarkKey(Family.IPV4, 7)
MARK6 = FwmarkKey(Family.IPV6, 7)
RS1 = ServerKey(ip_address("10.0.0.11"), 8080)
RS2 = ServerKey(ip_address("10.0.0.12"), 8080)
RS6 = ServerKey(ip_address("2001:db8::11"), 53)
NAT = Server(Method.MASQUERADE, 10)


@pytest.fixture
def node() -> Iterator[Node]:
    """A director on 10.0.0.0/24, with a table of its own."""
    net = Network()
    net.segment("back", "10.0.0.0/24", "2001:db8::/64")
    net.node("lb1", back=1)
    with net:
        yield net["lb1"]


@pytest.fixture
async def ipvs(node: Node) -> AsyncIterator[Ipvs]:
    """IPVS on that node."""
    with node.entered():
        netlink = Netlink.open(genl.PROTOCOL)
    opened = await Ipvs.over(netlink)
    yield opened
    opened.close()


async def carried_out(ipvs: Ipvs, *steps: Step) -> None:
    """Every one of these steps succeeds."""
    assert [str(failed.error) for failed in await ipvs.apply(steps)] == []


def rules(node: Node) -> list[str]:
    """The table in the words of `ipvsadm -Sn`."""
    return [line.strip() for line in node.run("ipvsadm", "-Sn").splitlines()]


@pytest.mark.ipvs
async def test_the_kernel_tells_its_version(ipvs: Ipvs) -> None:
    """IPVS has been 1.2.1 since 2005, and has a table."""
    info = await ipvs.info()
    assert info.version == "1.2.1"
    assert info.table_size >= 256


@pytest.mark.ipvs
async def test_an_empty_table_is_no_error(ipvs: Ipvs) -> None:
    """Nothing but the kernel's own timeouts."""
    assert await ipvs.observe() == Observed({}, Timeouts(900, 120, 300), frozenset())
    assert await ipvs.observe([WEB]) == Observed({})
    assert await ipvs.apply([]) == []


@pytest.mark.ipvs
async def test_every_scheduler_can_be_had_and_changed(ipvs: Ipvs, node: Node) -> None:
    """Each scheduler loads, is seen by ipvsadm and by lvsha, and can take the place of another."""
    keys = [AddressKey(Protocol.TCP, WEB.address, 1000 + n) for n in range(len(SCHEDULERS))]
    wanted = dict(zip(keys, SCHEDULERS, strict=True))
    await carried_out(ipvs, *(AddService(key, Service(name)) for key, name in wanted.items()))
    assert sorted(rules(node)) == [f"-A -t 192.0.2.100:{key.port} -s {name}" for key, name in wanted.items()]
    turned = dict(zip(keys, SCHEDULERS[1:] + SCHEDULERS[:1], strict=True))
    await carried_out(ipvs, *(SetService(key, Service(name)) for key, name in turned.items()))
    observed = await ipvs.observe()
    assert {key: state.service.scheduler for key, state in observed.services.items()} == turned


@pytest.mark.ipvs
async def test_every_flag_is_set_and_unset(ipvs: Ipvs, node: Node) -> None:
    """Any combination of flags replaces any other."""
    combinations = [ServiceFlag(bits & ~0x2) for bits in range(0x40) if not bits & 0x2]
    await carried_out(ipvs, AddService(WEB, Service("sh")))
    for flags in (*combinations, *reversed(combinations)):
        service = Service("sh", flags, 300 if flags & ServiceFlag.PERSISTENT else 0)
        await carried_out(ipvs, SetService(WEB, service))
        assert (await ipvs.observe([WEB])).services[WEB].service == service
    sh_port, sh_fallback = ServiceFlag.SCHEDULER_2, ServiceFlag.SCHEDULER_1
    await carried_out(ipvs, SetService(WEB, Service("sh", sh_port | sh_fallback)))
    assert rules(node) == ["-A -t 192.0.2.100:80 -s sh -b sh-fallback,sh-port"]
    await carried_out(ipvs, SetService(WEB, Service("rr", ServiceFlag.ONE_PACKET)))
    assert rules(node) == ["-A -t 192.0.2.100:80 -s rr -o"]


@pytest.mark.ipvs
async def test_every_sort_of_service_is_seen_by_ipvsadm(ipvs: Ipvs, node: Node) -> None:
    """Protocols, families, marks, port 0, and persistence with mask and engine."""
    persistent = ServiceFlag.PERSISTENT
    wanted: dict[ServiceKey, tuple[Service, str]] = {
        WEB: (Service("wlc"), "-A -t 192.0.2.100:80 -s wlc"),
        replace(WEB, protocol=Protocol.SCTP): (Service("rr"), "-A --sctp-service 192.0.2.100:80 -s rr"),
        replace(WEB, port=0): (Service("rr", persistent, 600), "-A -t 192.0.2.100:0 -s rr -p 600"),
        replace(WEB, port=443): (
            Service("rr", persistent, 300, 24),
            "-A -t 192.0.2.100:443 -s rr -p 300 -M 255.255.255.0",
        ),
        AddressKey(Protocol.UDP, WEB.address, 5060): (
            Service("rr", persistent | ServiceFlag.ONE_PACKET, 300, engine="sip"),
            "-A -u 192.0.2.100:5060 -s rr -p 300 --pe sip -o",
        ),
        DNS6: (Service("sh", persistent, 60, 64), "-A -u [2001:db8::100]:53 -s sh -p 60 -M 64"),
        MARK: (Service("rr"), "-A -f 7 -s rr"),
        MARK6: (Service("mh", persistent, 5, 1), "-A -f 7 -6 -s mh -p 5 -M 1"),
    }
    await carried_out(ipvs, *(AddService(key, service) for key, (service, _) in wanted.items()))
    assert sorted(rules(node)) == sorted(line for _, line in wanted.values())
    observed = await ipvs.observe()
    assert {key: state.service for key, state in observed.services.items()} == {
        key: service for key, (service, _) in wanted.items()
    }


@pytest.mark.ipvs
async def test_an_engine_is_taken_away_again(ipvs: Ipvs) -> None:
    """What a service no longer has is unset, not left."""
    engine = Service("rr", ServiceFlag.PERSISTENT, 300, engine="sip")
    for service in (engine, replace(engine, engine=None), Service("rr"), engine):
        step = SetService(WEB, service) if (await ipvs.observe([WEB])).services else AddService(WEB, service)
        await carried_out(ipvs, step)
        assert (await ipvs.observe([WEB])).services[WEB].service == service


@pytest.mark.ipvs
async def test_every_way_to_a_server_is_seen_by_ipvsadm(ipvs: Ipvs, node: Node) -> None:
    """Methods, weights, thresholds, and tunnels of each kind with each kind of checksum."""
    gue, gre = TunnelKind.GUE, TunnelKind.GRE
    none, checksum, remote = TunnelFlag.NONE, TunnelFlag.CHECKSUM, TunnelFlag.REMOTE_CHECKSUM
    ways: list[tuple[Server, str]] = [
        (NAT, "-m -w 10"),
        (Server(Method.ROUTE, 0), "-g -w 0"),
        (Server(Method.ROUTE, 65535, 100, 50), "-g -w 65535"),
        (Server(Method.TUNNEL, 1), "-i -w 1 --tun-type ipip"),
        (
            Server(Method.TUNNEL, 1, tunnel=Tunnel(gue, 6080, none)),
            "-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        ),
        (
            Server(Method.TUNNEL, 1, tunnel=Tunnel(gue, 6081, checksum)),
            "-i -w 1 --tun-type gue --tun-port 6081 --tun-csum",
        ),
        (
            Server(Method.TUNNEL, 1, tunnel=Tunnel(gue, 1, remote)),
            "-i -w 1 --tun-type gue --tun-port 1 --tun-remcsum",
        ),
        (Server(Method.TUNNEL, 1, tunnel=Tunnel(gre, 0, none)), "-i -w 1 --tun-type gre --tun-nocsum"),
        (Server(Method.TUNNEL, 1, tunnel=Tunnel(gre, 0, checksum)), "-i -w 1 --tun-type gre --tun-csum"),
    ]
    keys = [ServerKey(ip_address("10.0.0.10") + n, 80) for n in range(len(ways))]
    await carried_out(ipvs, AddService(WEB, Service("rr")))
    await carried_out(ipvs, *(AddServer(WEB, key, way) for key, (way, _) in zip(keys, ways, strict=True)))
    servers = (await ipvs.observe([WEB])).services[WEB].servers
    assert {key: state.server for key, state in servers.items()} == {
        key: way for key, (way, _) in zip(keys, ways, strict=True)
    }
    assert sorted(rules(node)[1:]) == sorted(
        f"-a -t 192.0.2.100:80 -r {key} {words}" for key, (_, words) in zip(keys, ways, strict=True)
    )
    thresholds = node.run("ipvsadm", "-ln", "--thresholds").split()
    assert thresholds[thresholds.index("10.0.0.12:80") + 1 :][:2] == ["100", "50"]


@pytest.mark.ipvs
async def test_a_server_is_added_set_and_deleted(ipvs: Ipvs, node: Node) -> None:
    """Each step leaves the table as it says, and a service takes its servers with it."""
    await carried_out(ipvs, AddService(DNS6, Service("rr")), AddServer(DNS6, RS6, NAT))
    assert rules(node)[1:] == ["-a -u [2001:db8::100]:53 -r [2001:db8::11]:53 -m -w 10"]
    await carried_out(ipvs, SetServer(DNS6, RS6, Server(Method.ROUTE, 0, 9, 3)))
    assert (await ipvs.observe()).services[DNS6].servers[RS6].server == Server(Method.ROUTE, 0, 9, 3)
    await carried_out(ipvs, DeleteServer(DNS6, RS6))
    assert (await ipvs.observe()).services[DNS6].servers == {}
    await carried_out(ipvs, AddServer(DNS6, RS6, NAT), DeleteService(DNS6))
    assert rules(node) == []


@pytest.mark.ipvs
async def test_what_ipvsadm_wrote_is_read(ipvs: Ipvs, node: Node) -> None:
    """A table that somebody else made means the same to lvsha."""
    node.run(
        "ipvsadm",
        "-R",
        stdin="-A -t 192.0.2.100:80 -s wrr -p 360 -M 255.255.0.0\n"
        "-a -t 192.0.2.100:80 -r 10.0.0.11:8080 -m -w 7 -x 20 -y 10\n"
        "-A -f 7 -6 -s rr\n"
        "-a -f 7 -6 -r [2001:db8::11]:53 -i -w 3 --tun-type gue --tun-port 6080 --tun-remcsum\n",
    )
    services = (await ipvs.observe()).services
    assert services.keys() == {WEB, MARK6}
    assert services[WEB].service == Service("wrr", ServiceFlag.PERSISTENT, 360, 16)
    assert {key: state.server for key, state in services[WEB].servers.items()} == {
        RS1: Server(Method.MASQUERADE, 7, 20, 10)
    }
    (state,) = services[MARK6].servers.values()
    assert state.server.tunnel == Tunnel(TunnelKind.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM)


@pytest.mark.ipvs
async def test_ipv4_servers_stand_behind_an_ipv6_service(ipvs: Ipvs) -> None:
    """By tunnel; and as long as they do, connections cannot be synchronised, which is said."""
    tunnel = Server(Method.TUNNEL, 1)
    await carried_out(ipvs, AddService(DNS6, Service("rr")), AddServer(DNS6, RS1, tunnel))
    assert (await ipvs.observe()).services[DNS6].servers.keys() == {RS1}
    (failed,) = await ipvs.apply([StartSync(SyncDaemon(SyncRole.MASTER, "back"))])
    assert "servers of another family" in str(failed.error)
    await carried_out(ipvs, DeleteServer(DNS6, RS1))
    await carried_out(ipvs, StartSync(SyncDaemon(SyncRole.MASTER, "back")))
    (failed,) = await ipvs.apply([AddServer(DNS6, RS1, tunnel)])
    assert "a stopped sync daemon" in str(failed.error)


@pytest.mark.ipvs
async def test_timeouts_are_set_one_by_one(ipvs: Ipvs, node: Node) -> None:
    """0 leaves a timeout alone; ipvsadm sees the same seconds."""
    await carried_out(ipvs, SetTimeouts(Timeouts(tcp=1000, udp=60)))
    assert await ipvs.timeouts() == Timeouts(1000, 120, 60)
    await ipvs.set_timeouts(Timeouts(tcp_fin=30))
    assert node.run("ipvsadm", "-l", "--timeout").split(":")[1].split() == ["1000", "30", "60"]
    with pytest.raises(KernelError, match="out of range"):
        await ipvs.set_timeouts(Timeouts(tcp=(1 << 32) - 1))


@pytest.mark.ipvs
async def test_both_sync_roles_run_side_by_side(ipvs: Ipvs, node: Node) -> None:
    """Started with all settings or none, seen with what the kernel filled in, stopped one by one."""
    master = SyncDaemon(SyncRole.MASTER, "back", 7, 1200, 8849, 3, ip_address("224.0.0.82"))
    backup = SyncDaemon(SyncRole.BACKUP, "back", 8)
    await carried_out(ipvs, StartSync(master), StartSync(backup))
    daemons = await ipvs.daemons()
    filled = replace(backup, maxlen=1472, port=8848, ttl=1, group=ip_address("224.0.0.81"))
    assert daemons == {master, filled}
    told = node.run("ipvsadm", "-l", "--daemon")
    assert (
        "master sync daemon (mcast=back, syncid=7, maxlen=1200, group=224.0.0.82, port=8849, ttl=3)" in told
    )
    assert (
        "backup sync daemon (mcast=back, syncid=8, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)" in told
    )
    (again,) = await ipvs.apply([StartSync(master)])
    assert (again.error.errno, again.error.drift) == (errno.EEXIST, True)
    await carried_out(ipvs, StopSync(master))
    assert (await ipvs.observe()).sync == {filled}
    (gone,) = await ipvs.apply([StopSync(master)])
    assert (gone.error.errno, gone.error.drift) == (errno.ESRCH, True)
    six = replace(master, group=ip_address("ff05::81"))
    await multicast_route(node)
    await carried_out(ipvs, StartSync(six), StopSync(backup))
    assert await ipvs.daemons() == {six}


async def multicast_route(node: Node) -> None:
    """The node can send to IPv6 groups: the kernel makes that route some time after the carrier came."""
    async with asyncio.timeout(30):
        while "ff00::/8 dev back" not in node.run("ip", "-6", "route", "show", "table", "local"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.ipvs
async def test_a_sync_daemon_is_stopped_before_it_ran(ipvs: Ipvs) -> None:
    """Stopped in the send that started it, to which the kernel gives no answer, it is gone all the same."""
    for role in SyncRole:
        daemon = SyncDaemon(role, "back", 7)
        await carried_out(ipvs, StartSync(daemon), StopSync(daemon))
        assert await ipvs.daemons() == frozenset()
        await carried_out(ipvs, StartSync(daemon))
        assert len(await ipvs.daemons()) == 1
        await carried_out(ipvs, StopSync(daemon))


@pytest.mark.ipvs
async def test_sync_needs_its_interface(ipvs: Ipvs) -> None:
    """An interface that is not there is told by name."""
    (failed,) = await ipvs.apply([StartSync(SyncDaemon(SyncRole.MASTER, "eth99"))])
    assert "no interface eth99" in str(failed.error)
    assert failed.error.errno == errno.ENODEV


@pytest.mark.ipvs
async def test_one_bad_step_among_a_hundred_is_found(ipvs: Ipvs) -> None:
    """Its failure is its own, and all the others are done."""
    keys = [ServerKey(ip_address("10.0.0.1") + n, 80) for n in range(100)]
    steps = [AddServer(WEB, key, NAT) for key in keys]
    bad = AddServer(WEB, ServerKey(ip_address("224.0.0.1"), 80), NAT)
    steps[50:50] = [bad]
    await carried_out(ipvs, AddService(WEB, Service("rr")))
    (failed,) = await ipvs.apply(steps)
    assert failed.step is bad
    assert failed.error.errno == errno.EINVAL
    assert str(failed.error).startswith(f"{bad}: the address is not unicast")
    assert (await ipvs.observe()).services[WEB].servers.keys() == set(keys)


@pytest.mark.ipvs
async def test_a_thousand_failures_find_their_steps(ipvs: Ipvs) -> None:
    """Every second step of many sends is refused, and every refusal is told with its step, in order."""
    keys = [ServerKey(ip_address("10.0.1.1") + n, 80) for n in range(1000)]
    steps: list[Step] = [AddService(WEB, Service("rr"))]
    for key in keys:
        steps += [AddServer(WEB, key, NAT), AddServer(WEB, key, NAT)]
    failures = await ipvs.apply(steps)
    assert [failed.step for failed in failures] == [AddServer(WEB, key, NAT) for key in keys]
    assert {failed.error.errno for failed in failures} == {errno.EEXIST}
    assert len((await ipvs.observe()).services[WEB].servers) == 1000


@pytest.mark.ipvs
async def test_steps_are_carried_out_in_order(ipvs: Ipvs) -> None:
    """A plan that adds, changes and removes the same things again ends where its last steps say."""
    steps: list[Step] = []
    for _ in range(100):
        steps += [AddService(WEB, Service("rr")), AddServer(WEB, RS1, NAT), DeleteService(WEB)]
    await carried_out(ipvs, *steps)
    assert (await ipvs.observe()).services == {}


@pytest.mark.ipvs
async def test_what_changed_meanwhile_is_drift(ipvs: Ipvs) -> None:
    """Exists and not found, as the kernel says them, tell the caller to look again."""
    await carried_out(ipvs, AddService(WEB, Service("rr")), AddServer(WEB, RS1, NAT))
    drift: list[tuple[Step, int]] = [
        (AddService(WEB, Service("rr")), errno.EEXIST),
        (AddServer(WEB, RS1, NAT), errno.EEXIST),
        (SetServer(WEB, RS2, NAT), errno.ENOENT),
        (DeleteServer(WEB, RS2), errno.ENOENT),
        (AddServer(MARK, RS1, NAT), errno.ESRCH),
        (SetService(MARK, Service("rr")), errno.ESRCH),
        (DeleteService(MARK), errno.ESRCH),
        (DeleteServer(MARK, RS1), errno.ESRCH),
    ]
    failures = await ipvs.apply([step for step, _ in drift])
    assert [(failed.step, failed.error.errno) for failed in failures] == drift
    assert all(failed.error.drift for failed in failures)


@pytest.mark.ipvs
async def test_what_cannot_be_is_no_drift(ipvs: Ipvs) -> None:
    """Missing modules and impossible settings say what to do about them."""
    faults: list[tuple[Step, str]] = [
        (AddService(WEB, Service("nosuch")), "try `modprobe -a ip_vs_nosuch`"),
        (AddService(WEB, Service("rr", ServiceFlag.PERSISTENT, 300, engine="nosuch")), "ip_vs_pe_nosuch"),
        (AddService(MARK, Service("rr")), ""),
        (AddServer(MARK, RS1, Server(Method.ROUTE, 1, 5, 10)), "the lower threshold is above the upper one"),
        (
            AddServer(MARK, RS1, Server(Method.TUNNEL, 1, tunnel=Tunnel(TunnelKind.GUE))),
            "GUE tunnel has no port",
        ),
        (AddServer(MARK, RS1, Server(Method.ROUTE, 1 << 31)), "weight is above 2147483647"),
        (AddServer(MARK, RS1, Server(Method.ROUTE, 1 << 32)), "a number is out of range"),
    ]
    failures = await ipvs.apply([step for step, _ in faults])
    told = {failed.step: failed.error for failed in failures}
    for step, said in faults:
        assert (step in told) == bool(said)
        assert said in str(told.get(step, ""))
    assert not any(error.drift for error in told.values())


@pytest.mark.ipvs
async def test_a_namespace_without_local_routes_is_explained(node: Node) -> None:
    """The kernel's bare EINVAL is told with the way out of it."""
    # A namespace whose lo was never up has no local table; ip_vs_new_dest takes no address for unicast there.
    node.run("ip", "netns", "add", f"{node.namespace}-bare")
    try:
        bare = replace(node, namespace=f"{node.namespace}-bare", links={})
        with bare.entered():
            netlink = Netlink.open(genl.PROTOCOL)
        ipvs = await Ipvs.over(netlink)
        await carried_out(ipvs, AddService(WEB, Service("rr")))
        (failed,) = await ipvs.apply([AddServer(WEB, RS1, NAT)])
        assert "`ip link set lo up`" in str(failed.error)
        bare.run("ip", "link", "set", "lo", "up")
        await carried_out(ipvs, AddServer(WEB, RS1, NAT))
        ipvs.close()
    finally:
        node.run("ip", "netns", "del", f"{node.namespace}-bare")


@pytest.mark.ipvs
async def test_only_the_asked_for_services_are_observed(ipvs: Ipvs) -> None:
    """Those that exist, with their servers; the others are absent."""
    await carried_out(
        ipvs,
        AddService(WEB, Service("rr")),
        AddServer(WEB, RS1, NAT),
        AddService(MARK6, Service("rr")),
        AddService(DNS6, Service("rr")),
    )
    whole = await ipvs.observe()
    some = await ipvs.observe([WEB, MARK, MARK6])
    assert some.services == {key: whole.services[key] for key in (WEB, MARK6)}


@pytest.mark.ipvs
async def test_traffic_is_counted_and_zeroed(ipvs: Ipvs, node: Node) -> None:
    """Connections and counters of services and servers are ipvsadm's, and can be set to zero."""
    service = AddressKey(Protocol.UDP, ip_address("10.0.0.1"), 5000)
    server = ServerKey(ip_address("10.0.0.1"), 5001)
    await carried_out(ipvs, AddService(service, Service("rr")), AddServer(service, server, NAT))
    with node.entered():
        here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with here:
        for _ in range(3):
            here.sendto(b"0123456789", ("10.0.0.1", 5000))
    async with asyncio.timeout(30):
        # The kernel sums its counters up every two seconds (ip_vs_est.c) and tells nobody.
        while not (state := (await ipvs.observe()).services[service]).counters.packets_in:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    # 20 bytes of IP, 8 of UDP, 10 of ours.
    assert (state.counters.connections, state.counters.packets_in, state.counters.bytes_in) == (1, 3, 114)
    assert state.servers[server].counters == state.counters
    assert (state.servers[server].active, state.servers[server].inactive) == (0, 1)
    line = node.run("ipvsadm", "-ln", "--stats", "--exact").splitlines()[-1].split()
    counters = state.servers[server].counters
    assert line[2:] == [str(value) for value in astuple(counters)[:5]]
    await ipvs.zero(service)
    assert (await ipvs.observe()).services[service].counters == Counters()
    await ipvs.zero()
    with pytest.raises(KernelError, match=r"zero the counters of tcp 192\.0\.2\.100:80: ESRCH"):
        await ipvs.zero(WEB)


@pytest.mark.ipvs
async def test_a_plan_carried_out_leaves_nothing_to_plan(ipvs: Ipvs) -> None:
    """The kernel shows every setting as it was wanted, what it filled in by itself included."""
    tunnel = Tunnel(TunnelKind.GUE, 6080, TunnelFlag.CHECKSUM)
    desired = Desired(
        {
            WEB: DesiredService(
                Service("sh", ServiceFlag.PERSISTENT | ServiceFlag.SCHEDULER_2, 300, 24),
                {RS1: NAT, RS2: Server(Method.TUNNEL, 0, 100, 50, tunnel)},
            ),
            DNS6: DesiredService(Service("mh", prefix=1), {RS6: Server(Method.ROUTE, 1)}),
            MARK: DesiredService(Service("wlc")),
        },
        Timeouts(tcp=600),
        frozenset({SyncDaemon(SyncRole.MASTER, "back", 7), SyncDaemon(SyncRole.BACKUP, "back", 7)}),
    )
    await carried_out(ipvs, *plan(desired, await ipvs.observe()))
    assert plan(desired, await ipvs.observe()) == []
    await carried_out(ipvs, *plan(Desired(sync=frozenset(), sweep=True), await ipvs.observe()))
    assert await ipvs.observe() == Observed({}, Timeouts(600, 120, 300), frozenset())


@pytest.mark.ipvs
async def test_ten_thousand_servers_are_programmed_and_seen(
    ipvs: Ipvs, record_property: Callable[[str, object], None]
) -> None:
    """A thousand services of ten servers come out as they were put in, and the event loop goes on meanwhile.

    The figures are recorded, not judged: other machines are other machines.
    """
    steps = large_table(1000, 10)
    async with heartbeat() as beats:
        begun = time.perf_counter()
        await carried_out(ipvs, *steps)
        programmed = time.perf_counter()
        observed = await ipvs.observe()
        seen = time.perf_counter()
    assert {
        (key, name): state.server
        for key, service in observed.services.items()
        for name, state in service.servers.items()
    } == {(step.service, step.key): step.server for step in steps if isinstance(step, AddServer)}
    assert len(observed.services) == 1000
    # One send takes the table a 86th part of the way, and the loop had its turn after each at least.
    assert len(beats) > len(steps) / 128
    record_property("steps per second", round(len(steps) / (programmed - begun)))
    record_property("seconds to observe", round(seen - programmed, 3))
    record_property("longest stall in seconds", round(max(beats), 4))
    print(
        f"{len(steps) / (programmed - begun):.0f} steps/s, observed in {seen - programmed:.3f} s, "
        f"longest stall {max(beats) * 1000:.0f} ms"
    )


def large_table(services: int, servers: int) -> list[Step]:
    """The steps to so many services of so many servers each."""
    keys = [AddressKey(Protocol.TCP, ip_address("198.51.100.0") + n % 250, 1000 + n) for n in range(services)]
    steps: list[Step] = [AddService(key, Service("rr")) for key in keys]
    for key in keys:
        steps += [
            AddServer(key, ServerKey(ip_address("10.0.1.1") + n, 8080), Server(Method.ROUTE, n + 1))
            for n in range(servers)
        ]
    return steps


@contextlib.asynccontextmanager
async def heartbeat() -> AsyncIterator[list[float]]:
    """How many seconds each turn of the event loop kept another task waiting, while the block runs."""
    beats: list[float] = []

    async def beat() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            beats.append(time.perf_counter() - before - 0.001)

    task = asyncio.create_task(beat())
    try:
        yield beats
    finally:
        task.cancel()


@pytest.mark.ipvs
async def test_looks_and_changes_do_not_disturb_each_other(ipvs: Ipvs) -> None:
    """Several tasks at once: each look sees services as they were at some moment, and all steps are done."""
    steps = large_table(50, 10)
    results = await asyncio.gather(carried_out(ipvs, *steps), *(ipvs.observe() for _ in range(5)))
    wanted = {step.key for step in steps if isinstance(step, AddService)}
    assert all(seen is None or seen.services.keys() <= wanted for seen in results)
    assert (await ipvs.observe()).services.keys() == wanted


@pytest.mark.ipvs
async def test_a_cancelled_look_leaves_the_conversation_whole(ipvs: Ipvs) -> None:
    """The next look sees everything."""
    await carried_out(ipvs, *large_table(100, 3))
    for delay in range(5):
        task = asyncio.create_task(ipvs.observe())
        await asyncio.sleep(delay / 1000)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    observed = await ipvs.observe()
    assert {len(state.servers) for state in observed.services.values()} == {3}


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Sockets to a kernel that the test plays."""
    made = Ends()
    yield made
    for far in made.far:
        far.close()


async def test_a_kernel_without_ipvs_says_what_to_load(ends: Ends) -> None:
    """The family is unknown, and the way to it is told."""
    opening = asyncio.create_task(Ipvs.over(Netlink(ends.connect, timeout=10)))
    await asyncio.to_thread(ends.answer, lambda request: refuse(request, errno.ENOENT) + acknowledge(request))
    with pytest.raises(KernelError, match="modprobe ip_vs"):
        await opening


async def test_a_module_that_was_loaded_anew_is_found_again(ends: Ends) -> None:
    """Messages of the old number are refused; the family is asked for again, and its new number used."""
    ipvs = Ipvs(Netlink(ends.connect, timeout=10), 30)
    looking = asyncio.create_task(ipvs.observe([WEB]))
    await asyncio.to_thread(ends.answer, lambda request: refuse(request, errno.ENOENT) + acknowledge(request))
    named = genl.message(1, 2, pack_u16(1, 31))
    await asyncio.to_thread(
        ends.answer, lambda request: frames.frame(16, 0, sequence(request), named) + acknowledge(request)
    )

    def none_there(request: bytes) -> bytes:
        kinds.append(struct.unpack_from("=H", request, 4)[0])
        return refuse(request, errno.ESRCH) + acknowledge(request)

    kinds: list[int] = []
    await asyncio.to_thread(ends.answer, none_there)
    assert await looking == Observed({})
    assert kinds == [31]
    ipvs.close()


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ([b""], "answer of 0 bytes where attribute 1 was expected"),
        ([genl.message(1, 1)], "answer of 4 bytes"),
        ([genl.message(1, 1, pack(2, b"abcd"))], "attribute 1 was expected"),
        ([genl.message(1, 1, struct.pack("=HHI", 40, 1, 7))], "attribute 1 was expected"),
        ([genl.message(1, 1, pack(1, b""))], "is missing"),
        ([genl.message(1, 1, pack(1, pack_u16(1, 2)))], "is missing"),
    ],
)
async def test_a_broken_table_is_told(ends: Ends, bodies: Sequence[bytes], said: str) -> None:
    """A list of services that makes no sense is an error in words, not half a table."""
    ipvs = Ipvs(Netlink(ends.connect, timeout=10), 30)
    looking = asyncio.create_task(ipvs.observe())

    def listed(request: bytes) -> bytes:
        answers = [frames.frame(30, 2, sequence(request), body) for body in bodies]
        return b"".join([*answers, frames.frame(3, 2, sequence(request), bytes(4))])

    await asyncio.to_thread(ends.answer, listed)
    with pytest.raises(MalformedError, match=said):
        await looking
    ipvs.close()


async def test_a_step_that_cannot_be_said_stops_no_other(ends: Ends) -> None:
    """It is not sent, its failure comes with the others', and the rest goes out."""
    ipvs = Ipvs(Netlink(ends.connect, timeout=10), 30)
    bad, good = SetTimeouts(Timeouts(1 << 32)), SetTimeouts(Timeouts(tcp=5))
    applying = asyncio.create_task(ipvs.apply([good, bad, good]))
    await asyncio.to_thread(ends.answer, lambda request: refuse(request, errno.EINVAL) + acknowledge(request))
    refused, unsaid = await applying
    assert (refused.step, unsaid.step) == (good, bad)
    assert "a number is out of range" in str(unsaid.error)
    assert not unsaid.error.drift
    ipvs.close()
