"""What the speaker is made of."""

from __future__ import annotations

import subprocess
import sys


def test_it_imports_little() -> None:
    """It is restarted in a hurry, and all that it imports is locked in memory."""
    code = (
        "import pkgutil, sys, lvsha.speaker as speaker;"
        "[__import__(m.name) for m in pkgutil.walk_packages(speaker.__path__, 'lvsha.speaker.')"
        " if not m.name.endswith('__main__')];"
        "print(sorted({'pyroute2', 'lvsha.config', 'aiohttp', 'pydantic', 'checks'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
