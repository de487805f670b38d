"""Tests of lvsha.kernel.sourcenat.choose."""

from __future__ import annotations

import pytest

from lvsha.kernel.sourcenat.choose import choose
from lvsha.kernel.sourcenat.iptables import Iptables
from lvsha.kernel.sourcenat.nft import Nft
from tests.lab.rules import Choosing

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]


class TestChoice(Choosing):
    """As for any rules."""

    choose, nft, iptables = choose, Nft, Iptables
    needs = "mode fullnat needs source NAT"
