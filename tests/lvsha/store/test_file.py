"""Files that are replaced whole: kills, full disks, links and strangers in their way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lvsha.errors import StateError
from lvsha.store.file import LARGEST, put_aside, read_plain, sweep, write_atomic


def names(directory: Path) -> list[str]:
    """What lies in a directory."""
    return sorted(p.name for p in directory.iterdir())


def test_write_and_read(tmp_path: Path) -> None:
    """What was written is read, nothing else lies beside it, and only the owner may read it."""
    path = tmp_path / "state.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert read_plain(path) == b"two"
    assert names(tmp_path) == ["state.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_empty_content(tmp_path: Path) -> None:
    """No bytes are content as well."""
    write_atomic(tmp_path / "f", b"")
    assert read_plain(tmp_path / "f") == b""


def test_missing_is_not_an_error(tmp_path: Path) -> None:
    """A first start finds no file, and that is no error."""
    assert read_plain(tmp_path / "f") is None
    assert read_plain(tmp_path / "no" / "f") is None


def test_link_in_its_place_is_replaced(tmp_path: Path) -> None:
    """A symbolic link at the file's place is replaced; what it points to stays as it was."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = tmp_path / "state.json"
    path.symlink_to(victim)
    write_atomic(path, b"new")
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert path.read_bytes() == b"new"


def test_link_is_not_read(tmp_path: Path) -> None:
    """A symbolic link is not followed when reading."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "state.json").symlink_to(tmp_path / "secret")
    with pytest.raises(StateError):
        read_plain(tmp_path / "state.json")


def test_fifo_does_not_hang(tmp_path: Path) -> None:
    """A FIFO in the file's place is refused at once."""
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(StateError, match="not a regular file"):
        read_plain(tmp_path / "state.json")


def test_directory_in_its_place(tmp_path: Path) -> None:
    """A directory is neither read nor overwritten, and no temporary file is left."""
    (tmp_path / "state.json").mkdir()
    with pytest.raises(StateError):
        read_plain(tmp_path / "state.json")
    with pytest.raises(StateError, match=r"state\.json cannot be written"):
        write_atomic(tmp_path / "state.json", b"x")
    assert names(tmp_path) == ["state.json"]


def test_anothers_file(tmp_path: Path) -> None:
    """A file of another user is not trusted: they could go on writing it."""
    path = tmp_path / "state.json"
    path.write_bytes(b"{}")
    os.chown(path, 65534, -1)
    with pytest.raises(StateError, match="belongs to another user"):
        read_plain(path)


def test_huge_file(tmp_path: Path) -> None:
    """A file without end is refused by its size, not read."""
    path = tmp_path / "state.json"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(StateError, match="bytes long"):
        read_plain(path)


def test_no_directory(tmp_path: Path) -> None:
    """Without the directory, the error names the file."""
    with pytest.raises(StateError, match=r"no/f cannot be written: No such file"):
        write_atomic(tmp_path / "no" / "f", b"x")


WRITER = """
import os, signal, sys
from pathlib import Path
from lvsha.store import file

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], die)
file.write_atomic(Path(sys.argv[1]), b"new" * 1000)
"""


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_killed_while_writing(tmp_path: Path, moment: str) -> None:
    """A writer killed before its rename leaves the old file whole, and a remainder that sweep removes."""
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    killed = subprocess.run([sys.executable, "-c", WRITER, str(path), moment], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert read_plain(path) == b"old"
    assert len(names(tmp_path)) == 2
    assert len(sweep(tmp_path)) == 1
    assert names(tmp_path) == ["state.json"]


FULL = """
import resource, signal, sys
from pathlib import Path
from lvsha.errors import StateError
from lvsha.store.file import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), b"x" * 5000)
except StateError as error:
    print(error)
"""


def test_no_room(tmp_path: Path) -> None:
    """When the file system takes no more, the old file stays, no remainder is left, the error says why."""
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{path} cannot be written: File too large\n"
    assert read_plain(path) == b"old"
    assert names(tmp_path) == ["state.json"]


def test_durable_before_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is: content to disk, rename, directory to disk."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(descriptor: int) -> None:
        seen.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    def noting_rename(*args: str, **kwargs: int) -> None:
        seen.append("rename")
        rename(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "rename", noting_rename)
    write_atomic(tmp_path / "f", b"x")
    assert seen == ["content", "rename", "directory"]


def test_sweep_spares_the_rest(tmp_path: Path) -> None:
    """Sweeping takes only what a writer left, and does not follow a link."""
    (tmp_path / "state.json").write_bytes(b"x")
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / ".state.json.new-0001").symlink_to(tmp_path / "state.json")
    assert sweep(tmp_path) == [".state.json.new-0001"]
    assert names(tmp_path) == [".hidden", "state.json"]


def test_put_aside_counts_up(tmp_path: Path) -> None:
    """Files put aside never replace one another."""
    path = tmp_path / "state.json"
    for content in (b"first", b"second"):
        path.write_bytes(content)
        put_aside(path)
    assert (tmp_path / "state.json.bad-1").read_bytes() == b"first"
    assert (tmp_path / "state.json.bad-2").read_bytes() == b"second"
