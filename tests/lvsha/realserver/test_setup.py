"""A server set up in a real kernel: who answers for the address, and what is left when all is taken back."""

from __future__ import annotations

import shutil
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from checks.audit import Preparation
from checks.audit.steps import AddAddress
from lvsha.errors import KernelError, StateError
from lvsha.realserver import persist
from lvsha.realserver.record import Record, load
from lvsha.realserver.setup import Account, RefusedError, set_up, undo
from tests.lab.network import Network, Node, topology

pytestmark = pytest.mark.net

FOUR, SIX = "192.0.2.100", "2001:db8:1::100"
DR = Preparation("dr", (FOUR, SIX))
ETH_P_ARP = 0x0806
"""include/uapi/linux/if_ether.h"""


@pytest.fixture
def net() -> Iterator[Network]:
    """A server on the wire of a client."""
    with topology(servers=1, server_segments=("front",)) as built:
        yield built


@pytest.fixture
def rs1(net: Network) -> Node:
    """The server."""
    return net["rs1"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Its state directory."""
    return tmp_path / "state"


def done(node: Node, wanted: Preparation, state: Path, **more: object) -> Account:
    """Set a node up."""
    with node.entered():
        return set_up(wanted, state=state, **({"keep": False} | more))  # type: ignore[arg-type]


def back(node: Node, state: Path, **more: object) -> Account:
    """Take it back."""
    with node.entered():
        return undo(state=state, **more)  # type: ignore[arg-type]


def condition(node: Node) -> list[str]:
    """Settings, addresses and routes of a node."""
    settings = node.run("sysctl", "-a", "--pattern", r"^net\.ipv[46]\.conf\.", check=False)
    shown = [node.run("ip", *words.split()) for words in ("address", "route show table all", "-6 route")]
    return [line for text in (settings, *shown) for line in text.splitlines()]


def answers(net: Network) -> bool:
    """Whether anybody answers the client's question who has the service's address."""
    told = net["client"].run("arping", "-c", "2", "-f", "-w", "1", "-I", "front", FOUR, check=False)
    return "reply from" in told


def arrives(net: Network, address: str) -> bool:
    """Whether what the client sends to an address of the server gets there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with net["rs1"].entered():
        server = socket.socket(family, socket.SOCK_DGRAM)
    with net["client"].entered():
        client = socket.socket(family, socket.SOCK_DGRAM)
    with server, client:
        server.bind((address, 9999))
        server.settimeout(1)
        client.sendto(b"x", (address, 9999))
        try:
            return server.recv(10) == b"x"
        except TimeoutError:
            return False


def hardware(node: Node) -> str:
    """The hardware address of a node's interface `front`."""
    return node.run("ip", "-oneline", "link", "show", "dev", "front").partition("link/ether ")[2].split()[0]


def test_it_keeps_still(net: Network, rs1: Node, state: Path) -> None:
    """With the address on lo the server answers ARP for it as the kernel is; set up, it does not."""
    rs1.ip(f"address add {FOUR}/32 dev lo")
    assert answers(net)
    account = done(rs1, DR, state)
    assert all(finding.ok for finding in account.findings)
    assert not answers(net)
    # It is still there for those who know the way.
    net["client"].ip(f"neighbour replace {FOUR} lladdr {hardware(rs1)} dev front")
    assert arrives(net, FOUR)
    back(rs1, state)
    assert answers(net)


def test_its_own_questions_do_not_name_the_address(net: Network, rs1: Node, state: Path) -> None:
    """A packet from the service's address makes the server ask by ARP: as the kernel is, in that name."""
    rs1.ip(f"address add {FOUR}/32 dev lo")
    assert sender_of_question(net, rs1) == FOUR
    done(rs1, DR, state)
    assert sender_of_question(net, rs1) == "192.0.2.11"


def sender_of_question(net: Network, rs1: Node) -> str:
    """Whom the server's ARP question names as the one who asks, when it sends from the service's address."""
    rs1.ip("neighbour flush dev front")
    with net["client"].entered():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    with listener:
        listener.bind(("front", ETH_P_ARP))
        listener.settimeout(5)
        with rs1.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((FOUR, 0))
            sock.sendto(b"x", ("192.0.2.10", 9))
        while True:
            frame = listener.recv(100)
            # RFC 826: operation at byte 20 of the frame, sender's protocol address at 28.
            operation, sender = struct.unpack("!20xH6x4s", frame[:32])
            if operation == 1 and frame[6:12] == bytes.fromhex(hardware(rs1).replace(":", "")):
                return str(ip_address(sender))


def test_ipv6_is_still_by_itself(net: Network, rs1: Node, state: Path) -> None:
    """Neighbour discovery answers for no address on lo; for those who know the way it is there."""
    # As `ip` adds it without `nodad`, nobody can listen there before a work queue of the kernel has run.
    rs1.ip(f"address add {SIX}/128 dev lo nodad")
    assert not arrives(net, SIX)
    done(rs1, DR, state)
    assert not arrives(net, SIX)
    net["client"].ip(f"neighbour replace {SIX} lladdr {hardware(rs1)} dev front")
    assert arrives(net, SIX)


def test_the_addresses_can_be_listened_on_at_once(rs1: Node) -> None:
    """A server that starts right after finds both: the kernel holds back none to see if it is a duplicate."""
    for vip in DR.vips:
        step = AddAddress(vip, "lo")
        rs1.run(*step.command)
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        with rs1.entered(), socket.socket(family, socket.SOCK_DGRAM) as server:
            server.bind((vip, 9999))
        assert "tentative" not in rs1.run("ip", "address", "show", "dev", "lo")


def test_the_address_is_no_source(rs1: Node, state: Path) -> None:
    """What the server begins by itself never comes from the service's address, even where it has no other."""
    rs1.ip("address del 192.0.2.11/24 dev front", "route add 192.0.2.0/24 dev front")
    rs1.ip(f"address add {FOUR}/32 dev lo")
    assert source(rs1) == FOUR
    rs1.ip(f"address del {FOUR}/32 dev lo")
    done(rs1, DR, state)
    assert source(rs1) != FOUR


def source(node: Node) -> str:
    """The address that the kernel chooses for what the node begins."""
    with node.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.10", 9))
        return str(sock.getsockname()[0])


def test_again_and_back(rs1: Node, state: Path) -> None:
    """A second time there is nothing to do; another set-up changes what differs; undo restores everything."""
    before = condition(rs1)
    first = done(rs1, DR, state)
    assert [len(first.back), len(first.steps)] == [0, 4]
    again = done(rs1, DR, state)
    assert (again.back, again.steps) == ((), ())
    other = done(rs1, Preparation("dr", ("192.0.2.101",), interfaces=("front",)), state)
    assert [len(other.back), len(other.steps)] == [4, 3]
    back(rs1, state)
    assert condition(rs1) == before
    assert back(rs1, state) == Account((), (), (), ())
    assert list(state.iterdir()) == []


def test_an_address_that_was_there_before(net: Network, rs1: Node, state: Path) -> None:
    """Undone, the server answers for it as before, and undoing says so."""
    rs1.ip(f"address add {FOUR}/32 dev lo")
    done(rs1, DR, state)
    account = back(rs1, state)
    assert [finding.setting for finding in account.findings] == [f"address {FOUR}"]
    assert answers(net)


def test_a_dry_run(rs1: Node, state: Path, tmp_path: Path) -> None:
    """It says what would be done, and does nothing at all."""
    before = condition(rs1)
    account = done(rs1, DR, state, dry=True, keep=True, root=tmp_path)
    assert [len(account.steps), len(account.files)] == [4, 3]
    assert condition(rs1) == before
    assert list(tmp_path.iterdir()) == []


def test_refusals(rs1: Node, state: Path) -> None:
    """The server's own address, and one on a real interface, cannot be a service's here."""
    rs1.ip(f"address add {FOUR}/32 dev front")
    before = condition(rs1)
    with pytest.raises(RefusedError) as refused:
        done(rs1, Preparation("dr", (FOUR, "192.0.2.11", SIX)), state)
    assert [finding.setting for finding in refused.value.findings] == [
        f"address {FOUR}",
        "address 192.0.2.11",
    ]
    assert condition(rs1) == before


def test_no_ipv6(rs1: Node, state: Path) -> None:
    """A server without IPv6 on lo says so before anything is done."""
    rs1.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)
    before = condition(rs1)
    with pytest.raises(RefusedError, match="IPv6 on lo is off"):
        done(rs1, DR, state)
    assert condition(rs1) == before


def failing_ip(directory: Path, word: str) -> str:
    """A PATH on which `ip` refuses commands that hold a word, and does all others."""
    directory.mkdir()
    program = directory / "ip"
    real = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin")
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *{word}*) echo "RTNETLINK answers: No buffer space" >&2; exit 2;; esac\n'
        f'exec {real} "$@"\n'
    )
    program.chmod(0o755)
    return f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin"


def test_a_step_that_fails(rs1: Node, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel refuses the last step, the others are taken back; an earlier set-up still stands."""
    done(rs1, Preparation("dr", ("192.0.2.101",)), state)
    before, record = condition(rs1), load(state)
    monkeypatch.setenv("PATH", failing_ip(tmp_path / "bin", f"add?{SIX}"))
    with pytest.raises(KernelError, match="No buffer space"):
        done(rs1, DR, state)
    assert sorted(condition(rs1)) == sorted(before)
    assert load(state) == record


def test_a_step_that_cannot_be_taken_back(
    rs1: Node, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays on record, and the next undo takes it back."""
    before = condition(rs1)
    done(rs1, DR, state)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", failing_ip(tmp_path / "bin", f"del?{SIX}"))
        with pytest.raises(KernelError, match="No buffer space"):
            back(rs1, state)
    assert len(load(state).steps) == 1
    back(rs1, state)
    assert condition(rs1) == before


def test_over_a_reboot(net: Network, rs1: Node, state: Path, tmp_path: Path) -> None:
    """The files are written, set up a server that has forgotten everything, and go when all is undone."""
    account = done(rs1, DR, state, keep=True, root=tmp_path)
    assert sorted(account.files) == sorted(load(state).files)
    assert (tmp_path / persist.WANTED).exists()
    with topology(servers=1, server_segments=("front",)) as rebooted:
        fresh = rebooted["rs1"]
        before = condition(fresh)
        done(fresh, DR, state)
        # The unit runs with --no-persist, and leaves the files as they are.
        assert load(state).files == account.files
        back(fresh, state, root=tmp_path)
        assert condition(fresh) == before
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_files_of_somebody_else(rs1: Node, state: Path, tmp_path: Path) -> None:
    """A unit that somebody else wrote is found before anything is done."""
    path = tmp_path / persist.UNIT
    path.parent.mkdir(parents=True)
    path.write_text("[Unit]\n")
    before = condition(rs1)
    with pytest.raises(StateError, match="is not lvsha's"):
        done(rs1, DR, state, keep=True, root=tmp_path)
    assert condition(rs1) == before
    assert load(state) == Record()
