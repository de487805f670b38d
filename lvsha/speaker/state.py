"""What a killed speaker needs to go on: two small files in the runtime directory.

`speaker.json` holds what the director said last: the instances, which of them are held, whether
the start gate is open. It is written when that changes, to a new file that takes the place of
the old one, so a reader finds one or the other, whole.

`speaker.beat` is a page of memory shared with the file system. A group that is master writes
there the time of each of its adverts, eight octets, without a system call; 0 says that it is
not master. What a killed process wrote to such a page is there for the next one.

Both carry one random token, so that they are known to belong together, and the boot id of the
kernel, because the clock starts again at a boot. A file that is torn or foreign is kept aside
under another name and told about, never used.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lvsha.errors import InputError, StateError
from lvsha.speaker import codec
from lvsha.speaker.messages import Configure, Track

_LIMIT = 8 * 1024 * 1024
_MAGIC = b"lvsha-beat-1\0\0\0\0"
_TOKEN = 32
_SLOTS = len(_MAGIC) + _TOKEN
_SLOT = struct.Struct("@d")

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the director said last."""

    configure: Configure
    gate: bool = False
    """The start gate is open."""
    waits: bool = False
    """No living master is taken over from yet."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Instance -> why it is held in backup."""
    yielded: tuple[str, ...] = ()
    """Groups that were handed over and do not take back what a peer of lower priority holds."""
    tracks: tuple[Track, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    boot: str
    token: str
    groups: tuple[str, ...]
    """In the order of their slots in the beat file."""
    memory: Memory


@dataclass(frozen=True, slots=True)
class Found:
    """What the process before this one left."""

    memory: Memory
    adverts: Mapping[str, float]
    """Group -> when it last advertised as master, on the speaker's clock."""


class Files:
    """The two files of one runtime directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._json = directory / "speaker.json"
        self._beat = directory / "speaker.beat"
        self._boot = BOOT_ID.read_text().strip()
        self._token = ""
        self._groups: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self._page: mmap.mmap | None = None

    def load(self) -> Found | None:
        """What was left here, None where nothing was.

        Raises StateError for a file that cannot be used; it has been renamed then.
        """
        try:
            text = _read(self._json, _LIMIT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._aside(str(error)) from error
        try:
            file = codec.decode(_File, codec.loads(text, "state"))
        except InputError as error:
            raise self._aside(str(error)) from error
        if file.boot != self._boot:
            raise self._aside("it is from before the machine was started")
        self._token, self._groups = file.token, file.groups
        return Found(file.memory, self._adverts())

    def save(self, memory: Memory, groups: Sequence[str]) -> None:
        """Keep this from now on. Raises StateError where it cannot be written."""
        try:
            if tuple(groups) != self._groups or self._page is None:
                self._renew(tuple(groups))
            file = _File(boot=self._boot, token=self._token, groups=self._groups, memory=memory)
            _write(self._json, codec.dumps(file))
        except OSError as error:
            raise StateError(f"{self._json} could not be written: {error}") from error

    def forget(self) -> None:
        """Remove both files: this process stopped in good order."""
        self.close()
        for path in (self._json, self._beat):
            with contextlib.suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Let go of the shared page; the files stay."""
        if self._page is not None:
            self._page.close()
            self._page = None

    def advertised(self, group: str, at: float) -> None:
        """A group advertised as master at this time; 0 when it is master no more."""
        place = self._places.get(group)
        if self._page is not None and place is not None:
            _SLOT.pack_into(self._page, place, at)

    def _adverts(self) -> dict[str, float]:
        """The times in the beat file, none where it does not belong to the other one."""
        size = _SLOTS + _SLOT.size * len(self._groups)
        try:
            data = _read(self._beat, size + 1)
        except OSError:
            return {}
        if len(data) != size or data[:_SLOTS] != _MAGIC + self._token.encode():
            return {}
        times = struct.unpack_from(f"@{len(self._groups)}d", data, _SLOTS)
        return {group: at for group, at in zip(self._groups, times, strict=True) if at > 0}

    def _renew(self, groups: tuple[str, ...]) -> None:
        """Another beat file, with what is known of the groups that stay."""
        known = self._adverts() if self._token else {}
        self.close()
        self._token, self._groups = secrets.token_hex(_TOKEN // 2), groups
        times = struct.pack(f"@{len(groups)}d", *(known.get(group, 0.0) for group in groups))
        _write(self._beat, _MAGIC + self._token.encode() + times)
        with _opened(self._beat, os.O_RDWR) as descriptor:
            self._page = mmap.mmap(descriptor, 0)
        self._places = {group: _SLOTS + _SLOT.size * i for i, group in enumerate(groups)}

    def _aside(self, why: str) -> StateError:
        kept = self._json.with_suffix(".json.refused")
        with contextlib.suppress(OSError):
            self._json.replace(kept)
        return StateError(f"{self._json} is not used and was renamed to {kept.name}: {why}")


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(path: Path, limit: int) -> bytes:
    """At most `limit` octets of a file of our own. Raises OSError."""
    with _opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{path} is not a regular file")
        if about.st_uid not in (0, os.geteuid()):
            raise OSError(f"{path} belongs to user {about.st_uid}")
        data = b""
        while len(data) < limit and (part := os.read(descriptor, limit - len(data))):
            data += part
        return data


def _write(path: Path, data: bytes) -> None:
    """Put a whole file in the place of the old one. The directory is a tmpfs: nothing is synced."""
    new = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with _opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    new.replace(path)
