"""Views as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from lvsha.api.views import ReloadView, ServerView, to_json
from lvsha.overrides import Kind
from tests.lab.control import INSTANCES, SERVERS


def test_every_field_is_there() -> None:
    """A view becomes an object with its fields, nested ones too."""
    answer = to_json(SERVERS[0])
    assert list(answer) == list(ServerView.__dataclass_fields__)
    assert answer["counters"]["bytes_in_rate"] == 0
    assert json.loads(json.dumps(answer)) == answer


def test_collections() -> None:
    """Tuples become lists, mappings objects, words of an enumeration text."""
    answer = to_json(INSTANCES[:1])
    assert answer[0]["addresses"] == ["192.0.2.100/24"]
    assert answer[0]["timers"] == {"master_down": 3.2}
    assert to_json({Kind.DRAIN: (Kind.WEIGHT,)}) == {"Kind.DRAIN": ["weight"]}


def test_numbers_that_json_has_not() -> None:
    """Infinity is null: no client could read it."""
    assert to_json(replace(INSTANCES[0], interval=float("inf")))["interval"] is None


def test_connections() -> None:
    """What keeps a drained server busy is all three kinds together."""
    assert replace(SERVERS[0], active=1, inactive=2, persistent=4).connections == 7


def test_empty() -> None:
    """An empty view is an object with empty lists."""
    assert to_json(ReloadView(1)) == {"generation": 1, "changed": [], "problems": []}
