"""Tests of lvsha.standing: one word for a service."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvsha.desired import Placement
from lvsha.health import Health, State
from lvsha.overrides import Kind, Override, Selector
from lvsha.standing import Word, standing
from tests.lab.services import server

UP, DOWN, UNKNOWN = Health(State.UP), Health(State.DOWN), Health()
DRAIN = Override(Selector(server="rs1"), Kind.DRAIN)


def at(
    weight: int | None, health: Health = UP, override: Override | None = None, *, fallback: bool = False
) -> Placement:
    """A server with a weight and a verdict."""
    return Placement(server(1), health, override, weight, "", fallback)


@pytest.mark.parametrize(
    ("places", "word"),
    [
        ([at(1), at(1)], Word.OK),
        ([at(1), at(None, DOWN)], Word.DEGRADED),
        ([at(1), at(0, DOWN)], Word.DEGRADED),
        ([at(1), at(0, UP, DRAIN)], Word.OK),
        ([at(1), at(None, DOWN, DRAIN)], Word.OK),
        ([at(1), at(1, DOWN)], Word.FAIL_OPEN),
        ([at(None, DOWN), at(1, fallback=True)], Word.FALLBACK),
        ([at(None, DOWN), at(None, DOWN)], Word.DOWN),
        ([at(0, UP, DRAIN)], Word.DOWN),
        ([at(None, UNKNOWN), at(None, DOWN)], Word.CHECKING),
        ([at(1), at(None, UNKNOWN)], Word.OK),
        ([], Word.DOWN),
    ],
)
def test_a_service_is_told_in_one_word(places: list[Placement], word: Word) -> None:
    """The word says the worst that is true; what an operator set aside does not count as a fault."""
    assert standing(places).word is word


def test_the_numbers_stand_behind_the_word() -> None:
    """Fallbacks serve, but they are no servers of the service."""
    now = standing([at(1), at(None, DOWN), at(1, fallback=True)])
    assert (now.in_service, now.healthy, now.servers) == (2, 1, 2)


def test_a_weight_of_zero_is_not_service() -> None:
    """Only servers that take new connections are in service."""
    assert standing([replace(at(1), weight=0)]).in_service == 0
