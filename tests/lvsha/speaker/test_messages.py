"""Messages come back as they were sent, and anything else is refused with its place."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface

import pytest

from lvsha.errors import InputError
from lvsha.speaker.messages import (
    LIMIT,
    PART,
    Assembly,
    Beat,
    Command,
    Configure,
    Event,
    Failover,
    Report,
    RoleChange,
    State,
    Track,
    cut,
    decode_command,
    decode_report,
    encode,
)
from lvsha.speaker.spec import (
    FileTracker,
    Hmac,
    InstanceSpec,
    InterfaceTracker,
    Password,
    ScriptTracker,
    VirtualAddress,
)

SPEC = InstanceSpec(
    name="public",
    interface="eth0",
    vrid=51,
    addresses=(VirtualAddress(ip_interface("192.0.2.100/24"), "eth0"),),
    excluded=(VirtualAddress(ip_interface("2001:db8::100/64"), "eth1"),),
    peers=(ip_address("192.0.2.2"),),
    source=ip_address("192.0.2.1"),
    auth=Hmac(keys={1: "00" * 32, 2: "11" * 64}, active=2),
    lease=4,
    trackers=(
        InterfaceTracker(name="eth1", interface="eth1", weight=-50),
        ScriptTracker(name="script", command=("/bin/true", "x"), weight=-5),
        FileTracker(name="file", file="/run/x"),
    ),
)


@pytest.mark.parametrize(
    "command",
    [
        Configure(id=1, node="lb1", instances=(SPEC,)),
        Beat(id=2),
        Track(instance="public", name="web", fault=True, why="none of 3 servers"),
        Failover(group="front"),
    ],
)
def test_a_command_comes_back_as_it_was(command: Command) -> None:
    """Encoding and decoding a command gives an equal one."""
    assert decode_command(encode(command)) == command


@pytest.mark.parametrize(
    "report",
    [
        RoleChange(instance="public", state=State.MASTER, why="no adverts", at=1.5),
        Event(event="vip.conflict", fields={"address": "192.0.2.100", "times": 3}),
    ],
)
def test_a_report_comes_back_as_it_was(report: Report) -> None:
    """Encoding and decoding a report gives an equal one."""
    assert decode_report(encode(report)) == report


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"vrid": 300}, "instances[0].vrid: 300 is not within 1..255"),
        ({"vrid": True}, "instances[0].vrid: True is not a whole number"),
        ({"interval": "1"}, "instances[0].interval: '1' is not a number"),
        ({"wieght": 1}, "instances[0].wieght: unknown"),
        ({"addresses": []}, "instances[0].addresses: are not 1 to 255"),
        (
            {"auth": {"kind": "password", "password": "secret12"}},
            "instances[0].auth: a password is of version 2 only",
        ),
        ({"checksum": "none"}, "instances[0].checksum: 'none' is none of pseudo-header, plain"),
        ({"peers": ["2001:db8::1"]}, "instances[0].peers: a peer or source is of the other family"),
        ({"peers": ["192.0.2.300"]}, "instances[0].peers[0]: '192.0.2.300' is not an address"),
        ({"auth": {"kind": "none"}}, "instances[0].auth.kind: 'none' is none of hmac, password"),
        ({"auth": {"kind": "hmac", "keys": {"1": "00"}, "active": 1}}, "instances[0].auth.keys.1: is not 32"),
        ({"garp": {"repeat": -1}}, "instances[0].garp.repeat: -1 is not within 0..100"),
        ({"lease": 1}, "instances[0].lease: is not within 2..86400 s"),
    ],
)
def test_a_wrong_field_is_refused_by_its_place(change: dict[str, object], problem: str) -> None:
    """What is wrong in a specification is told with its path."""
    table = json.loads(encode(Configure(node="lb1", instances=(SPEC,))))
    table["instances"][0].update(change)
    with pytest.raises(InputError) as caught:
        decode_command(json.dumps(table).encode())
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'{"kind":"beat","id":NaN}', b"[" * 100_000, b'{"kind":7}']
)
def test_what_is_no_command_is_refused(text: bytes) -> None:
    """Garbage is an InputError and nothing worse."""
    with pytest.raises(InputError):
        decode_command(text)


def test_secrets_are_not_shown() -> None:
    """A specification that is printed shows neither keys nor passwords."""
    assert "1111" not in repr(SPEC)
    assert "secret12" not in repr(Password(password="secret12"))


@pytest.mark.parametrize("size", [1, PART, PART + 1, 5 * PART, 5 * PART + 7])
def test_a_long_message_is_cut_and_put_together(size: int) -> None:
    """Packets stay within their bound, whatever the length, and give the message back."""
    text = b"{" + b"x" * (size - 1)
    packets = list(cut(text))
    assert all(len(packet) <= PART + 1 for packet in packets)
    assembly = Assembly()
    assert [whole for packet in packets if (whole := assembly.feed(packet)) is not None] == [text]


def test_a_message_without_end_is_refused() -> None:
    """A sender cannot fill the memory with parts that never end."""
    assembly = Assembly()
    for _ in range(LIMIT // PART - 1):
        assembly.feed(b"+" + b"x" * PART)
    with pytest.raises(InputError, match="over the limit"):
        assembly.feed(b"+" + b"x" * PART)


def test_a_message_within_another_is_refused() -> None:
    """Parts of two messages do not mix."""
    assembly = Assembly()
    assembly.feed(b"+abc")
    with pytest.raises(InputError, match="before the one before it ended"):
        assembly.feed(b"{}")
