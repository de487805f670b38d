"""Tests of lvsha.daemon.memory: what must be known after a restart."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.daemon.memory import Memory, owned_from_document
from lvsha.daemon.record import Record as Sysctls
from lvsha.errors import InputError, StateError
from lvsha.log import listening
from lvsha.model import AddressKey, Family, FwmarkKey, Owned, Protocol, ServiceKey, SyncKey, SyncRole
from lvsha.overrides import Kind, Override, Overrides, Record, Selector, Stamp
from lvsha.store import write_document

keys: st.SearchStrategy[ServiceKey] = st.one_of(
    st.builds(AddressKey, st.sampled_from(Protocol), st.ip_addresses(), st.integers(0, 65535)),
    st.builds(FwmarkKey, st.sampled_from(Family), st.integers(1, 2**32 - 1)),
)

roles = st.builds(SyncKey, st.sampled_from(SyncRole), st.text(max_size=15), st.integers(0, 255))


@given(owned=st.builds(Owned, st.frozensets(keys, max_size=5), st.frozensets(roles, max_size=2)))
def test_ownership_survives(tmp_path_factory: pytest.TempPathFactory, owned: Owned) -> None:
    """Services of every kind and roles of the sync daemon are read back as they were kept."""
    directory = tmp_path_factory.mktemp("state")
    Memory(directory).keep_owned(owned)
    assert Memory(directory).owned() == owned


def test_a_new_machine_knows_nothing(tmp_path: Path) -> None:
    """No file is no error."""
    memory = Memory(tmp_path)
    assert (memory.overrides(), memory.owned(), memory.holds()) == (Overrides(), Owned(), {})
    assert memory.sysctls() == Sysctls()


@given(holds=st.dictionaries(st.text(max_size=64), st.text(max_size=200), max_size=3))
def test_holds_survive(tmp_path_factory: pytest.TempPathFactory, holds: dict[str, str]) -> None:
    """Who holds which instance back is read back as it was kept."""
    directory = tmp_path_factory.mktemp("state")
    Memory(directory).keep_holds(holds)
    assert Memory(directory).holds() == holds


@pytest.mark.parametrize("name", ["overrides", "owned", "holds", "sysctls"])
@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 512, b'{"overrides": []}', b"[1, 2]"])
def test_a_torn_or_foreign_file_is_said_and_kept_aside(tmp_path: Path, name: str, content: bytes) -> None:
    """The daemon goes on without it, loudly, and the file can be looked at."""
    (tmp_path / f"{name}.json").write_bytes(content)
    said: list[dict[str, Any]] = []
    with listening(said.append):
        memory = Memory(tmp_path)
        assert (memory.overrides(), memory.owned(), memory.holds()) == (Overrides(), Owned(), {})
        assert memory.sysctls() == Sysctls()
    assert [(e["event"], e["alert"]) for e in said] == [("state.discarded", True)]
    assert [p.read_bytes() for p in tmp_path.glob("*.bad-*")] == [content]


def test_a_whole_document_with_nonsense_in_it_is_said(tmp_path: Path) -> None:
    """An entry that is no override is an error that names it, not an exception of some library."""
    write_document(tmp_path / "overrides.json", "overrides", 1, {"overrides": [{"kind": "explode"}]})
    said: list[dict[str, Any]] = []
    with listening(said.append):
        assert Memory(tmp_path).overrides() == Overrides()
    assert "overrides[0]" in said[0]["error"]


def test_a_file_of_an_older_lvsha_is_read(tmp_path: Path) -> None:
    """It knew no stamps and did not remember what had ended: a word is as old as it says."""
    entry = {
        "service": None, "server": "rs1", "address": None, "port": None, "kind": "weight", "weight": 3,
        "reason": "new disks", "by": "root", "since": 1000.5, "until": None,
    }  # fmt: skip
    write_document(tmp_path / "overrides.json", "overrides", 1, {"overrides": [entry]})
    said = Override(Selector(server="rs1"), Kind.WEIGHT, 3, "new disks", "root", 1000.5)
    (record,) = Memory(tmp_path).overrides().records
    assert record == Record(said, Stamp(1_000_500_000))


@pytest.mark.parametrize("body", [{}, {"instances": ["public"]}, {"instances": {"public": 1}}])
def test_holds_that_make_no_sense_are_said(tmp_path: Path, body: dict[str, Any]) -> None:
    """They are kept aside as well; the director goes on without them."""
    write_document(tmp_path / "holds.json", "holds", 1, body)
    said: list[dict[str, Any]] = []
    with listening(said.append):
        assert Memory(tmp_path).holds() == {}
    assert [e["event"] for e in said] == ["state.discarded"]


def test_an_older_lvsha_remembered_no_sync_daemons(tmp_path: Path) -> None:
    """Its services are read, and no role is anybody's."""
    entry = {"protocol": "tcp", "address": "192.0.2.1", "port": 80}
    write_document(tmp_path / "owned.json", "owned", 1, {"services": [entry]})
    web = AddressKey(Protocol.TCP, ip_address("192.0.2.1"), 80)
    assert Memory(tmp_path).owned() == Owned(frozenset({web}))


def test_an_end_is_remembered(tmp_path: Path) -> None:
    """What was taken back stays known as that after a restart, and is not in force."""
    said = Override(Selector(server="rs1"), Kind.DRAIN, since=1000.0)
    overrides = Overrides().put(said, node="lb1").remove([said], now=1001.0, node="lb2")
    Memory(tmp_path).keep_overrides(overrides)
    assert Memory(tmp_path).overrides() == overrides
    assert Memory(tmp_path).overrides().entries == ()


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The caller is told, so that nothing takes effect that would be forgotten."""
    said: list[dict[str, Any]] = []
    with listening(said.append), pytest.raises(StateError):
        Memory(tmp_path / "missing").keep_overrides(
            Overrides().put(Override(Selector(server="rs1"), Kind.DRAIN))
        )
    assert said[0]["event"] == "state.unwritable"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "services: a list"),
        ({"services": {}}, "services: a list"),
        ({"services": [7]}, r"services\[0\]"),
        ({"services": [{"protocol": "tcp", "address": "192.0.2.999", "port": 80}]}, r"services\[0\]"),
        ({"services": [{"protocol": "icmp", "address": "192.0.2.1", "port": 80}]}, r"services\[0\]"),
        ({"services": [{"family": "ipx", "mark": 1}]}, r"services\[0\]"),
        ({"services": [], "sync": 7}, "sync: a list"),
        ({"services": [], "sync": [{"role": "witness", "interface": "eth1", "id": 7}]}, r"sync\[0\]"),
        ({"services": [], "sync": [{"role": "master", "id": 7}]}, r"sync\[0\]"),
    ],
)
def test_nonsense_in_a_document_is_an_input_error(document: dict[str, Any], place: str) -> None:
    """Every wrong entry is refused with its place."""
    with pytest.raises(InputError, match=place):
        owned_from_document(document)


def test_keys_are_written_in_plain_words(tmp_path: Path) -> None:
    """An operator can read the file."""
    web = AddressKey(Protocol.TCP, ip_address("192.0.2.1"), 80)
    Memory(tmp_path).keep_owned(Owned(frozenset({web}), frozenset({SyncKey(SyncRole.MASTER, "eth1", 7)})))
    text = (tmp_path / "owned.json").read_text()
    assert '"192.0.2.1"' in text
    assert '"tcp"' in text
    assert '"master"' in text
