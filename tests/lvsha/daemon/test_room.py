"""Tests of lvsha.daemon.room: ports and entries are counted, and said before they run out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from lvsha.api.views import PortsView, RoomView
from lvsha.config import Config
from lvsha.daemon.room import PORTS, Room, Use
from lvsha.errors import KernelError
from lvsha.kernel.ipvs.connections import Connection
from lvsha.kernel.sourcenat.pool import by_nft
from lvsha.model import Mode, Protocol
from tests.lab.hearing import Hearing
from tests.lab.services import config, server, service

VIP, LOCAL, RS1 = ip_address("192.0.2.100"), ip_address("10.0.1.100"), ip_address("10.0.0.1")
FULLNAT = replace(server(1), mode=Mode.FULLNAT)
WEB = replace(service(FULLNAT), mode=Mode.FULLNAT, local_addresses=(LOCAL,))
MORE = replace(WEB, name="more", port=81)
ENOUGH = int(0.81 * PORTS)


def connections(count: int, port: int = 80, first: int = 1) -> list[Connection]:
    """So many connections from different ports."""
    client = ip_address("198.51.100.7")
    return [
        Connection(Protocol.TCP, client, first + n, VIP, port, RS1, 8080, "TIME_WAIT", 60)
        for n in range(count)
    ]


@dataclass
class Desk:
    """A room over connections that a test decides about."""

    config: Config = field(default_factory=lambda: config(WEB, MORE))
    found: list[Connection] = field(default_factory=list)
    tracked: tuple[int, int] | None = (10, 1000)
    broken: bool = False

    def __post_init__(self) -> None:
        self.room = Room(
            lambda: self.config, lambda: by_nft, self._read, lambda: self.tracked, lambda: (7, 3)
        )

    def _read(self) -> list[Connection]:
        if self.broken:
            raise KernelError("cannot be read")
        return self.found


async def test_ports_are_counted_by_server_over_all_services(said: Hearing) -> None:
    """Services that share a pool and a server share its ports; closing connections count too."""
    desk = Desk(found=connections(3) + connections(2, 81, first=100) + connections(1, 9999))
    await desk.room.look()
    assert desk.room.used == {Use(LOCAL, Protocol.TCP, RS1, 8080): 5}
    assert said == []


async def test_the_count_can_be_asked_for() -> None:
    """As numbers and texts; without the mode there is nothing to ask for."""
    desk = Desk(found=connections(3))
    await desk.room.look()
    view = desk.room.view()
    assert view == RoomView((PortsView(str(LOCAL), "tcp", str(RS1), 8080, 3),), PORTS, 10, 1000, 7, 3)
    desk.tracked = None
    assert (view := desk.room.view()) is not None
    assert (view.tracked, view.tracked_limit) == (None, None)
    desk.config = config(service(server(1)))
    assert desk.room.view() is None


async def test_what_is_filling_is_said_once(said: Hearing) -> None:
    """Above four fifths it is said, and again only after it has eased."""
    desk = Desk(found=connections(ENOUGH))
    await desk.room.look()
    await desk.room.look()
    (told,) = said.all("localports.filling")
    assert (told["local"], told["address"], told["port"]) == (str(LOCAL), str(RS1), 8080)
    assert (told["used"], told["limit"]) == (ENOUGH, PORTS)
    desk.found = connections(int(0.75 * PORTS))
    await desk.room.look()
    desk.found = connections(ENOUGH)
    await desk.room.look()
    assert len(said.all("localports.filling")) == 1
    desk.found = connections(10)
    await desk.room.look()
    desk.found = connections(ENOUGH)
    await desk.room.look()
    assert len(said.all("localports.filling")) == 2


async def test_entries_of_connection_tracking_are_watched(said: Hearing) -> None:
    """The whole machine shares them; a kernel that does not tell is no fault."""
    desk = Desk(tracked=(900, 1000))
    await desk.room.look()
    await desk.room.look()
    (told,) = said.all("conntrack.filling")
    assert (told["used"], told["limit"]) == (900, 1000)
    desk.tracked = None
    await desk.room.look()


async def test_without_the_mode_nothing_is_counted(said: Hearing) -> None:
    """Neither connections are read, nor is connection tracking judged."""
    desk = Desk(config=config(service(server(1))), tracked=(1000, 1000), broken=True)
    await desk.room.look()
    assert (desk.room.used, said) == ({}, [])


async def test_a_table_that_cannot_be_read_is_told(said: Hearing) -> None:
    """The count goes on when it can be read again."""
    desk = Desk(found=connections(1), broken=True)
    await desk.room.look()
    assert [e["event"] for e in said] == ["connections.lost"]
    desk.broken = False
    await desk.room.look()
    assert desk.room.used.total() == 1
