"""When announcements go out, and in which order, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address

import pytest

from lvsha.speaker.announce import Announcements, Target
from lvsha.speaker.spec import Garp
from tests.lab.virtual import in_virtual_time

MAC = bytes.fromhex("020000000001")


class Wire:
    """Frames as they are sent."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, str, str]] = []
        self.down = False

    def send(self, interface: str, frame: bytes) -> None:
        """As `wire.announce.Announcer`."""
        if self.down:
            raise OSError(100, "Network is down")
        self.frames.append((asyncio.get_running_loop().time(), interface, str(IPv4Address(frame[28:32]))))

    @property
    def addresses(self) -> list[str]:
        """What was announced, in order."""
        return [address for _, _, address in self.frames]


def made(
    wire: Wire, broken: list[str] | None = None, waking: Callable[[], None] = lambda: None
) -> Announcements:
    """Announcements on that wire."""
    failed = [] if broken is None else broken
    return Announcements(wire, lambda interface, _: failed.append(interface), waking)  # type: ignore[arg-type]


def target(last: int, interface: str = "eth0") -> Target:
    """An address at our MAC."""
    return Target(ip_address(f"192.0.2.{last}"), interface, MAC)


@in_virtual_time
async def test_every_address_comes_once_before_any_comes_twice() -> None:
    """The last of many addresses does not wait for the repeats of the first."""
    wire = Wire()
    made(wire).begin("x", [target(1), target(2)], Garp(repeat=2, delay=0))
    assert wire.addresses == ["192.0.2.1", "192.0.2.2"] * 2


@in_virtual_time
async def test_addresses_that_come_later_do_not_wait_for_the_repeats_of_the_first() -> None:
    """With an interval between frames, each is announced once before any is twice."""
    wire = Wire()
    announcements = made(wire)
    for number in (1, 2, 3):
        announcements.begin("x", [target(number)], Garp(repeat=3, delay=0, interval=0.01))
    await asyncio.sleep(0.2)
    assert wire.addresses == ["192.0.2.1", "192.0.2.2", "192.0.2.3"] * 3


@in_virtual_time
async def test_no_repeats_is_no_announcement() -> None:
    """`repeat = 0` sends no burst; a refresh goes out all the same."""
    wire = Wire()
    announcements = made(wire)
    announcements.begin("x", [target(1)], Garp(repeat=0, delay=0, refresh=0.1))
    assert wire.frames == []
    await asyncio.sleep(0.15)
    assert wire.addresses == ["192.0.2.1"]
    announcements.end("x")


@in_virtual_time
async def test_a_second_burst_follows_and_refreshes_go_on() -> None:
    """After the delay the burst is repeated, and from then on one frame a refresh."""
    wire = Wire()
    announcements = made(wire)
    announcements.begin("x", [target(1)], Garp(repeat=3, delay=0.1, refresh=0.25))
    assert len(wire.frames) == 3
    await asyncio.sleep(0.15)
    assert len(wire.frames) == 6
    await asyncio.sleep(0.5)
    assert len(wire.frames) == 8
    announcements.end("x")


@in_virtual_time
async def test_an_end_ends_everything() -> None:
    """Nothing is announced for an address that is not here any more, not even what already waited."""
    wire = Wire()
    announcements = made(wire)
    announcements.begin("x", [target(1), target(2)], Garp(repeat=3, delay=0.1, interval=0.02))
    announcements.end("x")
    sent = len(wire.frames)
    await asyncio.sleep(0.3)
    assert len(wire.frames) == sent == 1


@in_virtual_time
async def test_an_interval_is_kept_per_interface() -> None:
    """Frames on one interface are spaced, those on another do not wait for them."""
    wire = Wire()
    announcements = made(wire)
    announcements.begin(
        "x", [target(1), target(2), target(3, "eth1")], Garp(repeat=2, delay=0, interval=0.05)
    )
    await asyncio.sleep(0.3)
    for interface, count in (("eth0", 4), ("eth1", 2)):
        times = [at for at, name, _ in wire.frames if name == interface]
        assert times == [pytest.approx(0.05 * number) for number in range(count)]


@in_virtual_time
async def test_thousands_do_not_hold_up_the_loop() -> None:
    """The event loop has its turn between batches."""
    wire = Wire()
    announcements = made(wire)
    turns = 0
    many = [Target(ip_address(f"10.0.{i // 250}.{i % 250}"), "eth0", MAC) for i in range(1000)]
    announcements.begin("x", many, Garp(repeat=5, delay=0))
    while len(wire.frames) < 5000:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 50
    assert wire.addresses[:1000] == [str(t.address) for t in many]


@in_virtual_time
async def test_a_later_address_does_not_silence_the_earlier() -> None:
    """An address that comes later is announced by itself; the second burst is for all."""
    wire = Wire()
    announcements = made(wire)
    announcements.begin("x", [target(1)], Garp(repeat=1, delay=0.1))
    announcements.begin("x", [target(2)], Garp(repeat=1, delay=0.1))
    assert wire.addresses == ["192.0.2.1", "192.0.2.2"]
    await asyncio.sleep(0.15)
    assert sorted(wire.addresses[2:]) == ["192.0.2.1", "192.0.2.2"]


@in_virtual_time
async def test_again_repeats_all() -> None:
    """When somebody else claimed the addresses, all of the owner's are announced once more."""
    wire = Wire()
    announcements = made(wire)
    announcements.begin("x", [target(1), target(2)], Garp(repeat=1, delay=0))
    announcements.again("x")
    announcements.again("y")
    assert wire.addresses == ["192.0.2.1", "192.0.2.2"] * 2


@in_virtual_time
async def test_a_frame_that_cannot_be_sent_is_told() -> None:
    """The interface is named, and the rest goes on."""
    wire, broken = Wire(), []
    wire.down = True
    made(wire, broken).begin("x", [target(1)], Garp(repeat=2, delay=0))
    assert broken == ["eth0", "eth0"]


@pytest.mark.parametrize(
    "garp",
    [
        Garp(repeat=3, delay=0, interval=0.05),
        Garp(repeat=1, delay=0.05),
        Garp(repeat=1, delay=0, refresh=0.05),
    ],
    ids=["spaced", "second burst", "refresh"],
)
@in_virtual_time
async def test_what_has_waited_is_not_sent_without_asking_whether_it_is_still_true(garp: Garp) -> None:
    """An election that finds out, just before, that the addresses are another's has the last word."""
    wire = Wire()
    announcements = made(wire, waking=lambda: announcements.end("x"))
    announcements.begin("x", [target(1)], garp)
    assert len(wire.frames) == 1
    await asyncio.sleep(0.2)
    assert len(wire.frames) == 1
