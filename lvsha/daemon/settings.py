"""The kernel settings that a configuration needs, written and told.

A setting that is right already is not written, and settings outside a mode that is in use are
left alone. They are looked at when IPVS has been found, at each reload, and every `[ipvs] look` after
that: what somebody else changed, or a module that was loaded anew has forgotten, is put right. What was there
before is on disk first, and comes back some time after nothing needs the setting any more
(`lvsha.daemon.ledger`).

What lvsha would have of net.ipv4.vs, and why, stands in docs/sync.md; `[ipvs] sysctl` has the last word.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from lvsha.config import Config
from lvsha.daemon.ledger import Ledger
from lvsha.daemon.memory import Memory
from lvsha.daemon.probes import seems_forged
from lvsha.daemon.record import Entry
from lvsha.kernel.sysctl import Settled, SysctlError, interfaces, read
from lvsha.log import emit
from lvsha.model import Family, Mode, Protocol
from lvsha.speaker.directing import SETTING

FORWARDING = {Family.IPV4: "net.ipv4.ip_forward", Family.IPV6: "net.ipv6.conf.all.forwarding"}

ACCEPT_REDIRECTS = "net.ipv4.conf.all.accept_redirects"
ACCEPT_LOCAL = "accept_local"
"""The need of checks that are led to a server of mode dr or tun; set on the interfaces they leave by."""

EXPIRY: Mapping[str, int | str] = {
    # A packet to a server that has been removed ends its connection: the client learns it at once, and a
    # UDP client gets another server. Else the packets vanish until a timeout.
    "expire_nodest_conn": 1,
    # A drained server gets no new connections from persistent clients either.
    "expire_quiescent_template": 1,
}
SYNC: Mapping[str, int | str] = {
    # Every connection is told of with its first packet after the handshake, and again when there is
    # traffic on it, every so many seconds. With the kernel's 3 and 50 a client that only listens is
    # never told of, and a node that comes back hears of a slow connection hours later.
    "sync_threshold": "0 1",
    "sync_refresh_period": 10,
    # Said once more after an eighth of that, for a message may be lost.
    "sync_retries": 1,
    # Both ends' socket buffers; the kernel caps it by net.core.rmem_max and wmem_max.
    "sync_sock_size": 1 << 20,
}
FULLNAT: Mapping[str, int | str] = {
    # A connection that a failover brings is taken up in its midst.
    "net.netfilter.nf_conntrack_tcp_loose": 1,
    # A director that has a connection back, after the other one had it, knows only where its sequence
    # numbers were, and would let what is beyond that window pass without source NAT.
    "net.netfilter.nf_conntrack_tcp_be_liberal": 1,
}
"""What source NAT needs of connection tracking (Documentation/networking/nf_conntrack-sysctl.rst)."""
FULLNAT_UDP = ("net.netfilter.nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_udp_timeout_stream")
"""Connection tracking forgets a UDP flow after 30 s, one of more than a question and its answer after 120 s
(net/netfilter/nf_conntrack_proto_udp.c). What a server says later would find no source NAT any more, and
be dropped by the guard, though IPVS still has the connection: so both remember it for as long as IPVS."""
UDP_TIMEOUT = 300
"""Seconds that IPVS has of itself (net/netfilter/ipvs/ip_vs_proto_udp.c)."""
HASHING = ("sh", "mh")


def wanted(config: Config) -> Mapping[str, str | int]:
    """Every setting that the configuration needs, by its name for sysctl(8)."""
    settings: dict[str, str | int] = {f"net.ipv4.vs.{name}": value for name, value in _ipvs(config).items()}
    for service in config.services.values():
        modes = {s.mode for s in (*service.servers, *service.fallback)} | {service.mode}
        # What NAT sends back to a client is forwarded by the ordinary routing code.
        if modes & {Mode.NAT, Mode.FULLNAT}:
            settings[FORWARDING[service.family]] = 1
        if Mode.FULLNAT in modes:
            settings |= FULLNAT
            # A mark may come with packets of any protocol.
            if service.fwmark is not None or service.protocol is Protocol.UDP:
                settings |= dict.fromkeys(FULLNAT_UDP, config.ipvs.timeouts.udp or UDP_TIMEOUT)
    return settings


def _ipvs(config: Config) -> Mapping[str, str | int]:
    defaults: dict[str, str | int] = {}
    if config.services:
        defaults |= EXPIRY
    if config.sync is not None:
        defaults |= SYNC
        if not config.ipvs.directors_serve:
            # With 1 the kernel directs nothing where the backup role runs. Where directors are servers, the
            # speaker writes it: 1 on all but the master.
            defaults["backup_only"] = 0
    if config.vrrp and _hashes(config):
        # A connection that this node never heard of comes out at the same server all the same.
        defaults["sloppy_tcp"] = 1
    return {**defaults, **config.ipvs.sysctl}


def _hashes(config: Config) -> bool:
    """Whether every TCP service chooses its servers by the client's address alone."""
    tcp = [s for s in config.services.values() if s.fwmark is not None or s.protocol is Protocol.TCP]
    return bool(tcp) and all(service.scheduler in HASHING for service in tcp)


def _routers() -> Mapping[str, str | int]:
    """What keeps the interfaces that listen to routers doing so when forwarding begins.

    A machine that forwards listens at 2 only (ipv6_accept_ra() in include/net/ipv6.h), and what it learned at
    1, its default route too, is forgotten in that moment (rt6_purge_dflt_routers() in net/ipv6/route.c).
    """
    found: dict[str, str | int] = {}
    for name in (f"net/ipv6/conf/{each}/accept_ra" for each in interfaces("ipv6") if each != "all"):
        # An interface may be gone by now, or have a name of a kind that lvsha leaves alone.
        with contextlib.suppress(SysctlError):
            if read(FORWARDING[Family.IPV6]) == "0" and read(name) == "1":
                found[name] = 2
    return found


def _besides() -> Iterator[Entry]:
    """What the kernel changes by itself when IPv4 forwarding is switched on, and at its end once more.

    It accepts redirects only while it does not forward, whatever an operator had said, and every interface
    forwards or none (inet_forward_change() in net/ipv4/devinet.c).
    """
    switch = FORWARDING[Family.IPV4]
    settings = [f"net/ipv4/conf/{each}/forwarding" for each in interfaces("ipv4") if each != "all"]
    with contextlib.suppress(SysctlError):
        if read(switch) != "0":
            return
        yield Entry(ACCEPT_REDIRECTS, read(ACCEPT_REDIRECTS), "0", switch)
    for name in settings:
        with contextlib.suppress(SysctlError):
            if (there := read(name)) != "0":
                yield Entry(name, there, "1", switch)


class Settings:
    """The settings of this namespace that lvsha has a hand in."""

    def __init__(self, memory: Memory, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = Ledger(memory, clock=clock)
        self.arms: Mapping[str, int] = {}
        """What single interfaces need, as the routes said last (`lvsha.daemon.arms`)."""
        self._told: frozenset[tuple[str, str]] = frozenset()
        self._told_accept: set[tuple[str, str]] = set()

    @property
    def changed(self) -> tuple[Entry, ...]:
        """What lvsha has changed and not put back."""
        return self._ledger.entries

    def accept_local(self, interface: str) -> None:
        """Have an interface take packets that come from own addresses, as answers to some checks seem to."""
        settled = self._ledger.settle({f"net/ipv4/conf/{interface}/accept_local": 1}, need=ACCEPT_LOCAL)
        failed = _tell(settled)
        for name, error in sorted(failed - self._told_accept):
            emit("sysctl.failed", name=name, value=1, error=error)
        self._told_accept |= failed

    def apply(self, config: Config) -> None:
        """Write what is not as it should be; a failure is told, once, and stops nothing."""
        asked = wanted(config)
        failed: set[tuple[str, str]] = set()
        if FORWARDING[Family.IPV6] in asked:
            failed |= _tell(self._ledger.settle(_routers(), need=FORWARDING[Family.IPV6]))
        if FORWARDING[Family.IPV4] in asked:
            self._ledger.note(_besides())
        failed |= _tell(self._ledger.settle({n: v for n, v in asked.items() if not _is_longer(n, v)}))
        # Only what forwarding as a whole has left to do: it switches every interface.
        failed |= _tell(self._ledger.settle(self.arms))
        asked = {**asked, **self.arms}
        failed |= _tell(self._ledger.put_back({*asked, *_others(config)}), "sysctl.restored")
        for name, error in sorted(failed - self._told):
            emit("sysctl.failed", name=name, value=asked.get(name), error=error)
        self._told = frozenset(failed)


def _is_longer(name: str, seconds: str | int) -> bool:
    """Whether a timeout that is only to be long enough is longer than it has to be."""
    if name not in FULLNAT_UDP:
        return False
    with contextlib.suppress(SysctlError):
        return int(read(name)) > int(seconds)
    return False


def _others(config: Config) -> Iterator[str]:
    """What is needed besides, and set when it is met with."""
    servers = (s for service in config.services.values() for s in (*service.servers, *service.fallback))
    if any(s.passage is not None and seems_forged(s.passage) for s in servers):
        yield ACCEPT_LOCAL
    if config.ipvs.directors_serve:
        yield SETTING  # the speaker's now


def _tell(settled: Settled, event: str = "sysctl.changed") -> set[tuple[str, str]]:
    """Tell what was written; what failed, and why."""
    for change in settled.changes:
        emit(event, name=change.name, before=change.before, after=change.after)
    return {(failure.name, str(failure)) for failure in settled.failures}
