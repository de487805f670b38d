"""Tests of lvsha.daemon.acceptance: when the firewall is asked, and one that does not answer."""

from __future__ import annotations

from lvsha.daemon.acceptance import Acceptance
from lvsha.model import UnacceptedState
from lvsha.plan import SetAcceptance
from tests.lab.fake_firewall import Desk, Stories
from tests.lab.unaccepted import ENTRIES


class TestAsking(Stories):
    """As for any rules."""

    state, step, entries = UnacceptedState, SetAcceptance, ENTRIES

    @staticmethod
    def over(desk: Desk) -> Acceptance:
        """Accept mode."""
        return Acceptance(lambda: desk.wanted, desk.firewall.found, desk.firewall.holding)
