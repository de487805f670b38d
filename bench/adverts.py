"""How punctual are adverts, and how fast is a failover: a speaker of ours and keepalived, side by side.

    python bench/adverts.py [--seconds 10] [--interval 0.01] [--load N]

Each is master on a wire of its own (network namespaces of this machine, both at the same time,
so that they suffer from the same neighbours). Arrivals are time-stamped by the kernel. `--load`
keeps that many processes busy meanwhile. Then the master is stopped with SIGSTOP, five times, and
the time from its last advert to the first of its backup (of the same kind) is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import struct
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from lvsha.speaker.messages import State
from lvsha.wire.advert import AdvertSocket
from tests.lab.keepalived import keepalived, vrrp_instance
from tests.lab.network import Node, topology
from tests.lab.process import spawn
from tests.lab.speaker import VIP, instance, speaking

SO_TIMESTAMPNS = 35


class Tap:
    """Adverts with the kernel's time of arrival: (seconds, last octet of the source)."""

    def __init__(self, node: Node) -> None:
        with node.entered():
            self._advert = AdvertSocket("front", socket.if_nametoindex("front"), 4)
        self._advert.listen([51])
        self._socket = self._advert._socket  # noqa: SLF001 - a bench may look inside
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.heard: list[tuple[float, int, int]] = []
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Hear no more."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._advert.close()

    def _read(self) -> None:
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(2048, 128)
            except BlockingIOError:
                return
            for _, kind, value in control:
                if kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("@qq", value)
                    self.heard.append((seconds + nanoseconds / 1e9, data[15], data[22]))


def report(name: str, tap: Tap, interval: float) -> None:
    """Print how far arrivals are from the interval."""
    times = [at for at, _, _ in tap.heard]
    off = sorted(abs(b - a - interval) * 1e6 for a, b in pairwise(times))
    rate = (len(times) - 1) / (times[-1] - times[0])
    print(
        f"{name:11} {len(times):6} adverts, {rate:8.3f} a second; off the interval by (us): median "
        f"{off[len(off) // 2]:.0f}, 99 % {off[len(off) * 99 // 100]:.0f}, most {off[-1]:.0f}"
    )


async def failovers(name: str, tap: Tap, freeze: Callable[[], None], thaw: Callable[[], None]) -> None:
    """Print how long the backup took, five times."""
    took = []
    for _ in range(5):
        await asyncio.sleep(1.5)
        tap.heard.clear()
        await asyncio.sleep(0.2)
        freeze()
        # The bench looks back at the kernel's time stamps: when it looks does not matter.
        while not any(source == 2 and priority for _, source, priority in tap.heard):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        first = next(at for at, source, _ in tap.heard if source == 2)
        took.append((first - [at for at, source, _ in tap.heard if source == 1][-1]) * 1e3)
        thaw()
    each = ", ".join(f"{t:.1f}" for t in took)
    print(f"{name:11} silent failover (ms): {each}; median {statistics.median(took):.1f}")


async def main(seconds: float, interval: float, load: int) -> None:
    """Run both and print."""
    with topology(directors=2) as one, topology(directors=2) as two, tempfile.TemporaryDirectory() as tmp:
        home = Path(tmp)
        busy = [await spawn(None, "sh", "-c", "while :; do :; done") for _ in range(load)]
        texts = [vrrp_instance(vips=(VIP,), priority=p, interval=interval) for p in (200, 100)]
        async with (
            speaking(one["lb1"], home) as ours,
            speaking(one["lb2"], home) as backup,
            keepalived(two["lb1"], home, texts[0]) as theirs,
            keepalived(two["lb2"], home, texts[1]),
        ):
            await ours.configure(instance(priority=200, interval=interval, lease=2))
            await backup.configure(instance(priority=100, interval=interval, lease=2))
            await ours.become(State.MASTER)
            await theirs.enters("MASTER")
            taps = {"lvsha": Tap(one["client"]), "keepalived": Tap(two["client"])}
            await asyncio.sleep(1)
            for tap in taps.values():
                tap.heard.clear()
            await asyncio.sleep(seconds)
            for name, tap in taps.items():
                report(name, tap, interval)
            await failovers("lvsha", taps["lvsha"], ours.freeze, ours.thaw)
            await failovers("keepalived", taps["keepalived"], theirs.freeze, theirs.thaw)
            for tap in taps.values():
                tap.close()
        for process in busy:
            await process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--interval", type=float, default=0.01)
    parser.add_argument("--load", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(main(options.seconds, options.interval, options.load))
