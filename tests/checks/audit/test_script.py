"""The script on real shells, and on a kernel with something to tell."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_address
from pathlib import Path

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
    # What is only asked of nft, whether it could, is not done.
    script = re.sub(r"nft --check '[^']*'", "", SCRIPT)
    words = set(script.replace(";", " ").split())
    assert not words & {"add", "del", "set", "replace", "flush", "sysctl", "modprobe", "tee", "rm"}
    assert ">" not in SCRIPT.replace(">/dev/null", "")


@pytest.mark.net
def test_a_clamp_by_iptables(tmp_path: Path) -> None:
    """Where nft cannot work, it is told what iptables does to the MSS; no table is brought into use."""
    (tmp_path / "nft").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "nft").chmod(0o755)
    script = f"PATH={tmp_path}:$PATH\n{SCRIPT}"
    with topology(servers=1) as net:
        rs1 = net["rs1"]
        facts = parse(rs1.run("sh", "-s", stdin=script).encode())
        assert (facts.nft, facts.clamps) == (False, frozenset())
        assert rs1.run("iptables-save") == ""
        rule = "-p tcp -s 192.0.2.100 --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1440"
        rs1.run("iptables", "-t", "mangle", "-A", "OUTPUT", *rule.split())
        facts = parse(rs1.run("sh", "-s", stdin=script).encode())
        assert facts.clamps == {(ip_address("192.0.2.100"), 1440)}


@pytest.mark.net
def test_asking_nft_leaves_nothing() -> None:
    """It is known that nftables can be used, and there is no table."""
    with topology(servers=1) as net:
        rs1 = net["rs1"]
        assert parse(rs1.run("sh", "-s", stdin=SCRIPT).encode()).nft is True
        assert rs1.run("nft", "list", "tables") == ""
