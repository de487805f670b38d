"""Connection sync: both roles run, on a link that is there."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, SyncConfig
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import error, info, ok
from lvsha.model import SyncRole


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about connection sync."""
    if config.sync is not None:
        yield from _link(config.sync, facts)
        if not facts.trouble:
            yield from _roles(facts)
    elif config.vrrp and config.services:
        words = "is not configured: established connections break at a failover"
        yield info("sync", words, "add [sync] interface, on both directors")


def _link(sync: SyncConfig, facts: Facts) -> Iterator[FindingView]:
    index = facts.index(sync.interface)
    trouble = facts.links[index].trouble if index is not None else f"{sync.interface} does not exist"
    if trouble:
        yield error("sync", f"no connections are told: {trouble}", f"ip link set {sync.interface} up")


def _roles(facts: Facts) -> Iterator[FindingView]:
    running = {daemon.role: daemon for daemon in facts.observed.sync}
    lacking = [role.name.lower() for role in SyncRole if role not in running]
    if lacking:
        words = f"role {' and '.join(lacking)} does not run: connections are not kept in step"
        yield error("sync", words, "lvsha-cli look")
        return
    daemon = running[SyncRole.MASTER]
    yield ok("sync", f"both roles run on {daemon.interface}, id {daemon.sync_id}, group {daemon.group}")
