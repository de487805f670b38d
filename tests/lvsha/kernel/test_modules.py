"""Tests of lvsha.kernel.modules over indexes as depmod writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvsha.kernel.modules import Presence, find


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """ip_vs is loaded, rr built in, wlc on disk (packed), sed not there."""
    (tmp_path / "loaded" / "ip_vs").mkdir(parents=True)
    (tmp_path / "modules.builtin").write_text("kernel/net/netfilter/ipvs/ip_vs_rr.ko\n")
    (tmp_path / "modules.dep").write_text(
        "kernel/net/netfilter/ipvs/ip_vs.ko: kernel/lib/libcrc32c.ko\n"
        "kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\n"
        "kernel/net/ipv4/netfilter/nf-reject-ipv4.ko:\n"
    )
    return tmp_path


def test_each_is_where_it_is(machine: Path) -> None:
    """Loaded, built in, on disk and missing are told apart; a dash in a file's name is an underscore."""
    names = ("ip_vs", "ip_vs_rr", "ip_vs_wlc", "nf_reject_ipv4", "ip_vs_sed")
    found = find(names, modules=machine, loaded=machine / "loaded")
    assert found == {
        "ip_vs": Presence.IN,
        "ip_vs_rr": Presence.IN,
        "ip_vs_wlc": Presence.AT_HAND,
        "nf_reject_ipv4": Presence.AT_HAND,
        "ip_vs_sed": Presence.MISSING,
    }


def test_without_an_index_nothing_is_claimed(tmp_path: Path) -> None:
    """A container has no /lib/modules: what is not loaded may be there or not."""
    assert find(["ip_vs"], modules=tmp_path, loaded=tmp_path) == {"ip_vs": Presence.UNKNOWN}


def test_the_running_kernel_can_be_asked() -> None:
    """Whatever the machine is, every name gets an answer."""
    assert find(["ip_vs", "no_such_module"]).keys() == {"ip_vs", "no_such_module"}
