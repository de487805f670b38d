"""The counters of a service or a server, out of the kernel's nested statistics.

Kernels since 4.1 send them twice: IPVS_*_ATTR_STATS, where connections, packets and rates are
cut to 32 bits and so wrap within hours on a busy director, and IPVS_*_ATTR_STATS64. The wide
ones are taken where they are.
"""

from __future__ import annotations

from lvsha.kernel.attributes import Attributes, Layout, number, unpack
from lvsha.kernel.ipvs import abi
from lvsha.model import Counters

ZERO = Counters()

# The order of net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_fill_stats and ip_vs_genl_fill_stats64;
# bytes have 64 bits in both.
NARROW = Layout(*((kind, "Q" if kind in (4, 5) else "I") for kind in range(1, abi.STATS_COUNT + 1)))
WIDE = Layout(*((kind, "Q") for kind in range(1, abi.STATS_COUNT + 1)))


def counters(found: Attributes, narrow: int, wide: int) -> Counters:
    """The counters within the attributes of an object; `narrow` and `wide` are the kinds of its nests."""
    nest = found.get(wide) or found.get(narrow)
    if nest is None:
        return ZERO
    values = WIDE.unpack(nest) or _walk(nest)
    # Most servers of a large standby table have counted nothing: they share one value.
    return Counters(*values) if any(values) else ZERO


def _walk(nest: bytes) -> tuple[int, ...]:
    found = unpack(nest)
    return tuple(number(found, kind, 0) for kind in range(1, abi.STATS_COUNT + 1))
