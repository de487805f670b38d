"""Tests of `lvsha.config.settings.vrrp`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.config.settings.vrrp import KeyAuth, PasswordAuth, automatic_lease, master_down


@pytest.mark.parametrize(("interval", "priority", "seconds"), [(1.0, 100, 3.609375), (1.0, 255, 3.00390625)])
def test_master_down(interval: float, priority: int, seconds: float) -> None:
    """Three intervals and the skew of RFC 9568."""
    assert master_down(interval, priority) == seconds


@settings(deadline=None)
@given(st.integers(1, 4095), st.integers(1, 255))
def test_automatic_lease(hundredths: int, priority: int) -> None:
    """Whatever the priority of the backup, the lease lasts until it takes over, and not long beyond."""
    interval = hundredths / 100
    down = master_down(interval, priority)
    assert down <= automatic_lease(interval) <= max(2, down + interval + 1)


def test_secrets_stay_out_of_logs() -> None:
    """What is printed of a configuration holds no secret."""
    assert "s3cret" not in repr(PasswordAuth("s3cret"))
    assert "s3cret" not in repr(KeyAuth({1: b"s3cret"}, 1))
