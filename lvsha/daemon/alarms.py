"""What is wrong with the pair, as far as the speaker has told it and it is not over.

The speaker tells a trouble again and again for as long as it lasts (every ten seconds, `lvsha.vrrp.notices`),
so one that is not told any more is over. Somebody who claims an address is heard only when he announces it,
which may be once; that is believed for longer, and until a role changes here.
"""

from __future__ import annotations

from collections.abc import Mapping

AGAIN = 25.0
"""Seconds: told twice in that time, unless it is over."""
CLAIM = 900.0

_TOLD_AGAIN = {
    "vrrp.split_brain": "vrrp.{instance}: {peer} is master as well",
    "vrrp.mismatch": "vrrp.{instance}: {source} is configured otherwise: {detail}",
    "vrrp.refused": "vrrp.{instance}: adverts of {source} are refused: {detail}",
    "vrrp.forged": "vrrp.{instance}: adverts of {source} fail authentication: {detail}",
    "vrrp.unsent": "vrrp.{instance}: adverts cannot be sent: {error}",
    "vrrp.link_lost": "vrrp.{instance}: {detail}: the directors do not hear each other by it",
}
_CLAIMED = "vip.conflict"
_WORDS = _TOLD_AGAIN | {_CLAIMED: "{address} on {interface} is claimed by {mac} too"}


class Alarms:
    """The troubles that stand. `now` is a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._told: dict[tuple[object, ...], tuple[float, str]] = {}
        """What it is about -> when it is over, unless it is told again, and a sentence."""

    def heard(self, event: str, fields: Mapping[str, object], now: float) -> None:
        """The speaker has told something."""
        words = _WORDS.get(event)
        if words is not None:
            about = (event, *(fields.get(name) for name in ("instance", "reason", "address")))
            until = now + (CLAIM if event == _CLAIMED else AGAIN)
            self._told[about] = until, words.format_map(_Known(fields))

    def moved(self) -> None:
        """A role has changed here: what was claimed by two may be held by one again."""
        self._told = {about: told for about, told in self._told.items() if about[0] != _CLAIMED}

    def standing(self, now: float) -> list[str]:
        """What is not over, a sentence each, in the order in which it began."""
        self._told = {about: told for about, told in self._told.items() if told[0] > now}
        return [sentence for _, sentence in self._told.values()]


class _Known(dict[str, object]):
    """The fields of an event; a speaker of another version may leave one out."""

    def __missing__(self, name: str) -> str:
        return "?"
