"""Tests of lvsha.kernel.acceptance.choose."""

from __future__ import annotations

import pytest

from lvsha.kernel.acceptance.choose import choose, holder
from lvsha.kernel.acceptance.iptables import Iptables
from lvsha.kernel.acceptance.nft import Nft
from lvsha.kernel.sourcenat import program
from tests.lab.network import Node
from tests.lab.rules import Choosing
from tests.lab.unaccepted import FOUR

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]


class TestChoice(Choosing):
    """As for any rules."""

    choose, nft, iptables = choose, Nft, Iptables
    needs = "accept = false needs a firewall"


async def test_without_a_firewall_nobody_has_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither can be asked nothing is left over."""
    monkeypatch.setattr(program, "_PATH", "/nowhere")
    assert await holder() is None


@pytest.mark.parametrize("kind", [Nft, Iptables])
async def test_who_has_rules_is_found(kind: type[Nft | Iptables]) -> None:
    """What an earlier daemon left over is found in either firewall."""
    await kind().replace([FOUR])
    assert isinstance(await holder(), kind)


async def test_looking_for_rules_brings_no_table_into_use(alone: Node) -> None:
    """A director that drops nothing leaves no trace in the firewall."""
    assert await holder() is None
    assert alone.run("nft", "list", "tables") == ""
    assert alone.run("iptables-legacy-save") == ""
