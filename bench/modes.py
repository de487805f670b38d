"""The table of modes, filled from runs: what becomes of traffic over IPv4 and IPv6, for TCP and UDP.

    python -m tests.lab.inside bench.modes [--flows 20] [--mode nat --mode dr ...]

For each mode a pair of directors, three real servers and a client go through everything of `tests.lab.cells`.
It ends with 1 when something contradicts what the mode promises, and says what.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.cells import Loss, Row, Seen, broken, seen
from tests.lab.flows import Fate
from tests.lab.modes import MODES, PORT, Mode, Pace

PACE = Pace(interval=0.5)

HEADS = (
    ("", "", "answered by", "a server sees", "client's port → server's"),
    (
        "",
        "",
        "a server's program is killed",
        "a server's cable is cut",
        "a server is drained",
        "planned failover",
        "the master dies",
    ),
)


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Both halves as Markdown."""
    rows = list(rows)
    for head, cells in zip(HEADS, (_promise, _failures), strict=True):
        yield _line(head)
        yield _line(["---"] * len(head))
        yield from (_line([row.mode, _kind(row), *cells(row)]) for row in rows)
        yield ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _kind(row: Row) -> str:
    return f"{row.case.transport.upper()}, IPv{row.case.family}"


def _promise(row: Row) -> list[str]:
    return [", ".join(sorted(row.served)), ", ".join(sorted(row.sources)), f"{PORT} → {row.port}"]


def _failures(row: Row) -> list[str]:
    return [
        _death(row.killed),
        _death(row.cut),
        f"new ones: {', '.join(sorted(row.drained.serving))}; {_alive(row.drained.fate)} go on",
        *(f"{_alive(fate)}, {fate.pause:.1f} s" for fate in (row.planned, row.crashed)),
    ]


def _death(loss: Loss) -> str:
    return f"new ones fail for {loss.failing:.1f} s; {_end(loss.fate)}"


def _end(fate: Fate) -> str:
    """What became of a dead server's flows."""
    fates = {**fate.ended, "moved": fate.moved, "stayed": fate.alive + fate.renamed}
    told = [f"{number} of {fate.count} {how}" for how, number in fates.items() if number]
    return f"{', '.join(told)} within {fate.changed:.1f} s"


def _alive(fate: Fate) -> str:
    return f"{fate.alive} of {fate.count}"


def measure(mode: Mode, flows: int) -> Seen:
    """One mode; what its programs said is shown when it fails."""
    said = io.StringIO()
    try:
        with TemporaryDirectory() as directory, contextlib.redirect_stdout(said):
            return asyncio.run(seen(mode, Path(directory), flows=flows, pace=PACE, period=1.0))
    except BaseException:
        print(said.getvalue(), file=sys.stderr)
        raise


def main() -> int:
    """Every mode asked for."""
    parser = argparse.ArgumentParser(description="What becomes of traffic in each mode.")
    parser.add_argument("--flows", type=int, default=20, help="begun before each failover, of each kind")
    parser.add_argument("--mode", action="append", choices=MODES)
    options = parser.parse_args()
    begun = time.monotonic()
    found: list[Seen] = []
    for mode in options.mode or MODES:
        found.append(measure(mode, options.flows))
        print(f"{mode}: seen after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    rows = [row for each in found for row in each.rows]
    print(f"\nkernel {os.uname().release}\n")
    print("\n".join(table(rows)))
    for each in found:
        if each.refusal:
            print(f"{each.rows[0].mode}, servers at another port:\n    {_first(each.refusal)}")
    wrong = [words for row in rows for words in broken(row, PACE)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def _first(refusal: str) -> str:
    """The first problem, with its remedy."""
    lines = refusal.splitlines()
    return next((line for line in lines if ".port" in line), lines[0])


if __name__ == "__main__":
    sys.exit(main())
