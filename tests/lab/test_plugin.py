"""Tests marked `ipvs` run on a kernel that has IPVS."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.ipvs
def test_ipvs_is_here() -> None:
    """The kernel under a test marked `ipvs` has IPVS loaded."""
    assert Path("/proc/net/ip_vs").exists()
