"""A daemon with a wall clock of its own: CLOCK_REALTIME is one for the whole machine, in every namespace.

    process = await start(node, "tests.lab.clock", str(file), "--config", ...)
    set_clock(file, 3600.0)

Runs `lvsha` with `time.time` an offset ahead. The offset stands in a file that the process maps, so that it
can jump while the daemon runs. Monotonic clocks, which all of VRRP's timers use, are left as they are.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("@d")


def set_clock(file: Path, offset: float) -> None:
    """Let the clock of the daemon that maps this file be so many seconds ahead."""
    if not file.exists():
        file.write_bytes(bytes(_OFFSET.size))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), _OFFSET.size) as page:
        _OFFSET.pack_into(page, 0, offset)


def _skew(file: Path) -> None:
    """From now on this process has that clock."""
    with file.open("r+b") as opened:
        page = mmap.mmap(opened.fileno(), _OFFSET.size)
    real = time.time

    def skewed() -> float:
        (offset,) = _OFFSET.unpack_from(page, 0)
        return real() + float(offset)

    time.time = skewed


if __name__ == "__main__":
    _skew(Path(sys.argv.pop(1)))
    runpy.run_module("lvsha", run_name="__main__", alter_sys=True)
