"""A thing that is kept from test to test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.lab.kept import Kept


class Lamp:
    """Something that can be switched, and broken."""

    def __init__(self) -> None:
        self.built: list[dict[str, bool]] = []
        """All that were built, with what is the matter with each."""

    @asynccontextmanager
    async def build(self) -> AsyncIterator[dict[str, bool]]:
        """One more."""
        one = {"on": False, "there": True}
        self.built.append(one)
        yield one
        one["there"] = False

    @staticmethod
    async def condition(one: dict[str, bool]) -> object:
        """Whether it is on; a broken one does not tell."""
        return one["on"]


@pytest.fixture
def lamp() -> Lamp:
    """None is built yet."""
    return Lamp()


@pytest.fixture
def kept(lamp: Lamp) -> Kept[dict[str, bool]]:
    """A lamp that is kept."""
    return Kept(lamp.build, lamp.condition)


async def test_what_is_left_as_it_was_is_lent_again(lamp: Lamp, kept: Kept[dict[str, bool]]) -> None:
    """One is enough for two tests, the first of which changes it and changes it back."""
    async with kept.lent() as one:
        one["on"] = True
        one["on"] = False
    async with kept.lent() as two:
        assert two is one
    assert two["there"]
    await kept.close()
    assert (len(lamp.built), two["there"]) == (1, False)


async def test_what_was_changed_is_built_anew(lamp: Lamp, kept: Kept[dict[str, bool]]) -> None:
    """It is taken down at once, not when the next one is asked for."""
    async with kept.lent() as one:
        one["on"] = True
    assert not one["there"]
    async with kept.lent() as two:
        assert two == {"on": False, "there": True}
    await kept.close()


async def test_what_does_not_tell_is_built_anew(lamp: Lamp, kept: Kept[dict[str, bool]]) -> None:
    """A condition that cannot be found out is none that it had."""
    async with kept.lent() as one:
        del one["on"]
    assert not one["there"]
    await kept.close()


async def test_nothing_is_taken_down_where_nothing_was_built(lamp: Lamp, kept: Kept[dict[str, bool]]) -> None:
    """Nobody asked for it."""
    await kept.close()
    assert lamp.built == []
