"""Tests of lvsha.daemon.table: when the kernel is asked, what is said when it is lost and when it is back."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lvsha.daemon.table import Table
from lvsha.errors import KernelError
from lvsha.kernel.ipvs import AbsentError, Info
from lvsha.model import Desired, SyncDaemon, SyncRole, UnacceptedState
from lvsha.plan import AddService, SetAcceptance, StartSync, plan
from tests.lab.fake_ipvs import FakeIpvs
from tests.lab.hearing import Hearing
from tests.lab.network import Network
from tests.lab.services import service
from tests.lab.unaccepted import ENTRIES

WEB = service()


class Opened(FakeIpvs):
    """An open conversation with the table in memory."""

    closed = False

    async def info(self) -> Info:
        """As `Ipvs.info`."""
        self._check_there()
        return Info("1.2.1", 4096)

    def close(self) -> None:
        """As `Ipvs.close`."""
        self.closed = True


@dataclass
class Desk:
    """A kernel that can be taken away, and the table over it."""

    needed: bool = True
    left: bool = False
    """Services of former days are owned."""
    absent: bool = False
    """No IPVS can be found."""
    conversations: list[Opened] = field(default_factory=list)
    settled: int = 0
    """How often the settings were written."""

    def __post_init__(self) -> None:
        self.table = Table(lambda: self.needed, prepare=self._settle, left=lambda: self.left, find=self._open)

    @property
    def kernel(self) -> Opened:
        """The latest conversation."""
        return self.conversations[-1]

    def _settle(self) -> None:
        self.settled += 1

    async def _open(self) -> Opened:
        if self.absent:
            raise AbsentError("the kernel has no IPVS")
        self.conversations.append(Opened())
        return self.kernel


def names(said: Hearing) -> list[str]:
    """The names of events in order."""
    return [e["event"] for e in said]


async def test_a_kernel_that_is_not_needed_is_not_asked(said: Hearing) -> None:
    """A pure VRRP pair runs where there is no IPVS, and nothing is said of it."""
    desk = Desk(needed=False, absent=True)
    assert not (await desk.table.observe()).services
    assert (desk.table.words, said) == ("IPVS is not needed", [])


async def test_what_may_be_left_over_is_looked_for(said: Hearing) -> None:
    """Started again without services, lvsha still finds what it once added."""
    desk = Desk(needed=False, left=True)
    await desk.table.observe()
    await desk.table.apply([AddService(WEB.key, WEB.service)])
    assert list((await desk.table.observe()).services) == [WEB.key]


async def test_where_there_is_no_ipvs_nothing_is_left_over(said: Hearing) -> None:
    """A pure VRRP pair that once had services does not miss the kernel's IPVS."""
    desk = Desk(needed=False, left=True, absent=True)
    assert not (await desk.table.observe()).services
    assert (desk.table.words, said) == ("IPVS is not needed", [])


async def test_it_is_opened_once_and_settings_come_first(said: Hearing) -> None:
    """The first look finds IPVS and has the settings written; the next ones use the same conversation."""
    desk = Desk()
    await desk.table.observe()
    assert await desk.table.apply([AddService(WEB.key, WEB.service)]) == []
    assert list((await desk.table.observe([WEB.key])).services) == [WEB.key]
    assert (len(desk.conversations), desk.settled) == (1, 1)
    assert names(said) == ["kernel.ready"]
    assert desk.table.words == "IPVS 1.2.1, 4096 buckets"


async def test_a_kernel_without_ipvs_is_said_once_and_tried_at_every_look(said: Hearing) -> None:
    """`kernel.lost` is one alert; when IPVS comes it is told how long that took."""
    desk = Desk(absent=True)
    for _ in range(3):
        with pytest.raises(KernelError):
            await desk.table.observe()
    assert names(said) == ["kernel.lost"]
    assert desk.table.words == desk.table.trouble == "the kernel has no IPVS"
    desk.absent = False
    await desk.table.observe()
    assert desk.table.trouble == ""
    assert names(said) == ["kernel.lost", "kernel.back"]
    assert said[1]["seconds"] >= 0


async def test_a_lost_conversation_is_closed_and_opened_anew(said: Hearing) -> None:
    """When the kernel stops answering the socket is let go of; with the next one settings are written."""
    desk = Desk()
    await desk.table.observe()
    first = desk.kernel
    first.gone = True
    with pytest.raises(KernelError):
        await desk.table.apply([AddService(WEB.key, WEB.service)])
    assert first.closed
    await desk.table.observe()
    assert (len(desk.conversations), desk.settled) == (2, 2)
    assert names(said) == ["kernel.ready", "kernel.lost", "kernel.back"]


async def test_closing_leaves_the_table(said: Hearing) -> None:
    """The end of the daemon lets go of the socket alone, and may be said twice."""
    desk = Desk()
    await desk.table.apply([AddService(WEB.key, WEB.service)])
    desk.table.close()
    desk.table.close()
    assert desk.kernel.closed
    assert WEB.key in desk.kernel.services


async def test_a_sync_daemon_on_a_former_interface_is_not_taken_for_a_wanted_one() -> None:
    """The plan that follows stops it and starts another; then it is one again."""
    desk = Desk()
    wanted = SyncDaemon(SyncRole.MASTER, "lo", 7, maxlen=1460, port=8848, ttl=1)
    await desk.table.apply([StartSync(wanted)])
    assert (await desk.table.observe()).sync == {wanted}
    gone = SyncDaemon(SyncRole.BACKUP, "nowhere0", 7)
    desk.kernel.daemons[SyncRole.BACKUP] = gone
    (stop,) = plan(Desired(sync=frozenset({wanted})), await desk.table.observe())
    assert str(stop) == "stop sync backup on nowhere0 (gone)"
    assert await desk.table.apply([stop]) == []
    assert (await desk.table.observe()).sync == {wanted}


@pytest.mark.net
async def test_accept_mode_needs_no_ipvs(said: Hearing) -> None:
    """A pure VRRP pair drops packets where there is no IPVS; a look at services says nothing of it."""
    desk = Desk(needed=False, absent=True)
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        assert await desk.table.apply([SetAcceptance(ENTRIES)]) == []
        assert (await desk.table.observe()).unaccepted == UnacceptedState(ENTRIES)
        assert (await desk.table.observe([WEB.key])).unaccepted is None
    assert said == []
