"""Tests of `lvsha.config.schema.values`."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lvsha.config.schema.values import (
    AbsolutePath,
    Endpoint,
    EndpointText,
    InterfaceName,
    IpAddress,
    IpInterface,
    Name,
    Netmask,
    NetmaskValue,
    SocketPath,
    WholeSeconds,
    duration,
    is_name,
    short,
    shown,
    sort_of,
    spoken,
)


def refusal(kind: Any, value: object) -> tuple[str, str]:
    """The message and hint with which a value is refused."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    (detail,) = caught.value.errors()
    context = detail["ctx"]
    return context["message"], context["hint"]


def read(kind: Any, value: object) -> Any:
    """What a value is read as."""
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (2, 2.0),
        (0.25, 0.25),
        ("500ms", 0.5),
        ("10ms", 0.01),
        ("40.95s", 40.95),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("1.5h", 5400.0),
        ("366d", 366 * 86400.0),
    ],
)
def test_duration(written: object, seconds: float) -> None:
    """Numbers are seconds, and a text has its unit; the value is exact where a float can be."""
    assert duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (True, "must be a duration, not true"),
        ("5", '"5" has no unit'),
        ("5x", 'must be a duration, not "5x"'),
        ("1m30s", "must be a duration"),
        ("-1s", "must be a duration"),
        ("٣s", "must be a duration"),
        ("1s\n", "must be a duration"),
        (-1, "-1 is not a duration"),
        (float("nan"), "nan is not a duration"),
        (float("inf"), "inf is not a duration"),
        (10**400, "is not a duration"),
        ("367d", "is not a duration"),
        ([], "must be a duration, not an empty list"),
        ({}, "must be a duration, not a table"),
    ],
)
def test_no_duration(written: object, message: str) -> None:
    """What is no duration is refused in words."""
    from lvsha.config.schema.values import Duration

    assert message in refusal(Duration, written)[0]


@settings(deadline=None)
@given(st.integers(1, 3600), st.sampled_from([("ms", 1000), ("s", 1), ("m", 1 / 60), ("h", 1 / 3600)]))
def test_durations_are_spoken_as_they_are_written(number: int, unit: tuple[str, float]) -> None:
    """Reading what `spoken` says gives the duration again."""
    name, a_second = unit
    seconds = duration(f"{number}{name}")
    assert seconds == pytest.approx(number / a_second)
    assert duration(spoken(seconds)) == pytest.approx(seconds, rel=1e-5)


def test_whole_seconds() -> None:
    """Where the kernel counts seconds a fraction is refused, not cut."""
    assert read(WholeSeconds, "2000ms") == 2.0
    assert refusal(WholeSeconds, "1500ms")[0] == "must be whole seconds, not 1.5s"


@settings(deadline=None)
@given(st.ip_addresses())
def test_address(address: Any) -> None:
    """Any address is read as itself."""
    assert read(IpAddress, str(address)) == address


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("192.0.2.300", '"192.0.2.300" is not an IP address', "192.0.2.1"),
        ("192.0.2.1/24", "is not an IP address", "leave the prefix length out"),
        ("192.0.2.1:80", "is not an IP address", "the port has a key of its own"),
        ("fe80::1%eth0", "names a zone", "leave the part from % on out"),
        ("localhost", "is not an IP address", "192.0.2.1"),
        (3232235777, "must be an address in quotes, not 3232235777", "192.0.2.1"),
    ],
)
def test_no_address(written: object, message: str, hint: str) -> None:
    """What is no address is refused, and the usual slips get the way out."""
    told = refusal(IpAddress, written)
    assert message in told[0]
    assert hint in told[1]


def test_address_with_a_prefix() -> None:
    """An address without a prefix length stands alone."""
    assert read(IpInterface, "192.0.2.100/24") == ip_interface("192.0.2.100/24")
    assert read(IpInterface, "2001:db8::1") == ip_interface("2001:db8::1/128")
    assert "with a prefix length" in refusal(IpInterface, "192.0.2.1/33")[0]
    assert "names a zone" in refusal(IpInterface, "fe80::1%1/64")[0]


def test_endpoint() -> None:
    """An address and a port, IPv6 in brackets."""
    assert read(EndpointText, "127.0.0.1:9100") == Endpoint(ip_address("127.0.0.1"), 9100)
    assert read(EndpointText, "[::1]:9100") == Endpoint(ip_address("::1"), 9100)
    assert refusal(EndpointText, "::1:9100")[0] == '"::1:9100" is not an address and a port'
    assert refusal(EndpointText, "127.0.0.1:0")[0] == "port 0 is not within 1 and 65535"
    assert refusal(EndpointText, "127.0.0.300:1")[0] == '"127.0.0.300" is not an IP address'


@settings(deadline=None)
@given(st.integers(1, 32))
def test_dotted_netmask(prefix: int) -> None:
    """A dotted mask is the prefix length it stands for."""
    text = str(ip_interface(f"0.0.0.0/{prefix}").netmask)
    assert read(NetmaskValue, text) == Netmask(prefix, dotted=True)
    assert read(NetmaskValue, prefix) == Netmask(prefix, dotted=False)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (0, "must be within 1 and 128, not 0"),
        (129, "must be within 1 and 128, not 129"),
        (True, "must be a prefix length, not true"),
        ("24", '"24" is not a netmask'),
        ("0.0.0.255", "is not a netmask of leading ones"),
        ("255.0.255.0", "is not a netmask"),
        ("0.0.0.0", "is not a netmask of leading ones"),
        ("1.2.3.4.5.6.7", "is not a netmask"),
    ],
)
def test_no_netmask(written: object, message: str) -> None:
    """The kernel would take any bits; only leading ones mean something."""
    assert message in refusal(NetmaskValue, written)[0]


def test_names() -> None:
    """A name can stand in a path of the API and on a command line."""
    for name in ("web", "web-1.example_x", "1", "a" * 64):
        assert read(Name, name) == name
        assert is_name(name)
    for name in ("", "-x", ".x", "a b", "a/b", "a" * 65, "ä", "a\n"):
        assert "is not a name" in refusal(Name, name)[0]
        assert not is_name(name)


def test_interface_names() -> None:
    """What the kernel takes for an interface's name."""
    for name in ("eth0", "bond0.100", "a" * 15, "ä"):
        assert read(InterfaceName, name) == name
    for name in ("", "a" * 16, "a b", "a/b", "a:b", "a\0"):
        assert "is not an interface's name" in refusal(InterfaceName, name)[0]


def test_paths() -> None:
    """A path begins at the root; a socket's fits sun_path to the byte."""
    assert read(AbsolutePath, "/var/lib/lvsha") == "/var/lib/lvsha"
    for path in ("var/lib", "", "/a\0b", "/" + "a" * 4095):
        assert "is not an absolute path" in refusal(AbsolutePath, path)[0]
    assert read(SocketPath, "/" + "a" * 106) == "/" + "a" * 106
    assert refusal(SocketPath, "/" + "ä" * 54)[0] == "is too long for a Unix socket"


def test_values_in_messages() -> None:
    """A value is shown as TOML would write it, short enough to read."""
    assert [shown(v) for v in (True, 5, 0.5, "a", [1], [], {})] == [
        *("true", "5", "0.5", '"a"', "a list", "an empty list", "a table")
    ]
    assert shown("x" * 100) == '"' + "x" * 60 + '..."'
    assert shown(date(2026, 1, 2)) == "the date 2026-01-02"
    assert shown(10**5000) == "a number of more than 60 digits"
    assert short("abc", 2) == "ab..."


def test_secrets_in_messages() -> None:
    """Of a value that is secret only the sort is told."""
    assert [sort_of(v) for v in ("s3cret", 12345678, True, {})] == [
        *("a text", "a number", "true or false", "a table")
    ]
