"""Tests of lvsha.daemon.collisions: what is told, made, believed and let go by two directors."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from lvsha.config import Config
from lvsha.daemon import collisions as module
from lvsha.daemon.collisions import CHECK, GRACE, MOST, SETTLE, Collisions, elsewhere
from lvsha.errors import KernelError
from lvsha.model import Address, Collision, Mode
from lvsha.speaker.messages import RoleChange, State
from tests.lab.collisions import FOUR, SIX
from tests.lab.facts import vrrp
from tests.lab.hearing import Hearing
from tests.lab.services import config, server, service

WEB = replace(
    service(replace(server(1), mode=Mode.FULLNAT)), mode=Mode.FULLNAT, local_addresses=(FOUR.local,)
)
FULLNAT = config(WEB)
OTHER = FOUR._replace(client_port=40001, local_port=16640)
FOREIGN = FOUR._replace(client_port=40002, local=ip_address("10.0.1.99"))


class Kernel:
    """Connection tracking: one entry for each end of a client's, and one for each of a server's."""

    def __init__(self) -> None:
        self.entries: dict[Collision, bool] = {}
        """Whether each is established."""
        self.news: list[Collision] = []

    def connect(self, *ones: Collision, established: bool = True) -> None:
        """Clients come."""
        for one in ones:
            self.entries[one] = established
            self.news.append(one)

    def arrived(self, most: int) -> list[Collision]:
        """As `kernel.Collisions.arrived`."""
        taken, self.news = self.news[:most], self.news[most:]
        return taken

    async def alive(self, asked: Collection[Collision]) -> set[Collision]:
        """As `kernel.Collisions.alive`."""
        return {one for one in asked if self.entries.get(one)}

    async def install(self, wanted: Collection[Collision]) -> set[Collision]:
        """As `kernel.Collisions.install`."""
        await self.remove(wanted)
        self.connect(*wanted)
        return {*wanted}

    async def remove(self, doomed: Iterable[Collision]) -> None:
        """As `kernel.Collisions.remove`."""
        for one in doomed:
            for there in list(self.entries):
                if there[1:5] == one[1:5] or there[5:] == one[5:]:
                    del self.entries[there]


@dataclass
class Node:
    """A director with its kernel, and whom it hears."""

    config: Config = FULLNAT
    away: frozenset[Address] = frozenset()
    peer: Node | None = None
    kernel: Kernel = field(default_factory=Kernel)
    now: float = 0.0
    changes: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The director is started anew, and has forgotten everything."""
        self.collisions = Collisions(lambda: self.config, lambda: self.away, self._told, self._changed)

    def _told(self) -> frozenset[Collision] | None:
        return self.peer.collisions.known if self.peer is not None else None

    def _changed(self) -> None:
        self.changes += 1

    async def look(self, seconds: float = 1.0) -> frozenset[Collision]:
        """After so many seconds; what it knows then."""
        self.now += seconds
        await self.collisions.look(self.kernel, self.now)
        return self.collisions.known

    async def looks(self, seconds: float) -> frozenset[Collision]:
        """Once a second for so long, as the peer does."""
        for _ in range(int(seconds)):
            if self.peer is not None:
                await self.peer.look()
            await self.look()
        return self.collisions.known


def pair() -> tuple[Node, Node]:
    """The holder of the address, and the other one."""
    master, backup = Node(), Node(away=frozenset({FOUR.address}))
    master.peer, backup.peer = backup, master
    return master, backup


async def test_what_is_made_here_is_counted_and_known() -> None:
    """Of this mode's addresses only; the peers are told when something has changed."""
    node = Node()
    node.kernel.connect(FOUR, OTHER, FOREIGN)
    assert await node.look() == {FOUR, OTHER}
    assert (node.collisions.seen, node.changes) == (2, 1)
    assert await node.look() == {FOUR, OTHER}
    assert node.changes == 1


async def test_a_handshake_has_its_time_and_no_more() -> None:
    """One that is established late is known then; one that never is, is forgotten."""
    node = Node()
    node.kernel.connect(FOUR, OTHER, established=False)
    assert await node.look() == set()
    node.kernel.entries[FOUR] = True
    assert await node.look() == {FOUR}
    await node.look(SETTLE)
    node.kernel.entries[OTHER] = True
    assert await node.look() == {FOUR}
    assert node.collisions.seen == 2


async def test_an_ended_one_is_told_no_more() -> None:
    """It is looked for every now and then."""
    node = Node()
    node.kernel.connect(FOUR, OTHER)
    await node.look()
    del node.kernel.entries[FOUR]
    assert await node.look(CHECK) == {OTHER}


async def test_the_other_director_has_the_same_entries() -> None:
    """They are made there while it is told of them, not counted as its own, and removed afterwards."""
    master, backup = pair()
    master.kernel.connect(FOUR, OTHER)
    await backup.looks(2)
    assert backup.kernel.entries == {FOUR: True, OTHER: True}
    assert await backup.looks(CHECK) == {FOUR, OTHER}
    assert backup.collisions.seen == 0
    del master.kernel.entries[OTHER]
    await backup.looks(CHECK + GRACE + 2)
    assert backup.kernel.entries == {FOUR: True}
    assert master.collisions.known == backup.collisions.known == {FOUR}


async def test_what_contradicts_the_holder_gives_way() -> None:
    """An entry from earlier with another port of the same client's is replaced."""
    master, backup = pair()
    stale = FOUR._replace(local_port=17000)
    backup.kernel.connect(stale)
    master.kernel.connect(FOUR)
    await backup.looks(3)
    assert backup.kernel.entries == {FOUR: True}


async def test_the_holder_believes_its_own_kernel_alone() -> None:
    """What a peer tells of is neither made nor kept here; what is there is known, also after a new start."""
    master, backup = pair()
    master.kernel.connect(FOUR, OTHER)
    await backup.looks(2)
    del master.kernel.entries[OTHER]
    master.start()
    assert await master.looks(CHECK) == {FOUR}
    assert master.kernel.entries == {FOUR: True}
    await backup.looks(GRACE + 2)
    assert backup.kernel.entries == {FOUR: True}
    assert master.collisions.seen == 0


async def test_an_entry_outlives_the_new_start_of_either() -> None:
    """The one who knows nothing yet takes nothing away."""
    master, backup = pair()
    master.kernel.connect(FOUR)
    await backup.looks(2)
    for node in (master, backup, master):
        node.start()
        for _ in range(int(CHECK + GRACE + 5)):
            await backup.looks(1)
            assert backup.kernel.entries == {FOUR: True}
    assert master.collisions.known == backup.collisions.known == {FOUR}


async def test_who_takes_over_keeps_what_there_is() -> None:
    """The peer is gone, and its words are not missed; what then ends is told no more."""
    master, backup = pair()
    master.kernel.connect(FOUR)
    await backup.looks(2)
    backup.peer = None
    await backup.looks(2 * GRACE)
    backup.away = frozenset()
    assert await backup.looks(2 * GRACE) == {FOUR}
    assert backup.kernel.entries == {FOUR: True}
    del backup.kernel.entries[FOUR]
    assert await backup.looks(CHECK) == set()


async def test_only_addresses_of_this_mode_are_made_on_a_word() -> None:
    """Nor is an entry of an address that no instance has."""
    master, backup = pair()
    backup.away = frozenset({SIX.address})
    master.kernel.connect(FOUR)
    await backup.looks(2)
    assert backup.kernel.entries == {}
    backup.away = frozenset({FOUR.address})
    backup.config = config(replace(WEB, local_addresses=(ip_address("10.0.1.98"),)))
    await backup.looks(2)
    assert backup.kernel.entries == {}


async def test_a_flood_is_bounded() -> None:
    """Everything is counted, so many are followed, and those that are known stay known."""
    node = Node()
    node.kernel.connect(FOUR)
    await node.look()
    flood = [OTHER._replace(client=ip_address(n), local_port=n % 60000 + 1) for n in range(1, 2 * MOST)]
    node.kernel.connect(*flood)
    known = await node.looks(2 * MOST / module.NEWS)
    assert node.collisions.seen == 1 + len(flood)
    assert FOUR in known
    assert len(known) == MOST


async def test_without_the_mode_nobody_listens(monkeypatch: pytest.MonkeyPatch, said: Hearing) -> None:
    """Connection tracking is asked to tell only when the mode is used, and an error is told once."""
    opened = asyncio.Event()

    def closed() -> None:
        opened.set()
        raise KernelError("not here")

    monkeypatch.setattr(module.kernel.Collisions, "open", closed)
    monkeypatch.setattr(module, "PERIOD", 0.01)
    monkeypatch.setattr(module, "AGAIN", 0.01)
    node = Node(config=config(service(server(1))))
    task = asyncio.create_task(node.collisions.run())
    await asyncio.sleep(0.1)
    assert not opened.is_set()
    node.config = FULLNAT
    lost = await said.event("collisions.lost")
    assert lost["error"] == "not here"
    for _ in range(3):
        opened.clear()
        await opened.wait()
    assert len(said.all("collisions.lost")) == 1
    task.cancel()


def test_which_addresses_are_elsewhere() -> None:
    """Those of instances in which this node is backup, the ones beside the advertised as well."""
    one = vrrp("192.0.2.100/24")
    one = replace(one, excluded=vrrp("10.0.1.100/24").addresses)
    cfg = replace(FULLNAT, vrrp={"one": one, "two": vrrp("192.0.2.101/24", name="two")})
    states = {"one": State.BACKUP, "two": State.MASTER, "gone": State.BACKUP}
    roles = {name: RoleChange(instance=name, state=state, why="", at=0.0) for name, state in states.items()}
    assert elsewhere(cfg, roles) == {FOUR.address, FOUR.local}
    assert elsewhere(cfg, {}) == set()
