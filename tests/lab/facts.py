"""What the doctor would see of a director with nothing wrong, to be spoiled by tests one thing at a time.

front  1  192.0.2.1/24, and the way to the world by 192.0.2.254
back   2  10.0.0.1/24, where the servers are
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

from lvsha.api.views import FindingView
from lvsha.config import Config, SyncConfig, VipConfig, VrrpConfig
from lvsha.daemon import settings
from lvsha.daemon.doctor.facts import SOMEWHERE, Facts, beside, per_link
from lvsha.desired import source_nats
from lvsha.kernel.addresses import OURS, Held, Place
from lvsha.kernel.links import Link
from lvsha.kernel.modules import Presence
from lvsha.kernel.neighbours import Answer, Neighbour
from lvsha.kernel.routes import Way
from lvsha.model import (
    Family,
    Observed,
    ServerState,
    ServiceState,
    SourceNatState,
)
from lvsha.speaker.messages import InstanceStatus, State, StatusReport

FRONT, BACK = 1, 2
VIP = "192.0.2.100/24"
MAC = bytes.fromhex("020000000001")


def facts(config: Config, **changes: Any) -> Facts:
    """All is well with this configuration, but for the changes."""
    return replace(_well(config), **changes)


def vrrp(*vips: str, name: str = "public", group: str | None = None, lease: int | None = 4) -> VrrpConfig:
    """An instance; an address of 10.0.0.0/8 is on `back`, any other on `front`."""
    every = tuple(
        VipConfig(ip_interface(v), "back" if v.startswith("10.") else "front") for v in vips or (VIP,)
    )
    return VrrpConfig(name, "front", 51, 3, Family.IPV4, 100, 1.0, every, group=group, lease=lease)


def pair(config: Config, *instances: VrrpConfig, sync: bool = True) -> Config:
    """The configuration of one of a pair."""
    some = instances or (vrrp(),)
    return replace(config, vrrp={v.name: v for v in some}, sync=SyncConfig("back") if sync else None)


def held(address: str, index: int, *, mark: int = 0) -> Held:
    """An address on an interface."""
    return Held(Place(ip_interface(address), index), 0, None, mark)


def status(name: str = "public", state: State = State.MASTER, **changes: Any) -> InstanceStatus:
    """How an instance stands."""
    usual: dict[str, Any] = {
        "name": name,
        "group": None,
        "state": state,
        "since": 0.0,
        "why": "no master was heard",
        "priority": 100,
        "master": "192.0.2.1",
        "held": False,
        "faults": {},
        "weights": {},
        "addresses": (),
        "sent": 1,
        "received": 0,
        "dropped": {},
        "transitions": 1,
    }
    return InstanceStatus(**(usual | changes))


def report(*instances: InstanceStatus, **changes: Any) -> StatusReport:
    """What the speaker says of itself."""
    usual: dict[str, Any] = {
        "id": 1,
        "pid": 1,
        "started": 0.0,
        "configured": True,
        "gate": True,
        "realtime": True,
        "locked": True,
        "instances": instances or (status(),),
        "dropped": {},
    }
    return StatusReport(**(usual | changes))


def bad(findings: Iterable[FindingView]) -> list[FindingView]:
    """What is not `ok`."""
    return [f for f in findings if f.severity != "ok"]


def _well(config: Config) -> Facts:
    return Facts(
        observed=_observed(config),
        links={
            i: Link(i, n, MAC, 1500, up=True, running=True) for i, n in ((FRONT, "front"), (BACK, "back"))
        },
        held=_held(config),
        ways=_ways(config),
        neighbours={
            (s.address, BACK): Neighbour(s.address, BACK, Answer.KNOWN)
            for v in config.services.values()
            for s in (*v.servers, *v.fallback)
        },
        sysctls={
            **{name: str(value) for name, value in settings.wanted(config).items()},
            **{
                per_link(n, s): "0" for n in ("all", "front", "back") for s in ("rp_filter", "send_redirects")
            },
            **{per_link(n, "forwarding"): "1" for n in ("all", "front", "back")},
            "net.netfilter.nf_conntrack_max": "262144",
            "net.netfilter.nf_conntrack_count": "10",
        },
        modules={f"ip_vs_{s.scheduler}": Presence.AT_HAND for s in config.services.values()},
        report=report(*(status(name) for name in config.vrrp)) if config.vrrp else None,
    )


def _observed(config: Config) -> Observed:
    services = {
        v.key: ServiceState(v.service, {s.key: ServerState(s.server) for s in v.servers})
        for v in config.services.values()
    }
    sync = config.sync.daemons if config.sync else frozenset()
    return Observed(services, sync=sync, source_nat=SourceNatState(source_nats(config)))


def _held(config: Config) -> tuple[Held, ...]:
    moving = [vip for v in config.vrrp.values() for vip in (*v.addresses, *v.excluded)]
    virtual = [
        held(str(vip.address), BACK if vip.interface == "back" else FRONT, mark=OURS) for vip in moving
    ]
    if not virtual:
        virtual = [held(f"{v.address}/32", FRONT) for v in config.services.values() if v.address is not None]
    return (held("192.0.2.1/24", FRONT), held("10.0.0.1/24", BACK), *dict.fromkeys(virtual))


def _ways(config: Config) -> dict[Any, Way]:
    services = config.services.values()
    servers = {
        s.address: Way(BACK, None, ip_address("10.0.0.1"), 0, local=False)
        for v in services
        for s in (*v.servers, *v.fallback)
    }
    own = {v.address: Way(FRONT, None, v.address, 0, local=True) for v in services if v.address is not None}
    world = Way(FRONT, ip_address("192.0.2.254"), ip_address("192.0.2.1"), 0, local=False)
    moving = [vip for v in config.vrrp.values() for vip in (*v.addresses, *v.excluded)]
    near = {
        neighbour: Way(BACK if vip.interface == "back" else FRONT, None, None, 0, local=False)
        for vip in moving
        if (neighbour := beside(vip.address)) is not None
    }
    return {**near, **servers, **own, **dict.fromkeys(SOMEWHERE.values(), world)}
