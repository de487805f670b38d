"""What every test may use: the lab's plugin sends tests to the kernel that can run them."""

from __future__ import annotations

pytest_plugins = ["tests.lab.plugin"]
