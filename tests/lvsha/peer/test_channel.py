"""Tests of lvsha.peer.channel: two real directors on loopback, and strangers who knock."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.overrides import Kind, Override, Overrides, Record, Selector, Stamp
from lvsha.peer.channel import UNPROVEN
from lvsha.peer.messages import About, Complete
from lvsha.peer.protocol import NONCE, Role, Session
from tests.lab.peers import ABOUT, KEY, PORT, QUICK, Client, Proxy, Site, address, drain


def drained(director: object) -> list[str | None]:
    """The servers that are drained."""
    return [o.selector.server for o in director.overrides.entries]  # type: ignore[attr-defined]


def _ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Somebody else's server."""


# --- what is said on one holds on both --------------------------------------------------------------


async def test_what_is_said_on_one_holds_on_both(tmp_path: Path) -> None:
    """Drains said to either reach the other, and so does taking back, from either side."""
    async with Site(tmp_path) as site, site.running("lb1") as lb1, site.running("lb2") as lb2:
        lb1.override(drain("rs1"))
        lb2.override(drain("rs2"))
        await site.until(lambda: {*drained(lb1)} == {*drained(lb2)} == {"rs1", "rs2"})
        lb2.clear([drain("rs1")], by="root")
        await site.until(lambda: drained(lb1) == ["rs2"])
        lb1.clear([drain("rs2")], by="root")
        assert (await site.agreed()).entries == ()


async def test_a_director_that_was_away_learns_it(tmp_path: Path) -> None:
    """What was said, and taken back, while it was down is in force, and on its disk, once it is back."""
    async with Site(tmp_path) as site, site.running("lb1") as lb1:
        async with site.running("lb2") as lb2:
            lb2.override(drain("rs2"))
            await site.agreed()
        await site.said("peer.lost", peer="lb2", error="closed the connection")
        lb1.override(drain("rs1"))
        lb1.clear([drain("rs2")], by="root")
        async with site.running("lb2") as lb2:
            await site.channels["lb2"].complete()
            assert drained(lb2) == ["rs1"]
        assert drained(site.director("lb2")) == ["rs1"]


async def test_both_spoken_to_while_apart(tmp_path: Path) -> None:
    """The later word holds on both, and what only one heard is not lost."""
    async with Site(tmp_path) as site:
        async with site.running("lb1") as lb1:
            lb1.override(replace(drain("rs1", since=1000.0), reason="disk"))
            lb1.override(drain("rs2", since=1000.0))
        async with site.running("lb2") as lb2:
            lb2.override(replace(drain("rs1", since=1001.0), reason="memory"))
            async with site.running("lb1"):
                both = await site.agreed()
        assert [(o.selector.server, o.reason) for o in both.entries] == [
            ("rs2", "kernel update"),
            ("rs1", "memory"),
        ]


async def test_many_overrides(tmp_path: Path) -> None:
    """More than one message holds arrives whole; a change after that is one message."""
    async with Site(tmp_path) as site:
        records = (
            Record(Override(Selector(server=f"rs{n}"), Kind.DRAIN), Stamp(n, "lb1")) for n in range(2000)
        )
        site.director("lb1").merge(Overrides(tuple(records)), by="test")
        async with site.running("lb1"), site.running("lb2") as lb2:
            await site.channels["lb2"].complete()
            assert len(lb2.overrides.entries) == 2000


async def test_only_what_is_new_is_sent(tmp_path: Path) -> None:
    """Neither what the peer has already, nor anything back to where it came from."""
    async with Site(tmp_path, between=True) as site, Proxy().running() as proxy:
        site.director("lb1").override(replace(drain("rs1"), reason="a reason that is told once"))
        async with site.running("lb1"), site.running("lb2") as lb2:
            await site.agreed()
            lb2.override(drain("rs2"))
            await site.agreed()
        mine, theirs = proxy.recorded[-1]
        assert (mine + theirs).count(b"a reason that is told once") == 1
        assert (mine.count(b'"rs2"'), theirs.count(b'"rs2"')) == (0, 1)


async def test_what_a_peer_runs_is_known(tmp_path: Path) -> None:
    """At the beginning, and again after a reload over there."""
    other = About("0.2.0", 7, "cd" * 32)
    async with Site(tmp_path) as site, site.running("lb1"), site.running("lb2", about=other):
        await site.channels["lb1"].complete()
        peer = site.channels["lb1"].peers["lb2"]
        assert peer.about == other
        site.channels["lb2"].about = newer = replace(other, generation=8, fingerprint=ABOUT.fingerprint)
        site.directors["lb2"].override(drain("rs1"))  # comes behind it
        await site.agreed()
        assert peer.about == newer


# --- connections come and go ------------------------------------------------------------------------


async def test_a_dead_connection_is_found_and_replaced(tmp_path: Path) -> None:
    """A wire that swallows everything: both notice, and once it is mended all is in step again."""
    async with (
        Site(tmp_path, between=True) as site,
        Proxy().running() as proxy,
        site.running("lb1") as lb1,
        site.running("lb2") as lb2,
    ):
        await site.said("peer.connected", peer="lb1")
        await site.said("peer.connected", peer="lb2")
        proxy.stall()
        mark = len(site.events)
        lb1.override(drain("rs1"))
        silence = f"said nothing for {QUICK.dead:g} s"
        await site.said("peer.lost", since=mark, peer="lb2", error=silence)
        await site.said("peer.lost", since=mark, peer="lb1", error=silence)
        lb2.override(drain("rs2"))
        proxy.cut()
        proxy.open.set()
        await site.said("peer.connected", since=mark, peer="lb2")
        assert {o.selector.server for o in (await site.agreed()).entries} == {"rs1", "rs2"}


async def test_a_quiet_connection_lives(tmp_path: Path) -> None:
    """With nothing to say both go on saying that they are alive."""
    async with Site(tmp_path) as site, site.running("lb1"), site.running("lb2"):
        await site.said("peer.connected", peer="lb1")
        await asyncio.sleep(3 * QUICK.dead)
        assert [e["event"] for e in site.events] == ["peer.connected", "peer.connected"]


async def test_a_new_connection_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """A peer that lost its end of the connection need not wait until ours is found dead."""
    patient = replace(QUICK, dead=60.0, alive=20.0)
    async with Site(tmp_path, pace=patient) as site, site.running("lb2"):
        async with Client() as old, Client() as new:
            await prove(old)
            await site.said("peer.connected", peer="lb1")
            mark = len(site.events)
            await prove(new)
            await site.said("peer.connected", since=mark, peer="lb1")
            await old.rest()
            assert site.channels["lb2"].peers["lb1"].link is not None
        await site.said("peer.lost", since=mark, peer="lb1")


async def prove(client: Client, key: bytes = KEY) -> Session:
    """Be lb1 over this connection."""
    session = Session(Role.DIALER, node="lb1", peer="lb2", key=key, nonce=b"n" * NONCE)
    while not session.open:
        session.receive(await client.reader.read(65536))
        client.send(session.outgoing())
    return session


async def test_silence_is_told_once(tmp_path: Path) -> None:
    """Nobody at the other end: after a while that is told, with the reason on the side that knows one."""
    async with Site(tmp_path, pace=replace(QUICK, patience=0.2)) as site:
        async with site.running("lb1"):
            lost = await site.said("peer.lost", peer="lb2")
            assert "refused" in lost["error"].lower()
        async with site.running("lb2"):
            await site.said("peer.lost", peer="lb1", error="was not heard of yet")
        assert len([e for e in site.events if e["event"] == "peer.lost"]) == 2


async def test_a_loss_is_told_once(tmp_path: Path) -> None:
    """Who was lost just after the start is not told of again when patience ends."""
    async with Site(tmp_path, pace=replace(QUICK, patience=0.3)) as site, site.running("lb1"):
        async with site.running("lb2"):
            await site.said("peer.connected", peer="lb2")
        await site.said("peer.lost", peer="lb2")
        await asyncio.sleep(0.4)
        assert len([e for e in site.events if e["event"] == "peer.lost"]) == 1


async def test_an_address_that_comes_later(tmp_path: Path) -> None:
    """Where it cannot listen yet that is told once, and tried again."""
    async with Site(tmp_path) as site:
        site.configs["lb2"] = replace(site.configs["lb2"], listen=address(4))
        with contextlib.closing(await asyncio.start_server(_ignore, str(address(4)), PORT)):
            async with site.running("lb2"):
                told = await site.said("peer.unavailable")
                assert (told["address"], told["error"]) == (
                    f"{address(4)} port {PORT}",
                    "Address already in use",
                )
                await asyncio.sleep(3 * QUICK.bind)
                assert len(site.events) == 1
                site.configs["lb1"] = replace(site.configs["lb1"], nodes={"lb2": address(4)})
        async with site.running("lb2"), site.running("lb1"):
            await site.said("peer.connected", peer="lb1")


async def test_a_foreign_address_to_listen_on(tmp_path: Path) -> None:
    """An address of no interface here is told with the system's words."""
    async with Site(tmp_path) as site:
        site.configs["lb2"] = replace(site.configs["lb2"], listen=ip_address("192.0.2.77"))
        async with site.running("lb2"):
            told = await site.said("peer.unavailable")
            assert told["error"] == "Cannot assign requested address"


async def test_what_cannot_be_kept_is_tried_again(tmp_path: Path) -> None:
    """A full disk: nothing is in force that would be forgotten; once there is room it is learnt after all."""
    async with Site(tmp_path) as site, site.running("lb1") as lb1, site.running("lb2") as lb2:
        await site.said("peer.connected", peer="lb1")
        (tmp_path / "lb2").rename(tmp_path / "away")
        lb1.override(drain("rs1"))
        await site.said("state.unwritable")
        lb1.override(drain("rs2"))
        assert drained(lb2) == []
        (tmp_path / "away").rename(tmp_path / "lb2")
        await site.agreed()
        assert drained(site.director("lb2")) == ["rs1", "rs2"]
        assert "peer.lost" not in [e["event"] for e in site.events]


# --- strangers --------------------------------------------------------------------------------------


async def test_a_stranger_gets_no_word(tmp_path: Path) -> None:
    """From an address that is no director's, and even from the director that is dialled here."""
    async with Site(tmp_path) as site, site.running("lb2"):
        async with Client(9) as stranger:
            stranger.send(b"hello\n")
            assert await stranger.rest() == b""
        told = await site.said("peer.refused", reason="address")
        assert (told["source"], told["count"]) == (str(address(9)), 1)


async def test_who_is_dialled_does_not_dial(tmp_path: Path) -> None:
    """Lb1 has nobody who would dial it, and so no open port."""
    async with Site(tmp_path) as site, site.running("lb1"), site.running("lb2"):
        await site.said("peer.connected", peer="lb2")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(str(address(1)), PORT)


HOSTILE = {
    "garbage": (b"\0\0\0\2{}" * 3, "garbage"),
    "a web browser": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "oversize"),
    "tls": (bytes.fromhex("1603010200010001fc0303") + bytes(512), "oversize"),
    "an older protocol": (b'\0\0\0\x0b{"lvsha":0}', "version"),
    "half a greeting": (b'\0\0\1\0{"lvsha":1,', "slow"),
    "nothing": (b"", "slow"),
}


@pytest.mark.parametrize("what", list(HOSTILE))
async def test_somebody_at_the_peers_address(tmp_path: Path, what: str) -> None:
    """Whatever he says he is closed in bounded time, and the peer's link beside him is not disturbed."""
    data, reason = HOSTILE[what]
    async with Site(tmp_path) as site, site.running("lb1") as lb1, site.running("lb2") as lb2:
        await site.said("peer.connected", peer="lb1")
        async with Client() as hostile:
            hostile.send(data)
            heard = await hostile.rest()
        told = await site.said("peer.refused", reason=reason)
        assert told["source"] == str(address(1))
        greeting = json.loads(heard[4 : 4 + int.from_bytes(heard[:4], "big")])
        assert greeting.keys() == {"lvsha", "node", "nonce"}
        lb1.override(drain("rs1"))
        await site.agreed()
        assert drained(lb2) == ["rs1"]
        assert "peer.lost" not in [e["event"] for e in site.events]


async def test_one_who_leaves_early(tmp_path: Path) -> None:
    """Who connects and goes away is told of as that."""
    async with Site(tmp_path) as site, site.running("lb2"):
        async with Client() as client:
            await client.reader.readexactly(4)
        await site.said("peer.refused", reason="closed")


async def test_silent_connections_do_not_keep_the_peer_out(tmp_path: Path) -> None:
    """One too many pushes out the one who has waited longest, not the one who has just come."""
    patient = replace(QUICK, greet=60.0)
    async with (
        Site(tmp_path, pace=patient) as site,
        site.running("lb2") as lb2,
        contextlib.AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(Client()) for _ in range(UNPROVEN + 1)]
        await silent[0].rest()
        await site.said("peer.refused", reason="crowd", source=str(address(1)))
        site.director("lb1").override(drain("rs1"))
        async with site.running("lb1") as lb1:
            await site.agreed()
            assert drained(lb2) == ["rs1"]
            more = [await stack.enter_async_context(Client()) for _ in range(UNPROVEN + 1)]
            await more[0].rest()
            lb1.override(drain("rs2"))
            await site.agreed()
            assert "peer.lost" not in [e["event"] for e in site.events]


async def test_another_key(tmp_path: Path) -> None:
    """Both directors say so, and nothing is exchanged."""
    async with Site(tmp_path) as site:
        site.configs["lb1"] = replace(site.configs["lb1"], key=b"K" * 32)
        async with site.running("lb1") as lb1, site.running("lb2") as lb2:
            lb1.override(drain("rs1"))
            here = await site.said("peer.refused", reason="key", source=str(address(1)))
            there = await site.said("peer.refused", reason="key", source=str(address(2)))
            assert "[peer] key must be the same" in here["detail"]
            assert "refuses this node (key): the log of lb2 says more" in there["detail"]
            assert drained(lb2) == []
            assert "log of lb2" in site.channels["lb1"].peers["lb2"].error


async def test_recorded_bytes_said_again(tmp_path: Path) -> None:
    """All that lb1 ever said in a conversation, from its own address: the drain does not come back."""
    async with Site(tmp_path, between=True) as site, Proxy().running() as proxy, site.running("lb2") as lb2:
        async with site.running("lb1") as lb1:
            lb1.override(drain("rs1"))
            await site.agreed()
            lb1.clear([drain("rs1")], by="root")
            await site.agreed()
        recorded, _ = proxy.recorded[-1]
        async with Client() as client:
            client.send(recorded)
            await client.rest()
        await site.said("peer.refused", reason="key")
        assert lb2.overrides.entries == ()


async def test_somebody_on_the_way(tmp_path: Path) -> None:
    """He turns a bit, and repeats a piece: the link ends each time, and what was said arrives in the end."""
    async with (
        Site(tmp_path, between=True) as site,
        Proxy().running() as proxy,
        site.running("lb1") as lb1,
        site.running("lb2") as lb2,
    ):
        for number, alter in enumerate(
            (lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data * 2)
        ):
            await site.until(lambda: site.channels["lb2"].peers["lb1"].link)
            mark = len(site.events)
            proxy.alter = lambda data, up, alter=alter: alter(data) if up else data
            lb1.override(drain(f"rs{number}"))
            lost = await site.said("peer.lost", since=mark, peer="lb1")
            assert "altered" in lost["error"]
            proxy.alter = None
            await site.agreed()
        assert drained(lb2) == ["rs0", "rs1"]
        await site.said("peer.refused", reason="forged")


async def test_bytes_that_trickle_are_no_life(tmp_path: Path) -> None:
    """Somebody on the way drops the peer's messages and feeds in single bytes: the link is given up."""
    async with Site(tmp_path) as site, site.running("lb2"), Client() as client:
        session = await prove(client)
        session.send(Complete())
        client.send(session.outgoing())
        await site.channels["lb2"].complete()
        client.send(b"\0\0\1\0")

        async def trickle() -> None:
            while True:
                client.send(b"{")
                await asyncio.sleep(QUICK.dead / 10)

        task = asyncio.create_task(trickle())
        await site.said("peer.lost", peer="lb1", error=f"said nothing for {QUICK.dead:g} s")
        task.cancel()
