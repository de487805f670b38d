"""Connection sync: both roles run, on a link that is there."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, SyncConfig
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import error, info, ok
from lvsha.model import Desired, Observed, SyncDaemon, SyncRole
from lvsha.plan import StopSync, plan


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about connection sync."""
    if config.sync is not None:
        yield from _link(config.sync, facts)
        if not facts.trouble:
            yield from _roles(config.sync, facts)
    elif config.vrrp and config.services:
        words = "is not configured: established connections break at a failover"
        yield info("sync", words, "add [sync] interface, on both directors")


def _link(sync: SyncConfig, facts: Facts) -> Iterator[FindingView]:
    index = facts.index(sync.interface)
    trouble = facts.links[index].trouble if index is not None else f"{sync.interface} does not exist"
    if trouble:
        yield error("sync", f"no connections are told: {trouble}", f"ip link set {sync.interface} up")


def _roles(sync: SyncConfig, facts: Facts) -> Iterator[FindingView]:
    running = {daemon.role: daemon for daemon in facts.observed.sync}
    lacking = [role.name.lower() for role in SyncRole if role not in running]
    if lacking:
        words = f"role {' and '.join(lacking)} does not run: connections are not kept in step"
        yield error("sync", words, "lvsha-cli look")
        return
    strange = [
        step.daemon
        for step in plan(Desired(sync=sync.daemons), Observed(sync=facts.observed.sync))
        if isinstance(step, StopSync)
    ]
    for daemon in strange:
        words = f"role {daemon.role.name.lower()} runs {_where(daemon)}, and not as [sync] says"
        yield error("sync", f"{words}: the directors do not hear each other", "lvsha-cli look")
    if not strange:
        yield ok("sync", f"both roles run {_where(running[SyncRole.MASTER])}")


def _where(daemon: SyncDaemon) -> str:
    return f"on {daemon.interface}, id {daemon.sync_id}, group {daemon.group}"
