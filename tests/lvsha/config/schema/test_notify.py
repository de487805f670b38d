"""Tests of `lvsha.config.schema.notify`."""

from __future__ import annotations

import pytest

from lvsha.config import NotifyConfig
from tests.lab.desk import Desk

VRRP = """
[vrrp.public]
interface = "eth0"
vrid = 51
group = "site"
addresses = ["192.0.2.100/24"]
[vrrp.inside]
interface = "eth1"
vrid = 51
group = "site"
addresses = ["10.0.1.254/24"]
"""


def test_every_key(desk: Desk) -> None:
    """Every key reaches its attribute."""
    config = desk.load(
        VRRP
        + """
        [notify.it]
        instances = ["public", "inside", "public"]
        groups = ["site"]
        command = ["/any", "x"]
        master = ["/m"]
        backup = ["/b"]
        fault = ["/f"]
        stop = ["/s"]
        user = "root"
        timeout = "5s"
        """
    )
    assert config.notify == {
        "it": NotifyConfig(
            "it",
            ("public", "inside"),
            ("site",),
            ("/any", "x"),
            ("/m",),
            ("/b",),
            ("/f",),
            ("/s",),
            "root",
            5.0,
        )
    }


def test_one_command_is_enough(desk: Desk) -> None:
    """What is left out is the director's, by nobody, for half a minute."""
    (it,) = desk.load(VRRP + '[notify.it]\nmaster = ["/m"]').notify.values()
    assert it == NotifyConfig("it", master=("/m",))
    assert (it.user, it.timeout) == (None, 30.0)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('command = "/any x"', "notify.it.command", 'must be a list, not "/any x"'),
        ("command = []", "notify.it.command", "must not be empty"),
        ('command = ["/a"]\ntimeout = 0', "notify.it.timeout", "must be within 100ms and 1h, not 0s"),
        ('comand = ["/a"]', "notify.it.comand", "is not a known key"),
    ],
)
def test_what_is_no_command(desk: Desk, text: str, path: str, message: str) -> None:
    """A text is not split by guess, and there is a bound to every run."""
    errors = desk.report(f"{VRRP}[notify.it]\n{text}").errors
    assert (path, message) in [(e.path, e.message) for e in errors]
