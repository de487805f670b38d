"""What outlives a killed speaker, and what is refused of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lvsha.errors import StateError
from lvsha.speaker.messages import Configure
from lvsha.speaker.spec import InstanceSpec
from lvsha.speaker.state import Files, Memory
from tests.lab.speaker import instance

GROUPS = ("instance public", "group front")
SPEC: InstanceSpec = instance()
MEMORY = Memory(configure=Configure(node="lb1", instances=(SPEC,)), gate=True, held={"public": "work"})


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Files of a process that saved something and advertised, and was then killed."""
    made = Files(tmp_path)
    made.save(MEMORY, GROUPS)
    made.advertised("instance public", 12.5)
    return made


def test_everything_is_found_again(files: Files, tmp_path: Path) -> None:
    """Memory and the time of the last advert come back, without the first process closing anything."""
    found = Files(tmp_path).load()
    assert found is not None
    assert found.memory == MEMORY
    assert found.adverts == {"instance public": 12.5}


def test_the_last_time_counts(files: Files, tmp_path: Path) -> None:
    """A group that is master no more leaves no time."""
    files.advertised("group front", 13.0)
    files.advertised("group front", 14.0)
    files.advertised("instance public", 0.0)
    found = Files(tmp_path).load()
    assert found is not None
    assert found.adverts == {"group front": 14.0}


def test_times_stay_when_groups_come_and_go(files: Files, tmp_path: Path) -> None:
    """A group that stays keeps its time while others are configured around it."""
    files.save(MEMORY, ("group new", "instance public"))
    found = Files(tmp_path).load()
    assert found is not None
    assert found.adverts == {"instance public": 12.5}


def test_nothing_is_found_where_nothing_was(tmp_path: Path) -> None:
    """An empty directory is no error."""
    assert Files(tmp_path).load() is None


def test_a_good_stop_leaves_nothing(files: Files, tmp_path: Path) -> None:
    """After an orderly stop the next process starts anew."""
    files.forget()
    assert Files(tmp_path).load() is None
    assert list(tmp_path.iterdir()) == []


def test_the_files_are_private(files: Files, tmp_path: Path) -> None:
    """They hold keys: nobody else may read them."""
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_torn_file_is_kept_aside(files: Files, tmp_path: Path, keep: int) -> None:
    """A file that is cut anywhere is not used, told about, and still there for a person."""
    path = tmp_path / "speaker.json"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StateError, match="not used"):
        Files(tmp_path).load()
    assert not path.exists()
    assert (tmp_path / "speaker.json.refused").exists()


def test_a_file_of_another_boot_is_refused(files: Files, tmp_path: Path) -> None:
    """The clock began anew with the boot: the times mean nothing now."""
    path = tmp_path / "speaker.json"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path.write_text(path.read_text().replace(boot, "0" * 36))
    with pytest.raises(StateError, match="before the machine was started"):
        Files(tmp_path).load()


@pytest.mark.parametrize("size", [0, 10, 48, 60, 5000])
def test_a_beat_file_that_does_not_fit_says_nothing(files: Files, tmp_path: Path, size: int) -> None:
    """Without the times nobody was master; what is left of the memory is good."""
    path = tmp_path / "speaker.beat"
    path.write_bytes((path.read_bytes() + bytes(6000))[:size])
    found = Files(tmp_path).load()
    assert found is not None
    assert found.adverts == {}


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Somebody who can write to the directory cannot make us read or overwrite another file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    runtime = tmp_path / "run"
    runtime.mkdir()
    (runtime / "speaker.json").symlink_to(victim)
    (runtime / "speaker.json.new").symlink_to(victim)
    with pytest.raises(StateError):
        Files(runtime).load()
    Files(runtime).save(MEMORY, GROUPS)
    assert victim.read_text() == "precious"
    assert Files(runtime).load() is not None


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    """A pipe in the place of the file is refused at once."""
    os.mkfifo(tmp_path / "speaker.json")
    with pytest.raises(StateError, match="not a regular file"):
        Files(tmp_path).load()


def test_a_directory_that_is_gone_is_told(files: Files, tmp_path: Path) -> None:
    """What cannot be written is a StateError that names the file."""
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    with pytest.raises(StateError, match=r"speaker\.json could not be written"):
        files.save(MEMORY, ("other",))
    tmp_path.mkdir()
