"""Tests of lvsha.peer.messages: what is written is read, and nothing else is."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.overrides import TEXT, Kind, Override, Overrides, Record, Selector, Stamp
from lvsha.peer.messages import (
    PART,
    About,
    Alive,
    Census,
    Collisions,
    Complete,
    Message,
    Reason,
    Records,
    RefusedError,
    decode,
    encode,
    load,
    octets,
    parts,
)
from lvsha.peer.protocol import FRAME
from tests.lab.collisions import FOUR

DRAIN = Override(Selector("web", "rs3"), Kind.DRAIN, None, "kernel update", "root", 1000.0, 2000.0)
SAID = Overrides().put(DRAIN, node="lb1")
ABOUT = About("0.1.0", 3, "ab" * 32)


@pytest.mark.parametrize(
    "message",
    [
        ABOUT,
        Records(SAID),
        Records(SAID.remove([DRAIN], now=1001.0, node="lb2")),
        Complete(),
        Alive(),
        Census(),
        Census(0),
        Census(2**53 - 1),
        Collisions(made=frozenset({FOUR})),
        Collisions(gone=frozenset({FOUR})),
    ],
)
def test_each_message_is_read_as_it_was_written(message: Message) -> None:
    """Through its bytes and back."""
    assert decode(load(encode(message))) == message


PLAIN = json.loads(encode(ABOUT))
SET = json.loads(encode(Records(SAID)))


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "of the kind None"),
        ({"kind": "shutdown"}, "of the kind 'shutdown'"),
        ({"kind": ["about"]}, "of the kind ['about']"),
        ({"kind": "alive", "more": 1}, "other keys"),
        ({"kind": "complete", "more": 1}, "other keys"),
        ({"kind": "census"}, "other keys"),
        ({"kind": "census", "connections": -1}, "a number of connections that is none"),
        ({"kind": "census", "connections": True}, "a number of connections that is none"),
        ({"kind": "census", "connections": 2**53}, "a number of connections that is none"),
        ({"kind": "collisions", "made": []}, "other keys"),
        ({"kind": "collisions", "made": [], "gone": [[6]]}, "a collision of ports that is none"),
        ({k: v for k, v in PLAIN.items() if k != "version"}, "other keys"),
        (PLAIN | {"version": 1}, "a version that is none"),
        (PLAIN | {"version": "x" * 65}, "a version that is none"),
        (PLAIN | {"version": "\x1b[2J"}, "a version that is none"),
        (PLAIN | {"generation": True}, "a generation that is none"),
        (PLAIN | {"generation": 0}, "a generation that is none"),
        (PLAIN | {"fingerprint": "ab" * 31}, "32 bytes in hexadecimal"),
        (SET | {"more": []}, "other keys"),
        ({"kind": "overrides", "overrides": []}, "other keys"),
        (SET | {"overrides": 7}, "a list is expected"),
        (SET | {"ended": SET["overrides"]}, "ended[0] of overrides"),
    ],
)
def test_what_is_no_message(document: dict[str, object], told: str) -> None:
    """Unknown kinds, keys too many or too few, and values that make no sense are refused with the place."""
    with pytest.raises(RefusedError) as caught:
        decode(document)
    assert caught.value.reason is Reason.GARBAGE
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"7",
        b"[]",
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"kind": "alive", "kind": "about"}',
        b'{"a": ' * 20_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json(data: bytes) -> None:
    """Neither what other readers of JSON would let pass, nor nesting without end."""
    with pytest.raises(RefusedError):
        load(data)


@given(st.binary(max_size=60))
def test_nonsense(data: bytes) -> None:
    """Whatever comes in is a message or refused."""
    with contextlib.suppress(RefusedError):
        assert encode(decode(load(data)))


@pytest.mark.parametrize("text", [None, 7, "", "ab" * 3, "a" * 5, "xy" * 2, "ab ab", "ab c", " abab"])
def test_what_is_no_hexadecimal(text: object) -> None:
    """Spaces, which the library would pass over, are refused too."""
    with pytest.raises(RefusedError):
        octets(text, 2)


@given(st.integers(0, 400), st.integers(0, 500))
def test_many_overrides_go_in_parts(count: int, length: int) -> None:
    """Together the parts are the whole, and each may be sent."""
    records = (
        Record(Override(Selector(server=f"rs{n}"), Kind.DRAIN, None, "x" * length), Stamp(n))
        for n in range(count)
    )
    whole = Overrides(tuple(records))
    sent = list(parts(whole))
    assert [r for part in sent for r in part.overrides.records] == list(whole.records)
    assert all(part.overrides.records and len(encode(part)) <= PART + 200 for part in sent)


def test_the_longest_override_may_be_sent() -> None:
    """Every text at its limit, of characters that JSON writes with twelve bytes."""
    text = "\N{GRINNING FACE}" * TEXT
    longest = Override(Selector(text, text), Kind.DRAIN, None, text, text, 1e9, 1e9)
    (part,) = parts(Overrides((Record(longest, Stamp(2**62, text), 1e9),)))
    assert len(encode(part)) + 32 <= FRAME
    assert decode(load(encode(part))) == part
