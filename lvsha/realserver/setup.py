"""The whole of it: set up, and take back.

A step that fails takes back what this run did, and nothing else; the server is then as it was. What is on
record is written before the first change, so that a machine that dies in the middle can be put right by
either command.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from checks.audit import Facts, Finding, Preparation, Step, examine
from checks.audit.tunnels import local
from lvsha.errors import InputError, KernelError, LvshaError, StateError
from lvsha.realserver import apply, persist, record
from lvsha.realserver.look import look
from lvsha.realserver.plan import plan, taken_back
from lvsha.realserver.record import Record

ROOT = Path("/")
STATE = Path("/var/lib/lvsha")
"""Directory of what was there before."""


class RefusedError(InputError):
    """The server cannot be set up as wanted; `findings` say why, and nothing was changed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(str(findings[0]))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Account:
    """What was done, or with a dry run, what would be."""

    back: tuple[Step, ...]
    """Earlier steps taken back, before the others."""
    steps: tuple[Step, ...]
    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    """How the server is now; nothing after a dry run and after undoing."""


def set_up(
    wanted: Preparation, *, state: Path = STATE, root: Path = ROOT, keep: bool = True, dry: bool = False
) -> Account:
    """Make this server ready.

    `keep`: also after a reboot. `dry`: only say what would be done. Raises RefusedError, KernelError
    (nothing is left half done) and StateError.
    """
    with _alone(state, dry=dry):
        facts, known = look(), record.load(state)
        wanted = settled(wanted, facts)
        way = plan(wanted, facts, known.steps)
        if way.stops:
            raise RefusedError(way.stops)
        if keep:
            persist.check(root)
        if dry:
            written = persist.contents(wanted, way.record, networkd=persist.networkd(root)) if keep else {}
            return Account(way.back, way.steps, tuple(map(str, written)), ())
        # Old and new: whatever is there at the end of a bad day can be taken back.
        record.save(state, replace(known, steps=(*dict.fromkeys((*known.steps, *way.record)),)))
        _carry_out(way.back, way.steps, on_failure=lambda: record.save(state, known))
        files = known.files
        if keep:
            # On record first, as everything else.
            record.save(state, Record(way.record, persist.ALL))
            files = persist.write(root, wanted, way.record)
        record.save(state, Record(way.record, files))
        return Account(way.back, way.steps, files if keep else (), examine(wanted, look()))


def undo(*, state: Path = STATE, root: Path = ROOT, dry: bool = False) -> Account:
    """Put everything back as it was before the first set-up.

    Raises KernelError when something could not be taken back (it stays on record), and StateError.
    """
    with _alone(state, dry=dry):
        known = record.load(state)
        back = taken_back(look(), known.steps)
        if not dry:
            persist.remove(root, known.files)
            failed = list(_take_back(back))
            record.save(state, Record(tuple(step for step, _ in failed)))
            if failed:
                raise KernelError("; ".join(str(error) for _, error in failed))
        return Account(back, (), known.files, ())


def settled(wanted: Preparation, facts: Facts) -> Preparation:
    """What is wanted, with the tunnels' end in it: it shall not move when a route does."""
    end = local(wanted, facts) if wanted.mode == "tun" else None
    return wanted if end is None or isinstance(end, Finding) else replace(wanted, local=str(end))


def _carry_out(back: Sequence[Step], steps: Sequence[Step], on_failure: Callable[[], None]) -> None:
    undone: list[Step] = []
    done: list[Step] = []
    try:
        for step in back:
            apply.take_back(step)
            undone.append(step)
        for step in steps:
            apply.do(step)
            done.append(step)
    except KernelError as error:
        left = [*_take_back(list(reversed(done))), *_do_again(list(reversed(undone)))]
        if left:
            told = "; ".join(str(wrong) for _, wrong in left)
            raise KernelError(f"{error}; and this could not be taken back: {told}") from error
        on_failure()
        raise


def _take_back(steps: Sequence[Step]) -> Iterator[tuple[Step, LvshaError]]:
    """Take steps back; those that could not be."""
    for step in steps:
        try:
            apply.take_back(step)
        except KernelError as error:
            yield step, error


def _do_again(steps: Sequence[Step]) -> Iterator[tuple[Step, LvshaError]]:
    for step in steps:
        try:
            apply.do(step)
        except KernelError as error:
            yield step, error


@contextmanager
def _alone(state: Path, *, dry: bool) -> Iterator[None]:
    """One command at a time; a dry run disturbs nobody."""
    if dry:
        yield
        return
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The directory itself: a file would stay when everything else is taken back.
        lock = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"{state} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
