"""Rules of directors that are real servers as well (`[ipvs] directors_serve`).

A director is known as a server by its address in `[nodes]`; one that is reached as a server by another of its
addresses is not, so nothing here is sure to be noticed but by the doctor.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.config.problems import Finding, KeyPath, error, spell, warning
from lvsha.config.resolve import Resolved
from lvsha.config.resolve.services import Draft, Place
from lvsha.model import Mode

OPTION: KeyPath = ("ipvs", "directors_serve")
_SINGLY = ("sh", "mh")
"""Schedulers by which both directors come to the same server."""


def judge(resolved: Resolved) -> Iterator[Finding]:
    """Everything that is wrong with such a pair."""
    if resolved.config.ipvs.directors_serve:
        yield from _needed(resolved)
        yield from _as_one(resolved)
        yield from _checks(resolved)
        yield from _modes(resolved)
    elif len(resolved.config.nodes) > 1 and resolved.written.vrrp:
        yield from _circles(resolved)


def _needed(resolved: Resolved) -> Iterator[Finding]:
    if resolved.config.sync is None:
        message = "needs [sync]: the kernel heeds backup_only while the backup role runs, and not without it"
        yield error(OPTION, message, "add [sync] interface")
    if not resolved.written.names["vrrp"]:
        message = "needs a VRRP instance: who is not its master does not direct"
        yield error(OPTION, message, "add [vrrp.NAME], or leave this out on a lone director")
    if "backup_only" in resolved.config.ipvs.sysctl:
        message = "follows the election with directors_serve: 0 on the master, 1 on the other director"
        yield error(("ipvs", "sysctl", "backup_only"), message, "leave it out")


def _as_one(resolved: Resolved) -> Iterator[Finding]:
    """There is one such setting for all of a machine."""
    for instances in resolved.instances.values():
        groups = {instance.config.group for instance in instances.values()}
        if len(instances) > 1 and (len(groups) > 1 or None in groups):
            names = ", ".join(spell(instance.path) for instance in instances.values())
            message = f"a machine directs for all addresses or none, and {names} may be on different nodes"
            yield error(OPTION, message, "give all instances the same group")
            return


def _checks(resolved: Resolved) -> Iterator[Finding]:
    for draft in resolved.services.values():
        for place in draft.places:
            check = place.config.check
            if check is not None and check.through == "vip":
                message = (
                    'through = "vip" leads nowhere from the director that is not master: its IPVS directs '
                    "nothing with directors_serve"
                )
                yield error((*place.path, "check"), message, 'use through = "server"')


def _modes(resolved: Resolved) -> Iterator[Finding]:
    for _, place, node in _directors(resolved):
        path, who = (*place.path, "mode"), f"{place.config.address} is the director {node}"
        if place.config.mode is Mode.NAT:
            message = f"{who}: its answers do not pass the master, which would have to rewrite their source"
            yield error(path, message, 'use "dr"')
        elif place.config.mode is Mode.TUN:
            yield error(path, f"{who}, and directors share a link: no tunnel is needed", 'use "dr"')


def _circles(resolved: Resolved) -> Iterator[Finding]:
    for draft, place, node in _directors(resolved):
        if place.config.mode not in (Mode.DR, Mode.TUN) or node == resolved.config.node.name:
            continue
        what = "would be directed once more there, by its own IPVS"
        if draft.config.scheduler not in _SINGLY:
            what += ", and may go in circles"
        message = f"{place.config.address} is the director {node}: what the other one directs to it {what}"
        yield warning(place.path, message, "set [ipvs] directors_serve = true")


def _directors(resolved: Resolved) -> Iterator[tuple[Draft, Place, str]]:
    """Servers that are directors, with the names of their nodes."""
    names = {node.address: name for name, node in resolved.config.nodes.items() if node.address is not None}
    for draft in resolved.services.values():
        for place in draft.places:
            if place.config.address in names:
                yield draft, place, names[place.config.address]
