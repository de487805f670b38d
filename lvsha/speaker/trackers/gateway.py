"""A neighbour must answer echo requests."""

from __future__ import annotations

import asyncio
import contextlib
from ipaddress import IPv4Address, IPv6Address

from lvsha.speaker.spec import GatewayTracker
from lvsha.speaker.trackers.base import Streak, Tell, standing
from lvsha.wire.echo import EchoSocket

Address = IPv4Address | IPv6Address


async def watch(tracker: GatewayTracker, interface: str, tell: Tell) -> None:
    """Ask again and again, and tell what changed, for ever.

    A link-local gateway is asked on the instance's interface unless another is named.
    """
    local = tracker.gateway.is_link_local
    through = tracker.interface or (interface if local else None)
    streak, sequence, before = Streak(tracker.rise, tracker.fall), 0, None
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        sequence = (sequence + 1) & 0xFFFF
        why = await ask(tracker.gateway, through, sequence, tracker.timeout)
        ok = streak.observe(not why)
        if ok != before:
            before = ok
            tell(standing(ok, tracker.weight, why or f"{tracker.gateway} answers"))
        await asyncio.sleep(max(0.0, begun + tracker.interval - loop.time()))


async def ask(gateway: Address, interface: str | None, sequence: int, within: float) -> str:
    """Why the gateway does not answer; empty when it does."""
    try:
        echo = EchoSocket(gateway.version, interface)
    except OSError as error:
        return f"{interface}: {error.strerror}"
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(echo.fileno(), readable.set)
    try:
        echo.send(gateway, sequence)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not _answered(echo, gateway, sequence):
                    await readable.wait()
                    readable.clear()
                return ""
        # A process that was held up finds its time over and the answer there.
        if _answered(echo, gateway, sequence):
            return ""
        return f"{gateway} did not answer an echo request within {within:g} s"
    except OSError as error:
        return f"{gateway}: {error.strerror}"
    finally:
        loop.remove_reader(echo.fileno())
        echo.close()


def _answered(echo: EchoSocket, gateway: Address, sequence: int) -> bool:
    """Whether the answer is among what waits."""
    while (reply := echo.receive()) is not None:
        if (reply.source, reply.sequence) == (gateway, sequence):
            return True
    return False
