"""The script on real shells, and on a kernel with something to tell."""

from __future__ import annotations

import subprocess

import pytest

from checks.audit import SCRIPT, parse
from checks.audit.facts import Conf4
from tests.lab.network import topology

SHELLS = (["dash", "-s"], ["bash", "-s"], ["bash", "--posix", "-s"], ["busybox", "sh", "-s"])


def run(shell: list[str]) -> bytes:
    """What the script writes, to both streams, as over SSH."""
    done = subprocess.run(
        shell, input=SCRIPT.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=True
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_any_shell_will_do(shell: list[str]) -> None:
    """Debian's sh, bash, and BusyBox with its own `ip` tell the same of this machine."""
    seen, reference = parse(run(shell)), parse(run(["dash", "-s"]))
    assert seen.links.keys() == reference.links.keys()
    assert (seen.ipv4, seen.ipv6, seen.routes) == (reference.ipv4, reference.ipv6, reference.routes)
    assert {h.address for h in seen.addresses} == {h.address for h in reference.addresses}


@pytest.mark.net
@pytest.mark.parametrize("shell", [["dash", "-s"], ["busybox", "sh", "-s"]], ids=" ".join)
def test_what_it_sees(shell: list[str]) -> None:
    """Settings, addresses, gateways and proxy entries of the namespace in which it runs."""
    with topology(servers=1) as net:
        rs1 = net["rs1"]
        rs1.ip(
            "address add 192.0.2.100/32 dev lo scope host",
            "neighbour add proxy 2001:db8:2::100 dev back",
            "link add name dot.5 type veth peer name other",
        )
        rs1.sysctl("net.ipv4.conf.back.arp_ignore", 2)
        rs1.sysctl("net.ipv4.conf.all.arp_announce", 1)
        with rs1.entered():
            facts = parse(run(shell))
        assert facts.ipv4["back"] == Conf4(arp_ignore=2, arp_announce=0, rp_filter=0)
        assert facts.ipv4["all"].arp_announce == 1
        assert "dot.5" in facts.ipv4
        assert ("192.0.2.100/32", "lo") in {(str(h.address), h.device) for h in facts.addresses}
        assert {str(route.via) for route in facts.routes} == {"10.0.1.1", "2001:db8:2::1"}
        assert not facts.links["back"].silent
        assert facts.links["lo"].silent
        assert facts.links["back"].up
        assert not facts.links["dot.5"].up


@pytest.mark.net
def test_proxy_entries() -> None:
    """iproute2 tells for whom the server answers in neighbour discovery."""
    with topology(servers=1) as net:
        net["rs1"].ip("neighbour add proxy 2001:db8:2::100 dev back")
        with net["rs1"].entered():
            facts = parse(run(["dash", "-s"]))
        assert {(str(address), device) for address, device in facts.proxies} == {("2001:db8:2::100", "back")}


def test_it_changes_nothing() -> None:
    """No command in it is one that changes anything."""
    words = set(SCRIPT.replace(";", " ").split())
    assert not words & {"add", "del", "set", "replace", "flush", "sysctl", "modprobe", "tee", "rm"}
    assert ">" not in SCRIPT.replace(">/dev/null", "")
