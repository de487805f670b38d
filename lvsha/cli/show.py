"""Tables and pairs: coloured on a terminal, aligned text elsewhere.

Elsewhere means a pipe or a file, where columns are as wide as their content and nothing is wrapped, so
that `awk` and `grep` see whole lines. Every cell is made harmless first: it may hold what a server sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from lvsha.cli.words import safe

_STYLES = {
    "ok": "green",
    "up": "green",
    "master": "bold green",
    "backup": "cyan",
    "degraded": "yellow",
    "checking": "yellow",
    "unknown": "yellow",
    "warning": "yellow",
    "init": "yellow",
    "down": "bold red",
    "fault": "bold red",
    "error": "bold red",
    "critical": "bold red",
}


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def line(text: str) -> None:
    """One line."""
    print(safe(text))


def lines(texts: Iterable[str]) -> None:
    """Some lines."""
    for text in texts:
        line(text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Rows under the names of their columns, or the sentence for none."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if not cells:
        print(empty)
    elif on_terminal():
        _rich_table(columns, cells)
    else:
        lines(_aligned([columns, *cells]))


def pairs(values: Iterable[tuple[str, object]]) -> None:
    """Names with their values."""
    cells = [(name, safe(value)) for name, value in values]
    width = max((len(name) for name, _ in cells), default=0)
    for name, value in cells:
        print(f"{name:<{width}}  {value}".rstrip())


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Imported here: 50 ms that a pipe need not wait.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        # As Text: brackets in a cell are no markup.
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(shown)
