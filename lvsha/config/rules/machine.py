"""Rules of the tables about this machine: connection sync, IPVS sysctls, sockets."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.config.problems import Finding, KeyPath, did_you_mean, error, warning
from lvsha.config.resolve import Resolved
from lvsha.config.settings.machine import SyncConfig
from lvsha.model import Mode, family_of

SYSCTLS = frozenset(
    {
        "am_droprate",
        "amemthresh",
        "backup_only",
        "cache_bypass",
        "conn_lfactor",
        "conn_max",
        "conn_reuse_mode",
        "conntrack",
        "drop_entry",
        "drop_packet",
        "est_cpulist",
        "est_nice",
        "expire_nodest_conn",
        "expire_quiescent_template",
        "ignore_tunneled",
        "nat_icmp_send",
        "pmtu_disc",
        "run_estimation",
        "schedule_icmp",
        "secure_tcp",
        "sloppy_sctp",
        "sloppy_tcp",
        "snat_reroute",
        "svc_lfactor",
        "sync_persist_mode",
        "sync_ports",
        "sync_qlen_max",
        "sync_refresh_period",
        "sync_retries",
        "sync_sock_size",
        "sync_threshold",
        "sync_version",
    }
)
"""vs_vars of net/netfilter/ipvs/ip_vs_ctl.c."""


def judge(resolved: Resolved) -> Iterator[Finding]:
    """Everything that is wrong with these tables."""
    if resolved.config.sync is not None:
        yield from _sync(resolved.config.sync)
        yield from _mixed_families(resolved)
    yield from _sysctl(resolved)


def _sync(sync: SyncConfig) -> Iterator[Finding]:
    if not sync.group.is_multicast:
        yield error(
            ("sync", "group"), f"{sync.group} is not a multicast group", "leave it out for 224.0.0.81"
        )
    elif sync.group.version == 6 and not sync.group.is_link_local and not str(sync.group).startswith("ff02"):
        message = f"{sync.group} reaches beyond the link"
        yield warning(("sync", "group"), message, "use a group of ff02::/16")
    most = 65535 - 8 - (20 if sync.group.version == 4 else 40)
    if sync.maxlen > most:
        yield error(
            ("sync", "maxlen"), f"is {sync.maxlen}, and a UDP packet carries {most}", "make it smaller"
        )


def _mixed_families(resolved: Resolved) -> Iterator[Finding]:
    """ip_vs_genl_set_cmd() answers EINVAL to such a server while a sync daemon runs."""
    for draft in resolved.services.values():
        for place in draft.places:
            if place.config.mode is Mode.TUN and family_of(place.config.address) is not draft.config.family:
                message = (
                    f"{place.config.address} is of another family than the service, and the kernel has no "
                    "connection sync for such services"
                )
                yield error(place.path, message, "take [sync] out, or use a server of the service's family")


def _sysctl(resolved: Resolved) -> Iterator[Finding]:
    values = resolved.config.ipvs.sysctl
    for name, value in values.items():
        path = ("ipvs", "sysctl", name)
        if name == "sync_threshold":
            yield from _threshold(value, path)
        elif isinstance(value, str):
            yield error(path, "takes one number", "write it without quotes")
        elif name not in SYSCTLS:
            hint = (
                did_you_mean(name, SYSCTLS) or "it will be an error when the kernel does not know it either"
            )
            yield warning(path, "is not a sysctl of IPVS that lvsha knows", hint)
    serving = resolved.config.ipvs.directors_serve
    if values.get("backup_only") and resolved.config.sync is not None and not serving:
        message = "stops the kernel from directing wherever the backup role of sync runs, and both roles run"
        hint = "leave it out; where the directors are servers as well: [ipvs] directors_serve = true"
        yield error(("ipvs", "sysctl", "backup_only"), message, hint)
    yield from _conntrack(resolved)


def _threshold(value: int | str, path: KeyPath) -> Iterator[Finding]:
    """proc_do_sync_threshold(): after how many packets, and then again after every so many."""
    numbers = [int(number) for number in str(value).split()]
    if len(numbers) != 2 or (numbers[1] and numbers[0] >= numbers[1]):
        yield error(path, "takes two numbers, the first below the second", 'write it as "3 50"')


def _conntrack(resolved: Resolved) -> Iterator[Finding]:
    if resolved.config.ipvs.sysctl.get("conntrack") != 0:
        return
    for draft in resolved.services.values():
        if any(place.config.mode is Mode.FULLNAT for place in draft.places):
            message = f"mode fullnat of {draft.config.name} needs it to be 1: source NAT is done by conntrack"
            yield error(("ipvs", "sysctl", "conntrack"), message, "leave it out")
            return
