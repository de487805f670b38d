"""Tests of `lvsha.config.load`."""

from __future__ import annotations

import copy
import os
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lvsha.config import ConfigError, check, load
from lvsha.errors import InputError
from tests.lab.desk import Desk

TEN = """\
[ipvs]
look = "30"
unknown_service = "keep"

[sync]
id = 300
interface = "eth1"

[checks.web]
kind = "htpp"

[services.web]
address = "192.0.2.300"
port = "80"
check = "wep"
[[services.web.servers]]
address = "10.0.0.11"
weight = -1

[services.shop]
address = "192.0.2.101"
port = 80
mode = "dr"
check = "none"
[[services.shop.servers]]
server = "rs1"
[[services.shop.servers]]
address = "10.0.0.12"
port = 8080

[serivces]
"""

SAID = [
    'lvsha.toml:2: ipvs.look: "30" has no unit; write "30s", or the number without quotes',
    "lvsha.toml:3: ipvs.unknown_service: is not a known key; did you mean unknown_services?",
    "lvsha.toml:6: sync.id: must be at most 255, not 300",
    'not "htpp"; did you mean http?',
    'lvsha.toml:13: services.web.address: "192.0.2.300" is not an IP address; write it as "192.0.2.1"',
    'lvsha.toml:14: services.web.port: must be a whole number, not "80"; write 80 without quotes',
    'lvsha.toml:15: services.web.check: there is no check "wep"; did you mean web?',
    "lvsha.toml:18: services.web.servers[0].weight: must be at least 0, not -1",
    'lvsha.toml:26: services.shop.servers[0].server: there is no server "rs1"; define [servers.rs1]',
    "lvsha.toml:29: services.shop.servers[1].port: is 8080 and the service's is 80, but direct routing",
    "lvsha.toml:31: serivces: is not a known table; did you mean services?",
]


def test_every_problem_at_once(desk: Desk) -> None:
    """Wrong types, unknown keys and names, and a mix that cannot work: each told, by line."""
    with pytest.raises(ConfigError) as caught:
        desk.load(TEN)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == len(SAID)
    for text, said in zip(told, SAID, strict=True):
        assert said in text
    assert str(caught.value) == "\n".join(told)
    assert isinstance(caught.value, InputError)


def test_the_smallest_configuration(desk: Desk) -> None:
    """An empty file is a director without services, with every default."""
    config = desk.load("")
    assert config.node.name == os.uname().nodename
    assert (config.services, config.vrrp, config.sync) == ({}, {}, None)
    assert config.api.socket == Path("/run/lvsha/lvsha.sock")
    assert config.files == (desk.main,)


NODES = "[nodes.lb1]\npriority = 200\n[nodes.lb2]\n"


@pytest.mark.parametrize(
    ("text", "node", "name"),
    [
        ("", None, os.uname().nodename),
        ('[node]\nname = "lb2"\n', None, "lb2"),
        ('[node]\nname = "lb2"\n', "lb1", "lb1"),
    ],
)
def test_which_node_this_is(desk: Desk, text: str, node: str | None, name: str) -> None:
    """The caller's word comes first, then the file's, then the host's name."""
    nodes = NODES if text or node else ""
    assert desk.load(text + nodes, node).node.name == name


def test_a_node_that_is_not_in_the_file(desk: Desk) -> None:
    """Where the file lists nodes, this one must be among them, or it would run with wrong values."""
    problem = desk.error(NODES, "lb3")
    assert (problem.path, problem.line) == ("nodes", 1)
    assert problem.message == 'this node is called "lb3", known are lb1, lb2'


def test_warnings_do_not_refuse(desk: Desk) -> None:
    """A configuration with warnings can be used."""
    text = '[checks.web]\nkind = "tcp"\n'
    assert desk.warning(text).message == "is used by no service or server"
    assert list(desk.load(text).checks) == ["web"]


def test_equal_texts_are_equal_configurations(desk: Desk) -> None:
    """A service that is the same in two readings compares equal, so a reload can leave it alone."""
    text = """
    [services.web]
    address = "192.0.2.100"
    port = 80
    check = { kind = "tcp", expect = "x" }
    [[services.web.servers]]
    address = "10.0.0.11"
    """
    one, other = desk.load(text), desk.load(text + "# another line\n")
    assert one == other
    assert hash(one.services["web"].servers[0].check) == hash(other.services["web"].servers[0].check)


SECTIONS = [
    "node",
    "nodes",
    "api",
    "state",
    "ipvs",
    "sync",
    "servers",
    "checks",
    "services",
    "vrrp",
    "speaker",
]
VOCABULARY = """
    include name priority address port protocol fwmark family mode scheduler flags persistence timeout netmask
    server weight upper lower tunnel kind check floor fallback interface vrid version addresses excluded auth
    password keys active track script file service lease garp interval group peers unicast sysctl timeouts
    look a rs1 web path status headers tls
"""
VALUES = """
    web rs1 none tcp http udp nat dr tun eth0 192.0.2.1 192.0.2.1/24 2001:db8::1 10s 1.5s -1 auto hex:00
    file:/nowhere 255.255.255.0 *.toml sh sh-port gue ipv6
"""
WORDS = [*SECTIONS, *VOCABULARY.split()]
TEXTS = VALUES.split()
keys = st.sampled_from(WORDS) | st.text(max_size=8)
scalars = (
    st.booleans()
    | st.integers()
    | st.integers(-1, 300)
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


def toml(value: object) -> str:
    """Any value in TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            plain = string.ascii_letters + string.digits + " .:/*-_"
            return '"' + "".join(c if c in plain else f"\\U{ord(c):08x}" for c in value) + '"'
        case list():
            return "[" + ", ".join(toml(part) for part in value) + "]"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(part)}" for key, part in value.items()) + "}"
        case _:
            return repr(value)


documents = st.dictionaries(
    st.sampled_from(SECTIONS) | keys,
    st.dictionaries(keys, values, max_size=4) | values,
    max_size=5,
)


@given(document=documents)
@example({"services": {"web": {"address": "192.0.2.1", "port": 80, "servers": [{"server": "x"}] * 2}}})
@example(
    {"vrrp": {"a": {"interface": "a", "vrid": 1, "addresses": ["192.0.2.1"], "auth": {"keys": {"": ""}}}}}
)
@example(
    {"nodes": {"a": {"vrrp": {"a": {}}}}, "vrrp": {"a": {"vrid": 1, "addresses": ["::1"], "unicast": True}}}
)
def test_nonsense_in_toml(document: dict[str, object]) -> None:
    """Whatever a file holds, reading gives a configuration or ConfigError, and each problem has its line."""
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())
    with TemporaryDirectory() as directory:
        path = Path(directory) / "lvsha.toml"
        path.write_text(text)
        try:
            load(path)
        except ConfigError as error:
            for problem in error.problems:
                assert problem.line is not None
                assert str(problem).isprintable()


EXAMPLES = [tomllib.loads(p.read_text()) for p in sorted((Path(__file__).parents[3] / "conf").glob("*.toml"))]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something could be taken out, or something else put in."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


def spoil(document: dict[str, Any], draw: st.DataObject) -> None:
    """Take one thing out, put something else in its place, or add a key beside it."""
    path = draw.draw(st.sampled_from(list(places(document))))
    around: Any = document
    for step in path[:-1]:
        around = around[step]
    match draw.draw(st.sampled_from(["out", "else", "else", "beside"])):
        case "out":
            del around[path[-1]]
        case "beside" if isinstance(around, dict):
            around[draw.draw(keys)] = draw.draw(values)
        case _:
            around[path[-1]] = draw.draw(scalars | values)


@given(
    draw=st.data(),
    example=st.sampled_from(EXAMPLES),
    times=st.integers(1, 4),
    node=st.sampled_from(["lb1", "lb9"]),
)
def test_examples_with_mistakes(draw: st.DataObject, example: dict[str, Any], times: int, node: str) -> None:
    """A good file with a few mistakes gets as far as the rules, and is told like any other."""
    document = copy.deepcopy(example)
    for _ in range(times):
        if document:
            spoil(document, draw)
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())
    with TemporaryDirectory() as directory:
        path = Path(directory) / "lvsha.toml"
        path.write_text(text)
        report = check(path, node)
        assert [problem for problem in report.errors + report.warnings if problem.line is None] == []


@given(data=st.binary(max_size=200) | st.text(alphabet="[]{}=.,\"'\\\n#ab1 ", max_size=60).map(str.encode))
def test_nonsense_in_bytes(data: bytes) -> None:
    """The same for what is no TOML at all."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "lvsha.toml"
        path.write_bytes(data)
        report = check(path, "lb1")
        if report.errors:
            with pytest.raises(ConfigError):
                load(path, "lb1")
        else:
            load(path, "lb1")
