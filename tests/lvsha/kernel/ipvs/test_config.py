"""IPVS's own settings as attributes."""

from __future__ import annotations

import pytest
from hypothesis import given

from lvsha.kernel.attributes import MalformedError, pack_u32
from lvsha.kernel.ipvs.config import Info, pack_timeouts, unpack_info, unpack_timeouts
from lvsha.model import Timeouts
from tests.lab import drawn


@given(drawn.timeouts)
def test_timeouts_come_back(timeouts: Timeouts) -> None:
    """What is packed for the kernel is what would be read from it."""
    assert unpack_timeouts(pack_timeouts(timeouts)) == timeouts


def test_a_timeout_of_0_is_not_sent() -> None:
    """It means: leave it alone."""
    assert pack_timeouts(Timeouts(tcp_fin=120)) == pack_u32(5, 120)
    assert pack_timeouts(Timeouts()) == b""


def test_the_version_is_three_bytes() -> None:
    """IP_VS_VERSION_CODE 0x010201 is 1.2.1."""
    assert unpack_info(pack_u32(1, 0x010201) + pack_u32(2, 4096)) == Info("1.2.1", 4096)


def test_an_answer_without_a_version_is_told() -> None:
    """Half an answer is none."""
    with pytest.raises(MalformedError, match="attribute 1 is missing"):
        unpack_info(pack_u32(2, 4096))
