"""The doctor's eyes: everything that the judgements need, seen in one go.

Nothing is changed by looking. Neighbours that nothing was sent to lately are asked for (one ARP request or
neighbour solicitation each), and given a moment to answer; for the services' addresses everybody is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from lvsha.config import Config
from lvsha.daemon import settings
from lvsha.daemon.doctor import claims, fullnat, machine
from lvsha.daemon.doctor.facts import Facts, per_link, strangers
from lvsha.daemon.record import Entry
from lvsha.errors import KernelError
from lvsha.kernel.addresses import Addresses, Held
from lvsha.kernel.forwarding import Gate, gates
from lvsha.kernel.links import Link, Links
from lvsha.kernel.modules import find
from lvsha.kernel.neighbours import Answer, Neighbour, Neighbours, Place
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Routes, Way
from lvsha.kernel.sysctl import SysctlError, read
from lvsha.model import Address, Observed
from lvsha.speaker.directing import SETTING
from lvsha.speaker.messages import StatusReport
from lvsha.wire.owners import Question, owners

PER_LINK = ("arp_announce", "arp_ignore", "forwarding", "rp_filter", "send_redirects")
"""Settings of every interface that judgements ask for."""
PATIENCE = 1.5
"""Seconds that silent neighbours are given: the kernel asks again after one (retrans_time)."""
_AGAIN = 0.05
OTHERS = frozenset({"keepalived", "ldirectord", "surealived", "seesaw_engine", "kube-proxy", "kube-router"})
"""Programs that write IPVS, by the name of their process."""
_PROC = Path("/proc")


async def look(
    config: Config,
    observed: Observed,
    *,
    trouble: str = "",
    refused: Iterable[str] = (),
    report: StatusReport | None = None,
    alarms: Iterable[str] = (),
    changed: Iterable[Entry] = (),
) -> Facts:
    """See everything. Raises KernelError where netlink does not answer."""
    links, held = await _links(), await _held()
    ways = await _ways(config)
    neighbours = await _neighbours(_hops(ways, strangers(config)))
    changed = tuple(changed)
    names = _settings(config, links) | {entry.name for entry in changed}
    seen = Facts(
        observed=observed,
        trouble=trouble,
        refused=tuple(refused),
        links={link.index: link for link in links},
        held=tuple(held),
        ways=ways,
        neighbours=neighbours,
        sysctls=await asyncio.to_thread(_sysctls, names),
        modules=await asyncio.to_thread(find, machine.modules(config)),
        programs=await asyncio.to_thread(others),
        gates=await _gates(),
        report=report,
        alarms=tuple(alarms),
        changed=changed,
    )
    return replace(seen, owners=await _owners(claims.questions(config, seen)))


async def _owners(questions: list[Question]) -> dict[Address, frozenset[str]]:
    """Who answers; without the privilege to ask nothing is known."""
    with contextlib.suppress(OSError):
        return await owners(questions)
    return {}


async def _gates() -> tuple[Gate, ...]:
    """Chains at the hook `forward`; without the privilege, or a program that lists them, nothing is known."""
    with contextlib.suppress(KernelError):
        return await gates()
    return ()


async def _links() -> list[Link]:
    links = Links.open()
    with contextlib.closing(links):
        return await links.observe()


async def _held() -> list[Held]:
    addresses = Addresses.open()
    with contextlib.closing(addresses):
        return await addresses.observe()


async def _ways(config: Config) -> dict[Address, Way | Refusal]:
    services = config.services.values()
    wanted = {s.address for v in services for s in (*v.servers, *v.fallback)}
    wanted |= {v.address for v in services if v.address is not None} | strangers(config)
    routes = Routes.open()
    with contextlib.closing(routes):
        return await routes.find(list(wanted))


def _hops(ways: Mapping[Address, Way | Refusal], spared: frozenset[Address]) -> list[Place]:
    """Who has to answer on a link for each way."""
    found = {
        (way.gateway or address, way.index)
        for address, way in ways.items()
        if isinstance(way, Way) and not way.local and address not in spared
    }
    return list(found)


async def _neighbours(places: list[Place]) -> dict[Place, Neighbour]:
    """The neighbours at these places, once they have answered or had time to."""
    if not places:
        return {}
    neighbours = Neighbours.open()
    with contextlib.closing(neighbours):
        await neighbours.stir(places)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            known = {(n.address, n.index): n for n in await neighbours.observe()}
            found = {place: known[place] for place in places if place in known}
            late = asyncio.get_running_loop().time() > deadline
            if late or all(n.answer is not Answer.ASKING for n in found.values()):
                return found
            await asyncio.sleep(_AGAIN)


def _settings(config: Config, links: Iterable[Link]) -> set[str]:
    names = {*settings.wanted(config), *fullnat.SETTINGS, SETTING, "net.ipv4.vs.pmtu_disc"}
    interfaces = [link.name for link in links] + ["all"]
    return names | {per_link(name, s) for name in interfaces for s in PER_LINK}


def _sysctls(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with contextlib.suppress(SysctlError):
            found[name] = read(name)
    return found


def others(proc: Path = _PROC) -> frozenset[str]:
    """Which of `OTHERS` run in this network namespace. It reads many files, so call it in a thread."""
    here = _namespace(proc / "self")
    with os.scandir(proc) as entries:
        pids = [proc / entry.name for entry in entries if entry.name.isdigit()]
    return frozenset(name for pid in pids if (name := _comm(pid)) in OTHERS and _namespace(pid) == here)


def _comm(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _namespace(process: Path) -> int | None:
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:
        return None
