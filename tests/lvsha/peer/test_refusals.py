"""Tests of lvsha.peer.refusals: strangers do not fill the log."""

from __future__ import annotations

from typing import Any

from lvsha.log import listening
from lvsha.peer.messages import Reason
from lvsha.peer.refusals import AGAIN, Refusals


def test_once_a_minute_and_reason() -> None:
    """The first at once, the others with their count in the first event after a minute."""
    now, said = [1000.0], list[dict[str, Any]]()
    refusals = Refusals(lambda: now[0])
    with listening(said.append):
        for _ in range(1000):
            refusals.tell(Reason.ADDRESS, "192.0.2.66", "no director")
        refusals.tell(Reason.KEY, "192.0.2.2", "another key")
        now[0] += AGAIN - 1
        refusals.tell(Reason.ADDRESS, "192.0.2.66", "no director")
        now[0] += 1
        refusals.tell(Reason.ADDRESS, "192.0.2.67", "no director")
    assert [(e["reason"], e["source"], e["count"]) for e in said] == [
        ("address", "192.0.2.66", 1),
        ("key", "192.0.2.2", 1),
        ("address", "192.0.2.67", 1001),
    ]
    assert said[0] | {"timestamp": ""} == {
        "timestamp": "",
        "severity": "warning",
        "alert": False,
        "event": "peer.refused",
        "source": "192.0.2.66",
        "reason": "address",
        "detail": "no director",
        "count": 1,
    }
