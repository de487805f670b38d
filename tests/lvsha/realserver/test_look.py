"""Tests of `lvsha.realserver.look`."""

from __future__ import annotations

import pytest

from lvsha.errors import KernelError
from lvsha.realserver import look as module
from lvsha.realserver.look import look
from tests.lab.network import topology


@pytest.mark.net
def test_the_namespace_of_the_caller() -> None:
    """It sees the machine that the calling thread is on."""
    with topology(servers=1) as net, net["rs1"].entered():
        facts = look()
        assert set(facts.links) == {"lo", "back"}
        assert {str(route.via) for route in facts.routes} == {"10.0.1.1", "2001:db8:2::1"}


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not answer is given up."""
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(KernelError, match="cannot be looked at"):
        look()


def test_a_machine_without_ip(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is said."""
    script = "PATH=/nowhere\n" + module.SCRIPT.replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin;", "")
    monkeypatch.setattr(module, "SCRIPT", script)
    with pytest.raises(KernelError, match="has no `ip` command"):
        look()
