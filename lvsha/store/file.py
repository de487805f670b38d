"""One file, replaced whole or not at all, and read without trust.

Everything is done relative to an open directory, so that a directory that is exchanged meanwhile
changes nothing, and no symbolic link is followed at the last step. In a directory that others may
write to, that is not enough; the state directory is lvsha's own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from lvsha.errors import StateError

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is read: state is small, more is not ours."""

_NEW = ".new-"


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the file's content, durably, with this mode whatever the umask is.

    Raises StateError, and leaves the old file.
    """
    temporary = f".{path.name}{_NEW}{secrets.token_hex(4)}"
    try:
        with _directory(path.parent) as directory:
            try:
                _write_new(temporary, data, mode, directory)
                os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=directory)
                raise
            os.fsync(directory)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {_because(error)}") from error


def read_plain(path: Path) -> bytes | None:
    """The content of a regular file; None where there is no file. Raises StateError."""
    # O_NONBLOCK: opening a FIFO that somebody put there must not wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot be read: {_because(error)}") from error
    try:
        _check_ours(os.fstat(descriptor))
        return _read_all(descriptor)
    except OSError as error:
        raise StateError(f"cannot be read: {_because(error)}") from error
    finally:
        os.close(descriptor)


def sweep(directory: Path) -> list[str]:
    """Remove what writers that were killed have left; the names removed. To be called at start."""
    left = [p for p in directory.glob(f".*{_NEW}*") if p.is_file() or p.is_symlink()]
    for path in left:
        path.unlink(missing_ok=True)
    return [p.name for p in left]


def put_aside(path: Path) -> Path | None:
    """Rename a file to the first free NAME.bad-n; None if that cannot be done."""
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.bad-{number}")
        if not os.path.lexists(aside):
            try:
                path.rename(aside)
            except OSError:
                return None
            return aside
    return None


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_new(name: str, data: bytes, mode: int, directory: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        os.fchmod(descriptor, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(descriptor)


def _read_all(descriptor: int) -> bytes:
    data = bytearray()
    while len(data) <= LARGEST and (more := os.read(descriptor, 1 << 20)):
        data += more
    return bytes(data)


def _check_ours(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StateError("is not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise StateError(f"belongs to another user (uid {status.st_uid})")
    if status.st_size > LARGEST:
        raise StateError(f"is {status.st_size} bytes long, which no state file is")


def _because(error: OSError) -> str:
    return error.strerror or repr(error)
