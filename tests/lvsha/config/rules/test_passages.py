"""Tests of `lvsha.config.rules.passages`."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import KINDS
from tests.lab.desk import Desk


def web(check: str, *, own: str = 'address = "192.0.2.100"\nport = 80', mode: str = "dr") -> str:
    """One server with such a check."""
    return (
        f'[services.web]\n{own}\nmode = "{mode}"\ncheck = {{ through = "vip", {check} }}\n'
        'servers = [ { address = "10.0.0.11" } ]\n'
    )


FULLNAT = 'address = "192.0.2.100"\nport = 80\nlocal_addresses = ["10.0.0.100"]'
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
WRONG = [
    (web('kind = "tcp"', own=FULLNAT, mode="fullnat"), "check", "leads nowhere with mode fullnat"),
    (web('kind = "ping"'), "check", "IPVS directs no echo requests"),
    (web('kind = "script", command = ["/bin/true"]'), "check", "its packets cannot be marked"),
    (
        web(f'kind = "realserver", user = "lvsha", key = "/k", host_key = "{HOST_KEY}"'),
        "check",
        "logs in to the server itself",
    ),
    (web('kind = "tcp", mark = 5'), "check.mark", "is chosen by lvsha"),
    (web('kind = "tcp", port = 80', own="fwmark = 7"), "check", "has no address to ask"),
    (
        web('kind = "tcp", address = "192.0.2.100"', own="fwmark = 7"),
        "check",
        "has no port to ask: the service",
    ),
]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Where files are written."""
    return Desk(tmp_path)


@pytest.mark.parametrize(("text", "key", "words"), WRONG)
def test_what_cannot_be_led_is_refused(desk: Desk, text: str, key: str, words: str) -> None:
    """Each with the place, the reason and what to do."""
    problems = [p for p in desk.report(text).errors if words in p.message]
    assert len(problems) == 1, desk.report(text)
    assert problems[0].path.endswith(key)
    assert problems[0].hint


LED = {
    "tcp": "",
    "http": "",
    "https": "",
    "smtp": "",
    "ssh": ", banner_only = true",
    "dns": ', name = "example.org"',
    "udp": "",
}


@pytest.mark.parametrize("kind", LED)
@pytest.mark.parametrize("mode", ["nat", "dr", "tun"])
def test_what_can_be_led_is_taken(desk: Desk, kind: str, mode: str) -> None:
    """Every kind with a socket of its own, in every mode that directs."""
    assert desk.report(web(f'kind = "{kind}"{LED[kind]}', mode=mode)).errors == ()


def test_every_kind_is_led_or_refused() -> None:
    """None is forgotten above, nor in the end-to-end test of what can be led."""
    assert {*KINDS} == {*LED, "ping", "script", "realserver"}


def test_a_mark_with_an_address_to_ask_is_taken(desk: Desk) -> None:
    """A firewall-mark service whose check says where clients go."""
    text = web('kind = "tcp", address = "192.0.2.100", port = 443', own="fwmark = 7")
    assert desk.report(text).errors == ()


def test_a_service_must_not_have_a_mark_of_the_checks(desk: Desk) -> None:
    """It would take the probes, and the probes' service its packets; the range can be moved."""
    text = '[services.web]\nfwmark = 0x6c760010\ncheck = "none"\nservers = [ { address = "10.0.0.11" } ]\n'
    problem = desk.error(text)
    assert problem.path == "services.web.fwmark"
    assert desk.report(text + "[ipvs]\nmark_base = 1\n").errors == ()
