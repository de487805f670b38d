"""Tests of `lvsha.config.rules.notify`."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        ("", "notify.it", "names no program to run", 'write command = ["/path/of/program"]'),
        ('master = ["bin/m"]', "notify.it.master[0]", '"bin/m" is not an absolute path', "whole path"),
        (
            'command = ["/m"]\ninstances = ["pubic"]',
            "notify.it.instances[0]",
            'there is no VRRP instance "pubic"',
            "did you mean public?",
        ),
        (
            'command = ["/m"]\ngroups = ["x"]',
            "notify.it.groups[0]",
            'there is no group "x"',
            "there are site",
        ),
    ],
)
def test_what_could_not_run_or_would_never(desk: Desk, text: str, path: str, message: str, hint: str) -> None:
    """A program, by its whole path, for somebody who is there."""
    problem = desk.error(f"{VRRP}[notify.it]\n{text}")
    assert (problem.path, problem.message) == (path, message)
    assert hint in problem.hint


def test_without_instances_it_never_runs(desk: Desk) -> None:
    """That is told, and refuses nothing."""
    problem = desk.warning('[notify.it]\ncommand = ["/m"]')
    assert (problem.path, "never run" in problem.message) == ("notify.it", True)


def test_a_group_of_an_instance_that_cannot_be_read_is_believed(desk: Desk) -> None:
    """Its mistake is told, and no second one that follows from it."""
    broken = VRRP.replace("vrid = 51", "vrid = 510")
    errors = desk.report(f'{broken}[notify.it]\ncommand = ["/m"]\ngroups = ["site"]').errors
    assert {e.path for e in errors} == {"vrrp.public.vrid", "vrrp.inside.vrid"}
