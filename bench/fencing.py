"""Who holds the virtual address when something fails: every failure of `tests.lab.fencing`, as a table.

    python -m bench.fencing [--rounds 3] [--interval 1 --interval 0.1] [--only WORDS]

Each failure is played on a new pair with a priority of 200 against 100, and the kernels' own notifications of
addresses are read on both nodes. The table has the worst of the rounds: how long nobody held the address,
how long both did; it goes to standard error. A row that breaks a promise is marked, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.fencing import SCENARIOS, Finding, Scenario, play


async def rounds(scenario: Scenario, interval: float, count: int) -> list[Finding]:
    """Play one failure so often."""
    findings = []
    for _ in range(count):
        with TemporaryDirectory() as directory:
            findings.append(await play(scenario, interval, Path(directory)))
    return findings


def row(interval: float, findings: list[Finding]) -> str:
    """The worst of the rounds as a row."""
    worst = max(findings, key=lambda each: (each.nobody + each.both, each.nobody))
    faults = [fault for each in findings for fault in each.faults]
    nobody, both = (max(getattr(each, name) for each in findings) for name in ("nobody", "both"))
    more = "; ".join((*worst.notes, *(f"**{fault}**" for fault in faults)))
    return (
        f"| {worst.scenario.name} | {interval:g} s | {worst.story} | {nobody * 1000:.0f} | "
        f"{both * 1000:.0f} | {more} |"
    )


async def measure(intervals: list[float], count: int, only: str) -> bool:
    """Print the table as it grows; whether every promise was kept."""
    print(
        f"| failure | interval | who held it (worst of {count}) | nobody, ms | both, ms | |", file=sys.stderr
    )
    print("|---|---|---|---:|---:|---|", file=sys.stderr, flush=True)
    kept = True
    for scenario in SCENARIOS:
        for interval in intervals if only in scenario.name else []:
            try:
                findings = await rounds(scenario, interval, count)
            except AssertionError as error:
                kept = False
                print(
                    f"| {scenario.name} | {interval:g} s | | | | **{error}** |", file=sys.stderr, flush=True
                )
                continue
            kept &= not any(each.faults for each in findings)
            print(row(interval, findings), file=sys.stderr, flush=True)
    return kept


def main() -> int:
    """Measure; the table goes to standard error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=float, action="append", metavar="SECONDS")
    parser.add_argument("--only", default="", metavar="WORDS", help="failures whose name has these words")
    options = parser.parse_args()
    return not asyncio.run(measure(options.interval or [1.0, 0.1], options.rounds, options.only))


if __name__ == "__main__":
    sys.exit(main())
