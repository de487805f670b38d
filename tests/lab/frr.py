"""FRRouting's vrrpd on a node: a second peer that nobody here wrote.

    async with frr(net["lb2"], router(vips=("192.0.2.100/24",), priority=100, interval=0.1)) as peer:
        await peer.enters("MASTER")

FRR elects and speaks; the addresses are on a macvlan interface with the virtual MAC that it finds by that
MAC, and that it takes down and up through zebra ("protodown"). So zebra runs beside vrrpd, on sockets of
its own. Both give up root for the user `frr`, who must be able to write to their directory.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.network import Node
from tests.lab.process import Process, spawn

PROGRAMS = Path("/usr/lib/frr")
MACVLAN = "virtual"
LINK_LOCAL = "fe80::200"
"""Where its IPv6 adverts come from: the macvlan's own link-local address."""


@dataclass(frozen=True, slots=True)
class Router:
    """Virtual router 51 on the wire `front`, of one family."""

    vips: tuple[str, ...]
    priority: int
    interval: float
    version: int = 3
    preempt: bool = True

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_interface(self.vips[0]).version

    @property
    def mac(self) -> str:
        """RFC 9568, section 7.3."""
        return f"00:00:5e:00:{1 if self.family == 4 else 2:02x}:33"

    def interface(self) -> list[str]:
        """The macvlan, in the words of `ip`."""
        lines = [
            f"link add {MACVLAN} link front type macvlan mode bridge",
            f"link set {MACVLAN} addrgenmode none",
            f"link set {MACVLAN} address {self.mac}",
        ]
        nodad = " nodad" if self.family == 6 else ""
        lines += [f"address add {vip} dev {MACVLAN}{nodad}" for vip in self.vips]
        if self.family == 6:
            lines.append(f"address add {LINK_LOCAL}/64 dev {MACVLAN} nodad")
        return [*lines, f"link set {MACVLAN} up"]

    def configuration(self) -> str:
        """What vrrpd reads."""
        word = "ip" if self.family == 4 else "ipv6"
        head = f"vrrp 51 version {self.version}"
        settings = [
            f"vrrp 51 priority {self.priority}",
            f"vrrp 51 advertisement-interval {round(self.interval * 1000)}",
            *(f"vrrp 51 {word} {ip_interface(vip).ip}" for vip in self.vips),
            *([] if self.preempt else ["no vrrp 51 preempt"]),
        ]
        body = "".join(f" {line}\n" for line in (head, *settings))
        return f"debug vrrp protocol\ndebug vrrp packets\ninterface front\n{body}"


class Frr:
    """A running vrrpd; the same verbs as `tests.lab.keepalived.Keepalived`."""

    def __init__(self, process: Process, family: int) -> None:
        self._process = process
        self._family = family

    @property
    def said(self) -> list[str]:
        """Its log."""
        return self._process.said

    def mark(self) -> int:
        """How much it has said until now, for `enters(..., since=mark)`."""
        return len(self.said)

    async def enters(self, state: str, *, since: int = 0, within: float = 15) -> None:
        """Wait until it says that its router becomes MASTER or BACKUP."""
        texts = (f"-> {state.title()}", f"[IPv{self._family}]")
        await self._process.line(*texts, since=since, within=within)

    def freeze(self) -> None:
        """Stop it where it stands."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.signal(signal.SIGCONT)

    async def stop(self) -> None:
        """An orderly stop: it resigns."""
        await self._process.stop()

    @property
    def complaints(self) -> list[str]:
        """What it says of packets that it does not take."""
        return [line for line in self.said if "Datagram invalid" in line]


@asynccontextmanager
async def frr(node: Node, router: Router) -> AsyncIterator[Frr]:
    """A running vrrpd with its zebra and its interface; all are gone at the end."""
    with TemporaryDirectory(prefix="frr-") as home:
        directory = Path(home)
        shutil.chown(directory, "frr", "frr")
        node.ip(*router.interface())
        zebra = await _daemon(node, "zebra", directory, "")
        await zebra.line("starting")
        vrrpd = await _daemon(node, "vrrpd", directory, router.configuration())
        try:
            yield Frr(vrrpd, router.family)
        finally:
            for process in (vrrpd, zebra):
                if process.status is None:
                    process.signal(signal.SIGCONT, group=True)
                    await process.kill()
            node.ip(f"link del {MACVLAN}")


async def _daemon(node: Node, name: str, directory: Path, configuration: str) -> Process:
    """Start one of FRR's daemons with everything that it opens in this directory."""
    file = directory / f"{name}.conf"
    file.write_text(configuration)
    return await spawn(
        node,
        str(PROGRAMS / name),
        f"--config_file={file}",
        f"--pid_file={directory / f'{name}.pid'}",
        f"--socket={directory / 'zserv'}",
        f"--vty_socket={directory}",
        "--vty_port=0",
        "--log=stdout",
        "--log-level=debugging",
        # As ours is: a busy machine that keeps a peer from its adverts costs it its role, and rightly.
        realtime=True,
    )
