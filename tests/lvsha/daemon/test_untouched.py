"""Tests of lvsha.daemon.untouched: which connections nothing was heard of for a while."""

from __future__ import annotations

from pathlib import Path

from lvsha.daemon.untouched import reader, untouched
from lvsha.errors import KernelError
from lvsha.kernel.ipvs.connections import parse
from lvsha.model import Observed, Timeouts

LINE = "TCP C000020A C5A6 C0000264 0007 0A00010C 1B5F {state} {expires}\n"


def table(*entries: tuple[str, int]) -> str:
    """The kernel's file with entries of these states that have so many seconds left."""
    return "Pro FromIP\n" + "".join(LINE.format(state=state, expires=left) for state, left in entries)


def test_what_has_less_left_was_not_touched() -> None:
    """Of 900 s: whoever has 885 left was touched 15 s ago, and one second may be a matter of rounding."""
    found = table(("ESTABLISHED", 899), ("ESTABLISHED", 886), ("ESTABLISHED", 885), ("ESTABLISHED", 12))
    assert untouched(parse(found.splitlines()), 900, 13.0) == 2


def test_only_established_ones_count() -> None:
    """Those that are closing, and templates of persistence, have other timeouts."""
    found = table(("FIN_WAIT", 12), ("NONE", 12), ("ESTABLISHED", 12))
    assert untouched(parse(found.splitlines()), 900, 13.0) == 1


async def test_the_timeout_is_the_kernels(tmp_path: Path) -> None:
    """100 s left are few of 900 and all of 100; a kernel that does not answer shows none."""
    path = tmp_path / "ip_vs_conn"
    path.write_text(table(("ESTABLISHED", 99)))

    async def gone() -> Observed:
        raise KernelError("gone")

    for seconds, count in ((900, 1), (100, 0)):

        async def see(tcp: int = seconds) -> Observed:
            return Observed(timeouts=Timeouts(tcp=tcp))

        assert await reader(see, path)(13.0) == count
    assert await reader(gone, path)(13.0) == 0
