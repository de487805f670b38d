"""The kinds of check, and what it costs to know of them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from checks import KINDS, Check

NEEDED: dict[str, dict[str, Any]] = {
    "script": {"command": ("true",)},
    "dns": {"name": "."},
    "ssh": {"banner_only": True},
    "realserver": {"user": "root", "key": "/k", "known_hosts": "/h"},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_kind(kind: str) -> None:
    """Each kind is a frozen, slotted, hashable value with a probe, and needs no argument but these."""
    check: Any = KINDS[kind](**NEEDED.get(kind, {}))
    assert {check: 1}[dataclasses.replace(check)] == 1
    assert not hasattr(check, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(check, dataclasses.fields(check)[0].name, "x")
    assert isinstance(check, Check)


def test_unknown_kind() -> None:
    """A kind that does not exist is a KeyError, as of any mapping."""
    assert "finger" not in KINDS
    assert len(KINDS) == len(list(KINDS))
    with pytest.raises(KeyError):
        KINDS["finger"]


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import checks", set()),
        ("checks.KINDS['tcp']()", set()),
        ("checks.KINDS['http']()", {"httptools"}),
        ("checks.KINDS['ssh'](banner_only=True)", set()),
        ("checks.KINDS['dns'](name='.')", {"dns"}),
        ("checks.KINDS['script'](command=('true',))", set()),
    ],
)
def test_libraries_are_loaded_when_needed(code: str, loaded: set[str]) -> None:
    """Nobody pays for a library that no check of theirs needs, nor for lvsha itself."""
    heavy = "{'asyncssh', 'cryptography', 'aiohttp', 'httptools', 'dns', 'lvsha', 'pydantic'}"
    script = f"import sys, checks; {code}; print(sorted({heavy} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(sorted(loaded))


def test_ssh_library_is_loaded_with_the_settings() -> None:
    """A check that logs in has loaded its library before the first probe, which must not wait for it."""
    script = (
        "import sys; from checks.ssh import Ssh\n"
        "try: Ssh(user='x', key='/x', host_key='x')\n"
        "except ValueError: print('asyncssh' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"
