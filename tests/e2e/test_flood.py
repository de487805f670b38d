"""Ten thousand packets a second at a pair that is at work: no change of role, little cost, few words."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.vrrp.auth import Key, Keyring
from lvsha.vrrp.packet import Advert, pack
from tests.lab.fencing import KEYS
from tests.lab.flood import GROUP, cpu_seconds, flood
from tests.lab.pair import GROUP as SITE
from tests.lab.pair import LONE, VIP, Stage, staged

pytestmark = pytest.mark.net

RATE, SECONDS = 10_000, 3.0
LINES = 60
"""Lines that both directors may say in that time: a flood is told by reason, not by packet."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A pair at 100 ms."""
    text = LONE.replace("{settings}", "").replace("{interval:g}", "0.1")
    async with staged(text, 0.1, tmp_path) as made:
        yield made


async def bear(stage: Stage, payloads: Sequence[bytes], family: int = 4) -> float:
    """Flood the pair, see that nothing happens, and return the share of a processor that a speaker used."""
    pids = [daemon.pid("speaker") for daemon in stage.daemons.values()]
    lines = [len(daemon.process.output) for daemon in stage.daemons.values() if daemon.process]
    begun = stage.begin()
    before = [cpu_seconds(pid) for pid in pids]
    sent = await flood(stage.net["client"], payloads, RATE, SECONDS, family)
    took = stage.now() - begun
    used = [cpu_seconds(pid) - b for pid, b in zip(pids, before, strict=True)]
    await stage.quiet(stage.terms.down)
    said = [
        len(daemon.process.output) - before
        for daemon, before in zip(stage.daemons.values(), lines, strict=True)
        if daemon.process
    ]
    print(f"{sent / took:.0f} packets/s for {took:.1f} s: speakers {used} s of processor, {said} lines")
    assert sent >= RATE * SECONDS
    assert (stage.transitions("lb1"), stage.transitions("lb2")) == ([], [])
    assert stage.line.story(VIP, begun, stage.now()) == "lb1"
    assert sum(said) <= LINES
    return max(used) / took


async def test_mangled_adverts_for_this_router(stage: Stage) -> None:
    """Random octets behind the right first two reach the process and are refused, a few words for all."""
    dice = random.Random(7)
    payloads = [bytes([0x31, 51]) + dice.randbytes(number % 60) for number in range(200)]
    assert await bear(stage, payloads) < 0.95
    (shown,) = await stage.lb1.ask("GET", "/v1/vrrp")
    assert shown["state"] == "master"


async def test_adverts_for_other_routers(stage: Stage) -> None:
    """The kernel throws away what is for routers that are not here: the process does not even wake."""
    payloads = [bytes([0x31, vrid, 254, 0, 0, 10, 0, 0]) for vrid in range(1, 256) if vrid != 51]
    assert await bear(stage, payloads) < 0.15


async def test_good_adverts_of_a_lower_priority(stage: Stage) -> None:
    """Somebody claims the addresses in earnest: the master answers, but not every one of them."""
    client = ip_address("192.0.2.10")
    advert = pack(Advert(3, 51, 50, 0.1, (ip_address(VIP),)), client, ip_address(GROUP))
    assert await bear(stage, [advert]) < 0.95
    seconds = stage.now() - stage.since
    # An answer within a twentieth of an interval would say nothing new.
    assert stage.adverts("lb1", stage.since) < 20 * seconds / stage.terms.interval


async def test_mangled_adverts_over_ipv6(tmp_path: Path) -> None:
    """The same for the IPv6 member of a group, whose role is the group's."""
    dice = random.Random(7)
    payloads = [bytes([0x31, 51]) + dice.randbytes(number % 60) for number in range(200)]
    async with staged(SITE.replace("{interval:g}", "0.1"), 0.1, tmp_path) as stage:
        assert await bear(stage, payloads, family=6) < 0.95


async def test_signed_adverts_with_another_key(tmp_path: Path) -> None:
    """Each costs a digest, for it is stamped with the right time; none is believed."""
    client, target = ip_address("192.0.2.10"), ip_address(GROUP)
    advert = pack(Advert(3, 51, 254, 0.1, (ip_address(VIP),)), client, target)
    stranger = Keyring([Key(1, b"another key of thirty-two octets")], 1)
    text = LONE.replace("{settings}", KEYS).replace("{interval:g}", "0.1")
    async with staged(text, 0.1, tmp_path) as stage:
        trailer = stranger.sign(advert, client, time.time())
        assert await bear(stage, [advert + trailer]) < 0.95
        await stage.event("lb2", "vrrp.forged", reason="auth_digest")
