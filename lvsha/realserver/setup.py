"""The whole of it: set up, and take back.

A step that fails takes back what this run did, and nothing else; the server is then as it was. What is on
record is written before the first change, so that a machine that dies in the middle can be put right by
either command.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from checks.audit import Facts, Finding, Preparation, Step, examine
from checks.audit.tunnels import local
from lvsha.errors import InputError, KernelError, StateError
from lvsha.realserver import apply, persist, record
from lvsha.realserver.earlier import earlier
from lvsha.realserver.left import open_after
from lvsha.realserver.look import look
from lvsha.realserver.plan import Move, plan, taken_back, without
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
    """How the server is now; nothing after a dry run. After undoing: what that leaves open."""
    replaced: str = ""
    """In the words of the options, an earlier set-up of another mode whose place this one takes."""


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
        before = earlier(root, known)
        replaced = str(before) if before is not None and before.differs(wanted.mode, frozenset()) else ""
        if keep:
            persist.check(root)
        if dry:
            written = persist.contents(wanted, way.record, networkd=persist.networkd(root)) if keep else {}
            return Account(way.back, way.steps, tuple(map(str, written)), (), replaced)
        # Old and new: whatever is there at the end of a bad day can be taken back.
        record.save(state, replace(known, steps=(*dict.fromkeys((*known.steps, *way.record)),)))
        _carry_out(way.moves, on_failure=lambda: record.save(state, known))
        files = known.files
        if keep:
            # On record first, as everything else.
            record.save(state, Record(way.record, persist.ALL))
            files = persist.write(root, wanted, way.record)
        record.save(state, Record(way.record, files))
        return Account(way.back, way.steps, files if keep else (), examine(wanted, look()), replaced)


def undo(
    *, mode: str = "", vips: Iterable[str] = (), state: Path = STATE, root: Path = ROOT, dry: bool = False
) -> Account:
    """Put everything back as it was before the first set-up.

    `mode`, `vips`: what it is believed to be for; empty: whatever it is. Raises InputError where it is for
    something else (nothing was changed then), KernelError when something could not be taken back (it stays on
    record), and StateError.
    """
    with _alone(state, dry=dry):
        known = record.load(state)
        there = earlier(root, known)
        if there is not None and there.differs(mode, frozenset(map(_plain, vips))):
            raise InputError(
                f"this server is set up for `{there}`, and undo takes back all of it: say that, or nothing; "
                "`setup` with what is to stay takes back the rest"
            )
        facts = look()
        back = taken_back(facts, known.steps)
        if not dry:
            persist.remove(root, known.files)
            failed = _undo(Move(step, back=True) for step in back)
            record.save(state, Record(tuple(step for step, _ in failed)))
            if failed:
                raise KernelError("; ".join(str(error) for _, error in failed))
        return Account(back, (), known.files, tuple(open_after(without(facts, known.steps), back)))


def _plain(vip: str) -> str:
    try:
        return str(ip_address(vip))
    except ValueError:
        raise InputError(f"{vip!r} is not an IP address") from None


def settled(wanted: Preparation, facts: Facts) -> Preparation:
    """What is wanted, with the tunnels' end in it: it shall not move when a route does."""
    end = local(wanted, facts) if wanted.mode == "tun" else None
    return wanted if end is None or isinstance(end, Finding) else replace(wanted, local=str(end))


def _carry_out(moves: Sequence[Move], on_failure: Callable[[], None]) -> None:
    made: list[Move] = []
    try:
        for move in moves:
            _make(move)
            made.append(move)
    except KernelError as error:
        left = _undo(Move(move.step, back=not move.back) for move in reversed(made))
        if told := "; ".join(str(wrong) for _, wrong in left):
            raise KernelError(f"{error}; and this could not be taken back: {told}") from error
        on_failure()
        raise


def _undo(moves: Iterable[Move]) -> list[tuple[Step, KernelError]]:
    """Make all of these; the steps that could not be, and why."""
    failed = []
    for move in moves:
        try:
            _make(move)
        except KernelError as error:
            failed.append((move.step, error))
    return failed


def _make(move: Move) -> None:
    if move.back:
        apply.take_back(move.step)
    else:
        apply.do(move.step)


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
