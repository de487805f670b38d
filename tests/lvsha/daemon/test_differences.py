"""Tests of lvsha.daemon.differences: what a reload changed, in words."""

from __future__ import annotations

from dataclasses import replace

from lvsha.config import ApiConfig, IpvsConfig
from lvsha.daemon.differences import differences
from tests.lab.services import config, server, service

WEB = service(server(1))


def test_equal_configurations_do_not_differ() -> None:
    """A reload of the same file says that nothing changed."""
    assert differences(config(WEB), config(service(server(1)))) == []


def test_every_table_is_compared_by_name() -> None:
    """Added, removed and changed services are named."""
    mail = service(server(2), name="mail", port=25)
    old = config(WEB, mail)
    new = config(replace(WEB, scheduler="rr"), service(name="dns", port=53))
    assert differences(old, new) == ["services.dns added", "services.mail removed", "services.web changed"]


def test_a_section_that_changed_is_named() -> None:
    """Sections without names are told as a whole."""
    assert differences(config(), replace(config(), ipvs=IpvsConfig(look=5.0))) == ["ipvs changed"]


def test_what_needs_a_restart_says_so() -> None:
    """Nobody waits for an effect that a reload cannot have."""
    (said,) = differences(config(), replace(config(), api=ApiConfig(group="wheel")))
    assert "next restart" in said
