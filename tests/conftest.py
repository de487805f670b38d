"""What every test may use: the lab's plugin sends tests to the kernel that can run them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long one example takes says nothing of what a property test claims: the machine may be busy, and some
# libraries are imported at the first example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

pytest_plugins = ["tests.lab.plugin"]

# Stories that several test modules share say what they saw, as tests do.
pytest.register_assert_rewrite("tests.lab.rules", "tests.lab.fake_firewall")
