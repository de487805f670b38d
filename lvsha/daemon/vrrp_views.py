"""VRRP as an operator sees it: what the configuration asks for beside what the speaker says."""

from __future__ import annotations

from lvsha.api.views import TrackerView, VrrpView
from lvsha.config import Config, VrrpConfig
from lvsha.daemon.specs import tracker_name
from lvsha.speaker.messages import InstanceStatus, StatusReport


def views(config: Config, report: StatusReport | None) -> list[VrrpView]:
    """One view an instance, in the configuration's order; without a speaker they say so."""
    known = {s.name: s for s in report.instances} if report is not None else {}
    # No instance can be told of what is not addressed to any: all of them tell it.
    dropped = report.dropped if report is not None else {}
    unasked = {f"unasked_{reason}": n for reason, n in dropped.items()}
    return [_view(v, known.get(name), unasked) for name, v in config.vrrp.items()]


def _view(vrrp: VrrpConfig, status: InstanceStatus | None, unasked: dict[str, int]) -> VrrpView:
    priority = status.priority if status else vrrp.priority
    return VrrpView(
        name=vrrp.name,
        group=vrrp.group,
        interface=vrrp.interface,
        vrid=vrrp.vrid,
        version=vrrp.version,
        state=status.state.value if status else "unknown",
        priority=priority,
        base_priority=vrrp.priority,
        why=status.why if status else "the speaker does not answer",
        since=status.since if status else 0.0,
        master=status.master if status else None,
        peers=tuple(str(p) for p in vrrp.peers),
        interval=vrrp.interval,
        timers=_timers(vrrp, status),
        addresses=status.addresses if status else (),
        counters=_counters(status, unasked),
        trackers=tuple(_tracker(tracker_name(t), t.weight, status) for t in vrrp.track),
        held=status.held if status else False,
        master_priority=(status.master_priority or None) if status else None,
        yields=status.yields if status else False,
    )


def _timers(vrrp: VrrpConfig, status: InstanceStatus | None) -> dict[str, float]:
    lease = {"lease": float(vrrp.lease or 0)}
    return lease if status is None else {name: round(s, 4) for name, s in status.timers.items()} | lease


def _counters(status: InstanceStatus | None, unasked: dict[str, int]) -> dict[str, int]:
    if status is None:
        return {}
    dropped = {f"dropped_{reason}": count for reason, count in status.dropped.items()}
    counts = {"sent": status.sent, "received": status.received, "transitions": status.transitions}
    return counts | ({"unsent": status.unsent} if status.unsent else {}) | dropped | unasked


def _tracker(name: str, weight: int, status: InstanceStatus | None) -> TrackerView:
    fault = status.faults.get(name) if status else None
    now = status.weights.get(name, 0) if status else 0
    # A positive weight is a reward while the tracker is well, a negative one a penalty while it is not.
    well = fault is None and (now != 0 if weight > 0 else now == 0)
    return TrackerView(name, well, weight, fault or "")
