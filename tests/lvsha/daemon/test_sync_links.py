"""Tests of lvsha.daemon.sync_links: a daemon on an interface that is another one by now."""

from __future__ import annotations

from lvsha.daemon.sync_links import SyncLinks, index_of
from lvsha.model import GONE, SyncDaemon, SyncRole
from lvsha.plan import StartSync, StopSync

MASTER, BACKUP = (SyncDaemon(role, "sync0", 7) for role in SyncRole)
BOTH = frozenset({MASTER, BACKUP})


class Machine:
    """Interfaces by their numbers."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"sync0": 3, "sync1": 4}
        self.links = SyncLinks(self.numbers.get)

    def gone(self, daemons: frozenset[SyncDaemon] = BOTH) -> set[SyncRole]:
        """The roles whose interface counts as gone."""
        return {d.role for d in self.links.seen(daemons) if d.interface.endswith(GONE)}


def test_the_same_interface_is_no_news() -> None:
    """Daemons that were found running are believed."""
    machine = Machine()
    for _ in range(3):
        assert machine.links.seen(BOTH) == BOTH


def test_an_interface_that_was_made_anew_is_another() -> None:
    """Same name, other number: both roles are deaf until they are started on it."""
    machine = Machine()
    machine.links.seen(BOTH)
    machine.numbers["sync0"] = 9
    assert machine.gone() == {SyncRole.MASTER, SyncRole.BACKUP}
    machine.links.starts([StopSync(MASTER), StartSync(MASTER)])
    assert machine.gone() == {SyncRole.BACKUP}
    machine.links.starts([StartSync(BACKUP)])
    assert machine.gone() == set()


def test_an_interface_that_is_not_there_is_gone_at_once() -> None:
    """Nothing can be told over it, whatever was known; when it is back it is another one."""
    machine = Machine()
    del machine.numbers["sync0"]
    assert machine.gone() == {SyncRole.MASTER, SyncRole.BACKUP}
    machine = Machine()
    machine.links.seen(BOTH)
    del machine.numbers["sync0"]
    assert machine.gone() == {SyncRole.MASTER, SyncRole.BACKUP}
    machine.numbers["sync0"] = 5
    assert machine.gone() == {SyncRole.MASTER, SyncRole.BACKUP}


def test_a_role_that_somebody_stopped_and_started_is_believed_anew() -> None:
    """It was not running for a while, so what it was started on is not known any more."""
    machine = Machine()
    machine.links.seen(BOTH)
    machine.links.seen(frozenset())
    machine.numbers["sync0"] = 9
    assert machine.gone() == set()


def test_a_machines_interfaces_have_numbers() -> None:
    """The loopback interface is there, another is not."""
    assert index_of("lo") == 1
    assert index_of("nowhere0") is None
