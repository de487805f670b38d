"""Tests of lvsha.kernel.sourcenat.ruleset."""

from __future__ import annotations

from typing import Any

from lvsha.kernel.sourcenat.ruleset import table
from lvsha.model import Family
from tests.lab.source_nats import DNS, ENTRIES, MARK, SIX, WEB


def names(objects: list[dict[str, Any]], kind: str) -> list[str]:
    """The names of the objects of one kind."""
    return [each[kind]["name"] for each in objects if kind in each]


def test_nothing_needs_no_table() -> None:
    """A family without entries has no table."""
    assert table(Family.IPV6, [WEB]) == []
    assert table(Family.IPV4, []) == []


def test_families_are_apart() -> None:
    """Each has its own table, and nothing of the other's."""
    objects = table(Family.IPV6, [WEB, SIX])
    assert {content["family"] for each in objects for content in each.values()} == {"ip6"}
    assert "10.0.1.11" not in str(objects)


def test_only_what_is_needed() -> None:
    """Maps of a kind of service, and the chains for few, are there only if something is in them."""
    assert names(table(Family.IPV4, [DNS]), "map") == ["services"]
    assert "strip" not in names(table(Family.IPV4, [DNS]), "chain")
    assert "strip" in names(table(Family.IPV4, [DNS, WEB]), "chain")
    assert "absent" not in names(table(Family.IPV4, [MARK]), "chain")
    assert "absent" in names(table(Family.IPV4, [MARK, WEB]), "chain")
    maps = {"services", "services_of_every_port", "marks", "marks_of_every_port"}
    assert {*names(table(Family.IPV4, ENTRIES), "map")} == maps


def test_only_who_holds_an_address_tracks_its_packets() -> None:
    """The addresses of services, each once, go without an entry where they are not local."""
    objects = table(Family.IPV4, ENTRIES)
    (addresses,) = [each["set"] for each in objects if each.get("set", {}).get("name") == "addresses"]
    assert addresses["elem"] == ["192.0.2.100", "192.0.2.101"]
    (rule,) = [each["rule"] for each in objects if each.get("rule", {}).get("chain") == "absent"]
    *conditions, statement = rule["expr"]
    assert [condition["match"]["right"] for condition in conditions] == ["@addresses", "local"]
    assert statement == {"notrack": None}


def test_services_that_share_a_pool_share_its_chain() -> None:
    """However many services there are, a pool is one chain."""
    chains = names(table(Family.IPV4, ENTRIES), "chain")
    assert len([name for name in chains if name.startswith("pool_")]) == len(
        {(e.addresses, e.strip_timestamps) for e in ENTRIES if e.service.family is Family.IPV4}
    )


def test_nothing_is_random() -> None:
    """Every hash has its seed, and no statement asks for chance."""
    text = str(table(Family.IPV4, ENTRIES))
    assert text.count("'jhash'") == text.count("'seed': 1819702120") == 1
    assert "random" not in text


def test_the_order_of_entries_changes_nothing() -> None:
    """One wish is one table."""
    assert table(Family.IPV4, [WEB, DNS]) == table(Family.IPV4, [DNS, WEB])
