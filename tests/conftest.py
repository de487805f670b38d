"""What every test may use: the lab's plugin sends tests to the kernel that can run them."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.lab.plugin"]

# Stories that several test modules share say what they saw, as tests do.
pytest.register_assert_rewrite("tests.lab.rules", "tests.lab.fake_firewall")
