"""Tests of lvsha.kernel.ipvs.connections."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.errors import KernelError
from lvsha.kernel.ipvs.connections import PATH, Connection, connections, parse
from lvsha.model import Protocol

# As net/netfilter/ipvs/ip_vs_conn.c wrote it on Linux 6.1.
SIX = (
    "UDP 2001:0db8:0001:0000:0000:0000:0000:0030 E88D 2001:0db8:0001:0000:0000:0000:0000:0100 0035 "
    "2001:0db8:0002:0000:0000:0000:0000:0012 1B5F UDP             298"
)
TEXT = f"""\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C000020A C5A6 C0000264 0007 0A00010C 1B5F ESTABLISHED     898
{SIX}
TCP C000020A 0000 C0000264 0007 0A00010C 1B5F NONE            298 sip 1234
IP  C000020A 0000 C0000264 0007 0A00010C 1B5F NONE            298
"""


def test_both_families_are_read() -> None:
    """Hexadecimal addresses and ports become what they are; what is neither TCP nor UDP is left out."""
    one, six, template = parse(TEXT.splitlines())
    assert one == Connection(
        Protocol.TCP,
        ip_address("192.0.2.10"),
        0xC5A6,
        ip_address("192.0.2.100"),
        7,
        ip_address("10.0.1.12"),
        7007,
        "ESTABLISHED",
        898,
    )
    assert (six.protocol, six.client, six.port) == (Protocol.UDP, ip_address("2001:db8:1::30"), 53)
    assert (template.client_port, template.state) == (0, "NONE")


@given(st.text(alphabet="TCPUDP 0123456789ABCDEF:xyz", max_size=120))
def test_any_line_is_a_connection_or_nothing(line: str) -> None:
    """A line that is cut short or strange raises nothing."""
    assert len(list(parse([line]))) <= 1


@pytest.mark.parametrize("end", range(len(SIX) - 4))
def test_a_cut_line_is_nothing(end: int) -> None:
    """What was cut off before its last number is no connection."""
    assert list(parse([SIX[:end]])) == []


def test_no_ipvs_no_connections(tmp_path: Path) -> None:
    """A kernel without the file has none; one that cannot be read is an error that names it."""
    assert list(connections(tmp_path / "none")) == []
    with pytest.raises(KernelError, match="cannot be read from"):
        list(connections(tmp_path))


@pytest.mark.ipvs
def test_the_kernels_own_file() -> None:
    """The file is where it is looked for, and its heading is no connection."""
    assert PATH.read_text().startswith("Pro FromIP")
    assert list(connections()) == []
