"""Networks to test on: one namespace a machine, one bridge a wire, built in a blink and gone without a trace.

    client ──┐                         ┌── rs1
             │ front 192.0.2.0/24      │ back 10.0.1.0/24
             ├───────── lb1 ───────────┼── rs2
             └───────── lb2 ───────────┴── rs3

A `Network` is told its segments and nodes, and comes into being on `with` (or `async with`). A segment is a
namespace of its own that holds a bridge, so that nothing appears in the machine's own namespace. A node's
interfaces are called like the segments they lead to. `topology()` declares the usual layouts.

Programs cost 5 ms natively and 50 ms in the User-Mode Linux guest, so everything goes through few `ip -batch`
runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.lab import namespace

Direction = Literal["in", "out", "both"]
"""As the node sees it: `in` is what it would receive, `out` what it sends."""

SIOCETHTOOL = 0x8946
"""include/uapi/linux/sockios.h"""
ETHTOOL_GLINK = 0x0A
"""include/uapi/linux/ethtool.h"""

_serial = itertools.count(1)

_SYSCTLS = {
    # Addresses are usable at once, and no router that nobody started is looked for.
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
    # The machine that the tests run on may have its own mind about these, and new namespaces inherit it.
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}
_FORWARD = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}

# Classic BPF for tc: `ret 2` is TC_ACT_SHOT, `ret -1` TC_ACT_UNSPEC. The development kernel has neither netem
# nor the drop action, but cls_bpf; SKF_AD_RANDOM (include/uapi/linux/filter.h) is at 0xfffff038.
_DROP = "1,6 0 0 2"
_DROP_SOME = "4,32 0 0 4294963256,37 0 1 {above},6 0 0 4294967295,6 0 0 2"
# Ethertype 0x800 and protocol 112, or ethertype 0x86dd and next header 112.
_DROP_ADVERTS = (
    "9,40 0 0 12,21 0 2 2048,48 0 0 23,21 3 4 112,21 0 3 34525,48 0 0 20,21 0 1 112,6 0 0 2,6 0 0 4294967295"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A wire: every node that has an address on it can reach every other."""

    name: str
    namespace: str
    ipv4: IPv4Network
    ipv6: IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """A node's cable to a segment, with the node's number on it: 192.0.2.N, 2001:db8:1::N and fe80::N."""

    segment: Segment
    number: int

    @property
    def ipv4(self) -> IPv4Address:
        """The node's IPv4 address on the segment."""
        return self.segment.ipv4[self.number]

    @property
    def ipv6(self) -> IPv6Address:
        """The node's IPv6 address on the segment, with the decimal number's own digits: N = 10 gives ::10."""
        return self.segment.ipv6[int(str(self.number), 16)]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: a network namespace. The name of an interface is the name of its segment."""

    name: str
    namespace: str
    links: dict[str, Link]
    routes: list[str] = field(default_factory=list)
    forward: bool = False

    def __str__(self) -> str:
        return self.name

    def address(self, segment: str, family: int = 4) -> IPv4Address | IPv6Address:
        """The address that the node was given on a segment; family is 4 or 6."""
        link = self.links[segment]
        return link.ipv4 if family == 4 else link.ipv6

    def mac(self, segment: str) -> str:
        """The MAC of the node's interface on a segment, as `ip` writes it."""
        (link,) = json.loads(self.run("ip", "-j", "link", "show", "dev", segment))
        return str(link["address"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is on this node: sockets made here stay here. The block must not await."""
        with namespace.entered(self.namespace):
            yield

    def run(self, *argv: str, stdin: str = "", check: bool = True, timeout: float = 30) -> str:
        """Run a program on the node to its end and return its standard output.

        Raises AssertionError with the program's words when it fails (unless check is off), and
        subprocess.TimeoutExpired after `timeout` seconds.
        """
        with self.entered():
            return _run(argv, stdin=stdin, check=check, timeout=timeout, where=self.name)

    def ip(self, *lines: str) -> None:
        """Run commands of `ip`, one a line, without the word `ip`."""
        with self.entered():
            _batch(lines, where=self.name)

    def sysctl(self, name: str, value: object | None = None) -> str:
        """Set a sysctl of the node's namespace (or only read it) and return what it then is."""
        path = Path("/proc/sys") / name.replace(".", "/")
        with self.entered():
            if value is not None:
                path.write_text(str(value))
            return path.read_text().strip()

    def unplug(self, segment: str) -> None:
        """Pull the cable: the node's interface loses its carrier."""
        self._port(segment, "down")

    def plug(self, segment: str) -> None:
        """Put the cable back."""
        self._port(segment, "up")

    def cut(
        self, segment: str, direction: Direction = "both", *, loss: float = 1.0, adverts: bool = False
    ) -> None:
        """Lose packets silently (carrier stays), one way or both; `loss` is the share that gets lost.

        With `adverts` nothing but VRRP is lost, and all of that. A second call replaces the first one's loss
        in the directions that it names.
        """
        program = _DROP if loss >= 1 else _DROP_SOME.format(above=int(loss * 0xFFFFFFFF))
        program = _DROP_ADVERTS if adverts else program
        port = self.name
        # Seen from the bridge: what the node sends comes in.
        sides = {"out": ["ingress"], "in": ["egress"], "both": ["ingress", "egress"]}[direction]
        with namespace.entered(self.links[segment].segment.namespace):
            _run(["tc", "qdisc", "replace", "dev", port, "clsact"], where=segment)
            for side in sides:
                rule = f"dev {port} {side} pref 1 handle 1 protocol all bpf direct-action bytecode"
                _run(["tc", "filter", "replace", *rule.split(), program], where=segment)

    def mend(self, segment: str) -> None:
        """Lose nothing any more."""
        with namespace.entered(self.links[segment].segment.namespace):
            _run(["tc", "qdisc", "del", "dev", self.name, "clsact"], where=segment)

    def _port(self, segment: str, state: str) -> None:
        with namespace.entered(self.links[segment].segment.namespace):
            _batch([f"link set {self.name} {state}"], where=segment)


class Network:
    """Segments and nodes; they exist while the `with` block runs.

    Raises AssertionError with the words of `ip` when something cannot be made; what was made until then is
    removed.
    """

    def __init__(self) -> None:
        self._prefix = f"lab{os.getpid()}-{next(_serial)}"
        self.segments: dict[str, Segment] = {}
        self.nodes: dict[str, Node] = {}
        self._made: list[str] = []

    def segment(self, name: str, ipv4: str, ipv6: str) -> Segment:
        """Declare a wire."""
        made = Segment(name, f"{self._prefix}-{name}", IPv4Network(ipv4), IPv6Network(ipv6))
        self.segments[name] = made
        return made

    def node(self, name: str, *, forward: bool = False, routes: Iterable[str] = (), **numbers: int) -> Node:
        """Declare a machine: `node("lb1", forward=True, front=1, back=1)`.

        Routes are in the words of `ip route add`. Names have at most 15 letters: they name bridge ports too.
        """
        links = {segment: Link(self.segments[segment], number) for segment, number in numbers.items()}
        made = Node(name, f"{self._prefix}-{name}", links, list(routes), forward)
        self.nodes[name] = made
        return made

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    @property
    def servers(self) -> list[Node]:
        """The nodes called rs1, rs2, ..."""
        return [node for name, node in self.nodes.items() if name.startswith("rs")]

    @property
    def directors(self) -> list[Node]:
        """The nodes called lb1, lb2, ..."""
        return [node for name, node in self.nodes.items() if name.startswith("lb")]

    def part(self, segment: str, *nodes: str) -> None:
        """These nodes no longer hear one another on a segment, while every other node still hears them."""
        self._isolate(segment, nodes, "on")

    def join(self, segment: str, *nodes: str) -> None:
        """Undo `part`."""
        self._isolate(segment, nodes, "off")

    def build(self) -> None:
        """Make it all. `with` calls this."""
        # Noted before they are made: removal forgives the ones that were not.
        self._made = [segment.namespace for segment in self.segments.values()]
        self._made += [node.namespace for node in self.nodes.values()]
        _batch([f"netns add {name}" for name in self._made], where="network")
        for name in self._made:
            _sysctls(name, _SYSCTLS)
        nodes = list(self.nodes.values())
        _batch(_cables(nodes), where="network")
        for segment in self.segments.values():
            with namespace.entered(segment.namespace):
                _batch(_BRIDGE + _ports(segment, nodes), where=segment.name)
        for node in self.nodes.values():
            _sysctls(node.namespace, _FORWARD if node.forward else {})
            node.ip(*_addressing(node))
        self._settle()

    def reboot(self, name: str) -> None:
        """All that a node's kernel held is gone, and so is what ran there; it is connected as before."""
        node = self.nodes[name]
        namespace.clear([node.namespace])
        # A namespace is taken apart in its own time, and its cables with it; these must go now.
        node.ip(*(f"link del {segment}" for segment in node.links))
        _batch([f"netns del {node.namespace}", f"netns add {node.namespace}", *_cables([node])], where=name)
        for link in node.links.values():
            with namespace.entered(link.segment.namespace):
                _batch(_ports(link.segment, [node]), where=link.segment.name)
        _sysctls(node.namespace, _SYSCTLS | (_FORWARD if node.forward else {}))
        node.ip(*_addressing(node))
        self._settle()

    def remove(self) -> None:
        """Remove it all, and what still runs there. `with` calls this, whatever happened inside."""
        present = [name for name in self._made if (namespace.DIRECTORY / name).exists()]
        self._made = []
        namespace.clear(present)
        _batch([f"netns del {name}" for name in present], where="network")

    def __enter__(self) -> Self:
        try:
            self.build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _settle(self) -> None:
        """Have the kernel finish what it does later by itself, or first packets would be a second late."""
        for segment in self.segments.values():
            ports = [node.name for node in self.nodes.values() if segment.name in node.links]
            _read_carriers(segment.namespace, ports)
        for node in self.nodes.values():
            _read_carriers(node.namespace, node.links)
        for node in self.nodes.values():
            _await_groups(node)

    def _isolate(self, segment: str, nodes: Sequence[str], state: str) -> None:
        with namespace.entered(self.segments[segment].namespace):
            _batch([f"link set {node} type bridge_slave isolated {state}" for node in nodes], where=segment)


# Without snooping off, the bridge would learn who wants VRRP's group and drop adverts meanwhile.
_BRIDGE = ["link set lo up", "link add br0 type bridge mcast_snooping 0", "link set br0 up"]


def _cables(nodes: Iterable[Node]) -> list[str]:
    return [
        f"link add {link.segment.name} netns {node.namespace} type veth"
        f" peer name {node.name} netns {link.segment.namespace}"
        for node in nodes
        for link in node.links.values()
    ]


def _ports(segment: Segment, nodes: Iterable[Node]) -> list[str]:
    """The ends of the nodes' cables at the bridge."""
    names = [node.name for node in nodes if segment.name in node.links]
    return [line for name in names for line in (f"link set {name} master br0", f"link set {name} up")]


def topology(
    *,
    directors: int = 1,
    servers: int = 3,
    router: bool = False,
    gateway: int = 1,
    server_segments: Sequence[str] = ("back",),
) -> Network:
    """The usual layout, declared and not yet built.

    front 192.0.2.0/24, 2001:db8:1::/64: client .10, lb1 .1, lb2 .2, router .254 (.100 and up are free for
    VIPs) back 10.0.1.0/24, 2001:db8:2::/64: lb1 .1, lb2 .2, rs1 .11, rs2 .12, ...

    `gateway` is the number on the back segment of the servers' default route (1: lb1; give another for a
    floating one). With `router` the client sits behind a router, in 198.51.100.0/24 and 2001:db8:3::/64. With
    `server_segments=("front",)` the servers share the client's wire and have no other, as for direct routing;
    they then have no gateway.
    """
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.segment("back", "10.0.1.0/24", "2001:db8:2::/64")
    outside = ["default via 192.0.2.254", "default via 2001:db8:1::254"] if router else []
    if router:
        net.segment("outside", "198.51.100.0/24", "2001:db8:3::/64")
        net.node("router", forward=True, front=254, outside=254)
        net.node("client", routes=["default via 198.51.100.254", "default via 2001:db8:3::254"], outside=10)
    else:
        net.node("client", front=10)
    for number in range(1, directors + 1):
        net.node(f"lb{number}", forward=True, routes=outside, front=number, back=number)
    inside = [f"default via 10.0.1.{gateway}", f"default via 2001:db8:2::{gateway}"]
    for number in range(11, 11 + servers):
        routes = inside if "back" in server_segments else outside
        links = dict.fromkeys(server_segments, number)
        net.node(f"rs{number - 10}", forward=False, routes=routes, **links)
    return net


def _addressing(node: Node) -> list[str]:
    # lo first: without a local routing table IPVS refuses every destination with EINVAL.
    lines = ["link set lo up"]
    for name, link in node.links.items():
        lines += [
            f"addr add {link.ipv4}/{link.segment.ipv4.prefixlen} brd + dev {name}",
            f"addr add {link.ipv6}/{link.segment.ipv6.prefixlen} dev {name} nodad",
            # The kernel's own link-local address is tentative for a moment; neighbours asked for meanwhile
            # are asked again a second later.
            f"link set {name} addrgenmode none",
            f"addr add fe80::{link.number}/64 dev {name} nodad",
            f"link set {name} up",
        ]
    return lines + [f"route add {route}" for route in node.routes]


def _sysctls(name: str, values: dict[str, int]) -> None:
    with namespace.entered(name):
        for key, value in values.items():
            (Path("/proc/sys") / key.replace(".", "/")).write_text(str(value))


def _read_carriers(name: str, interfaces: Iterable[str]) -> None:
    # The bridge opens a port when its carrier is noticed, up to a second later (net/core/link_watch.c).
    # net/ethtool/ioctl.c, ETHTOOL_GLINK: asking for the link runs linkwatch_sync_dev(), which is why we ask.
    with namespace.entered(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for interface in interfaces:
            value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_GLINK, 0), 8)
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(handle, SIOCETHTOOL, request)


def _await_groups(node: Node) -> None:
    """Wait until the node listens to the multicast groups that its neighbours ask for its addresses on.

    addrconf_dad_work() (net/ipv6/addrconf.c) joins them from a work queue and tells nobody: there is no event
    to wait for, so this looks until it is so.
    """
    wanted = {f"ff0200000000000000000001ff{int(link.ipv6) & 0xFFFFFF:06x}" for link in node.links.values()}
    deadline = time.monotonic() + 10
    with node.entered():
        while not wanted <= set(Path("/proc/thread-self/net/igmp6").read_text().split()):
            assert time.monotonic() < deadline, f"{node} does not listen for neighbour solicitations"
            time.sleep(0.001)


def _batch(lines: Iterable[str], *, where: str) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        _run(["ip", "-batch", "-"], stdin=text, where=where)


def _run(argv: Sequence[str], *, where: str, stdin: str = "", check: bool = True, timeout: float = 30) -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode != 0:
        words = f"{done.stdout}{done.stderr}{stdin}".rstrip()
        raise AssertionError(f"{where}: {' '.join(argv)} ended with {done.returncode}\n{words}")
    return done.stdout
