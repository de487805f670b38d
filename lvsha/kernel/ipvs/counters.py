"""The counters of a service or a server, out of the kernel's nested statistics.

Kernels since 4.1 send them twice: once with connections, packets and rates cut to 32 bits,
which wrap within hours on a busy director, and once wide (ip_vs_genl_fill_stats and
ip_vs_genl_fill_stats64 in net/netfilter/ipvs/ip_vs_ctl.c). The wide ones are taken where they
are.
"""

from __future__ import annotations

from typing import Any

from lvsha.kernel.ipvs import abi
from lvsha.kernel.rows import Field, number
from lvsha.model import Counters

_ZERO = Counters()


def fields(narrow: int, wide: int) -> list[Field]:
    """The ten fields of a row; `narrow` and `wide` are the kinds of its two nests."""
    kinds = range(1, abi.STATS_COUNT + 1)
    return [number((wide, kind), (narrow, kind), default=0) for kind in kinds]


def counters(values: tuple[Any, ...]) -> Counters:
    """The values of those fields. Most servers of a standby have counted nothing: they share one object."""
    return Counters(*values) if any(values) else _ZERO
