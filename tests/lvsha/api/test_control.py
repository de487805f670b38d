"""The promise that the API is written against."""

from __future__ import annotations

import inspect

import pytest

from lvsha.api.control import Control
from tests.lab.control import Director

PROMISED = [name for name in vars(Control) if not name.startswith("_")]


@pytest.mark.parametrize("name", PROMISED)
def test_director_of_the_tests(name: str) -> None:
    """The director of the tests takes what the protocol says, and nothing else."""
    promised = inspect.signature(getattr(Control, name)).parameters
    kept = inspect.signature(getattr(Director, name)).parameters
    assert [(p.name, p.kind) for p in kept.values()] == [(p.name, p.kind) for p in promised.values()]
