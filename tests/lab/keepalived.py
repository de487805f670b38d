"""Debian's keepalived on a node: a peer that nobody here wrote.

async with keepalived(net["lb2"], tmp_path, "vrrp_instance VI { ... }") as peer:
    await peer.enters("MASTER")
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.lab.network import Node
from tests.lab.process import Process, spawn


class Keepalived:
    """One running keepalived: a parent and its VRRP child, in a process group of their own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def mark(self) -> int:
        """How much it has said until now, for `enters(..., since=mark)`."""
        return len(self.said)

    async def enters(self, state: str, *, since: int = 0, within: float = 15) -> None:
        """Wait until it says that its instance enters MASTER, BACKUP or FAULT."""
        await self._process.line(f"Entering {state} STATE", since=since, within=within)

    @property
    def said(self) -> list[str]:
        """Its log."""
        return self._process.said

    @property
    def complaints(self) -> list[str]:
        """What it says of packets that it does not take."""
        return [line for line in self.said if "nvalid" in line or "bad" in line.lower()]

    def freeze(self) -> None:
        """Stop all of it where it stands."""
        self._process.signal(signal.SIGSTOP, group=True)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.signal(signal.SIGCONT, group=True)

    async def kill(self) -> None:
        """SIGKILL, all of it."""
        self._process.signal(signal.SIGKILL, group=True)
        await self._process.wait()

    async def stop(self) -> None:
        """An orderly stop: it resigns."""
        await self._process.stop()


@asynccontextmanager
async def keepalived(
    node: Node, directory: Path, text: str, *, part: str = "vrrp"
) -> AsyncIterator[Keepalived]:
    """A running keepalived with this configuration; killed at the end, if it still runs.

    `part`: its `vrrp` alone, or its `check` alone, which writes IPVS.
    """
    home = directory / f"keepalived-{node.name}"
    home.mkdir(parents=True, exist_ok=True)
    (home / "keepalived.conf").write_text(f"global_defs {{\n  script_user root\n}}\n{text}")
    pids = [f"--{kind}={home / kind}" for kind in ("pid", "vrrp_pid", "checkers_pid")]
    process = await spawn(
        node,
        "keepalived",
        "--dont-fork",
        "--log-console",
        "--log-detail",
        f"--{part}",
        f"--use-file={home / 'keepalived.conf'}",
        *pids,
        # As ours is: a busy machine that keeps a peer from its adverts costs it its role, and rightly.
        realtime=part == "vrrp",
    )
    try:
        yield Keepalived(process)
    finally:
        if process.status is None:
            process.signal(signal.SIGCONT, group=True)
            await process.kill()


def vrrp_instance(
    *lines: str, vips: tuple[str, ...], priority: int, interval: float, version: int = 3
) -> str:
    """A `vrrp_instance` on the wire `front` with virtual router 51; `lines` are further settings."""
    return "\n  ".join(
        (
            "vrrp_instance VI {",
            "state BACKUP",
            "interface front",
            "virtual_router_id 51",
            f"version {version}",
            f"priority {priority}",
            f"advert_int {interval:g}",
            "garp_master_delay 0",
            *lines,
            "virtual_ipaddress {",
            *(f"  {vip}" for vip in vips),
            "}\n}\n",
        )
    )
