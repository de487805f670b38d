"""Tests of lvsha.peer.protocol: who is believed, and what a stranger on the wire can do."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.errors import InputError
from lvsha.overrides import Kind, Override, Overrides, Record, Selector
from lvsha.peer.messages import About, Alive, Complete, Message, Reason, Records, RefusedError
from lvsha.peer.protocol import FRAME, GREETING, NONCE, Role, Session

KEY = b"k" * 32
ABOUT = About("0.1.0", 3, "ab" * 32)
DRAIN = Records(Overrides().put(Override(Selector(server="rs3"), Kind.DRAIN), node="lb1"))
UNDRAIN = Records(DRAIN.overrides.remove(DRAIN.overrides.entries))

_nonces = count(1)


def session(
    role: Role,
    *,
    node: str | None = None,
    peer: str | None = None,
    key: bytes = KEY,
    nonce: bytes | None = None,
) -> Session:
    """One end: lb2 listens, lb1 dials."""
    node = node or ("lb2" if role is Role.LISTENER else "lb1")
    peer = peer or ("lb1" if role is Role.LISTENER else "lb2")
    return Session(role, node=node, peer=peer, key=key, nonce=nonce or next(_nonces).to_bytes(NONCE, "big"))


@dataclass
class Wire:
    """Two ends, and all that went over the wire between them."""

    listener: Session
    dialer: Session
    from_listener: bytes = b""
    from_dialer: bytes = b""

    def carry(self) -> tuple[list[Message], list[Message]]:
        """Carry bytes until nobody says anything; what the listener and the dialer heard."""
        heard: tuple[list[Message], list[Message]] = ([], [])
        while True:
            down, up = self.listener.outgoing(), self.dialer.outgoing()
            self.from_listener += down
            self.from_dialer += up
            if not down and not up:
                return heard
            heard[1].extend(self.dialer.receive(down))
            heard[0].extend(self.listener.receive(up))


def wired() -> Wire:
    """Two ends that have proven themselves."""
    wire = Wire(session(Role.LISTENER), session(Role.DIALER))
    assert wire.carry() == ([], [])
    assert wire.listener.open
    assert wire.dialer.open
    return wire


def refused(end: Session, data: bytes) -> Reason:
    """Why this end does not listen to these bytes any more."""
    with pytest.raises(RefusedError) as caught:
        end.receive(data)
    with pytest.raises(RefusedError):
        end.receive(b"")
    return caught.value.reason


def verdict(end: Session, data: bytes) -> Reason | None:
    """Why this end does not listen to these bytes; None: it waits for more. It hears nothing in them."""
    try:
        assert end.receive(data) == []
    except RefusedError as error:
        return error.reason
    return None


def frame(content: bytes | dict[str, object]) -> bytes:
    """With its length before it."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("!I", len(data)) + data


def content(data: bytes) -> dict[str, object]:
    """What is in the one frame."""
    document: dict[str, object] = json.loads(data[4:])
    return document


# --- between friends --------------------------------------------------------------------------------


def test_both_are_heard_once_both_are_proven() -> None:
    """Messages in both directions come as they were sent, in their order."""
    wire = wired()
    wire.dialer.send(ABOUT)
    wire.dialer.send(DRAIN)
    wire.listener.send(Complete())
    assert wire.carry() == ([ABOUT, DRAIN], [Complete()])
    wire.listener.send(Alive())
    assert wire.carry() == ([], [Alive()])


@given(st.lists(st.integers(1, 300), max_size=30))
def test_the_wire_may_cut_anywhere(cuts: list[int]) -> None:
    """TCP keeps no boundaries: the same bytes in any pieces are the same messages."""
    wire = wired()
    for message in (ABOUT, DRAIN, UNDRAIN, Complete()):
        wire.dialer.send(message)
    data, heard = wire.dialer.outgoing(), []
    for length in [*cuts, len(data)]:
        heard += wire.listener.receive(data[:length])
        data = data[length:]
    assert heard == [ABOUT, DRAIN, UNDRAIN, Complete()]


def test_a_stranger_learns_nothing_made_with_the_key() -> None:
    """The listener says its name and a nonce; its proof waits for the dialer's."""
    greeting = content(session(Role.LISTENER, nonce=b"n" * NONCE).outgoing())
    assert greeting == {"lvsha": 1, "node": "lb2", "nonce": b"n".hex() * NONCE}
    assert session(Role.DIALER).outgoing() == b""


def test_a_message_that_is_too_long_is_not_sent() -> None:
    """It would only be refused over there."""
    wire = wired()
    many = tuple(Record(Override(Selector(server=f"rs{n}"), Kind.DRAIN)) for n in range(2000))
    with pytest.raises(InputError, match="too long"):
        wire.dialer.send(Records(Overrides(many)))


# --- who is not believed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "dialer", "reason", "by"),
    [
        ({}, {"key": b"K" * 32}, Reason.KEY, Role.LISTENER),
        ({}, {"node": "lb3"}, Reason.NAME, Role.LISTENER),
        ({"node": "lb4"}, {}, Reason.NAME, Role.DIALER),
        ({"node": "lb1"}, {}, Reason.TWIN, Role.DIALER),
        ({}, {"node": "lb2"}, Reason.TWIN, Role.DIALER),
    ],
)
def test_who_is_not_the_one(
    listener: dict[str, str], dialer: dict[str, str], reason: Reason, by: Role
) -> None:
    """A wrong key, another name, our own name: refused by the one who sees it, and the other is told."""
    wire = Wire(session(Role.LISTENER, **listener), session(Role.DIALER, **dialer))  # type: ignore[arg-type]
    with pytest.raises(RefusedError) as caught:
        wire.carry()
    assert caught.value.reason is reason
    judge, judged = (wire.listener, wire.dialer) if by is Role.LISTENER else (wire.dialer, wire.listener)
    assert not judge.open
    assert refused(judged, judge.outgoing()) is reason
    assert not judged.open


def test_a_listener_that_only_asks_is_not_believed() -> None:
    """Who poses as a listener without the key gets the dialer's proof, and cannot make one of his own."""
    dialer = session(Role.DIALER)
    dialer.receive(frame({"lvsha": 1, "node": "lb2", "nonce": "11" * NONCE}))
    proof = content(dialer.outgoing())["proof"]
    assert refused(dialer, frame({"proof": proof})) is Reason.KEY
    assert not dialer.open


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"lvsha": 2, "anything": "new"}, Reason.VERSION),
        ({"lvsha": 10**400}, Reason.VERSION),
        ({"lvsha": True}, Reason.GARBAGE),
        ({"lvsha": "1"}, Reason.GARBAGE),
        ({"hello": "world"}, Reason.GARBAGE),
        ({"lvsha": 1, "node": "lb1", "nonce": "11" * NONCE}, Reason.GARBAGE),
        ({"lvsha": 1, "node": "lb1", "nonce": "11" * NONCE, "proof": "22" * 32, "more": 1}, Reason.GARBAGE),
        ({"lvsha": 1, "node": "lb1", "nonce": "11" * 31, "proof": "22" * 32}, Reason.GARBAGE),
        ({"lvsha": 1, "node": "lb1", "nonce": "11" * NONCE, "proof": "22" * 31}, Reason.GARBAGE),
        ({"lvsha": 1, "node": "lb1", "nonce": "11" * NONCE, "proof": None}, Reason.GARBAGE),
        ({"lvsha": 1, "node": "lb1", "nonce": "11" * NONCE, "proof": "22" * 32}, Reason.KEY),
        ({"lvsha": 1, "node": ["lb1"], "nonce": "11" * NONCE, "proof": "22" * 32}, Reason.NAME),
        ({"lvsha": 1, "node": "\x1b[2J", "nonce": "11" * NONCE, "proof": "22" * 32}, Reason.NAME),
        ({"refused": "key"}, Reason.KEY),
        ({"refused": "because"}, Reason.GARBAGE),
        ({"refused": ["key"]}, Reason.GARBAGE),
        ({"refused": "key", "more": 1}, Reason.GARBAGE),
        ({"proof": "22" * 32}, Reason.GARBAGE),
    ],
)
def test_what_is_no_greeting(document: dict[str, object], reason: Reason) -> None:
    """Each is refused for what it is, in words that may go to a terminal."""
    listener = session(Role.LISTENER)
    with pytest.raises(RefusedError) as caught:
        listener.receive(frame(document))
    assert caught.value.reason is reason
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=200))
def test_garbage_before_the_greeting(data: bytes) -> None:
    """Any bytes are waited for to become a frame, or refused; they never open the conversation."""
    for end in (session(Role.LISTENER), session(Role.DIALER)):
        assert verdict(end, data) in {None, Reason.GARBAGE, Reason.OVERSIZE}
        assert not end.open


def test_a_long_frame_is_refused_before_it_comes() -> None:
    """Its length is enough: nothing is gathered for it. Strangers get less room than friends."""
    assert refused(session(Role.LISTENER), struct.pack("!I", GREETING + 1)) is Reason.OVERSIZE
    wire = wired()
    assert wire.listener.receive(struct.pack("!I", FRAME)) == []
    assert refused(wired().listener, struct.pack("!I", FRAME + 1)) is Reason.OVERSIZE


def test_an_http_request_is_refused_at_once() -> None:
    """A port scanner's first four letters announce a frame of a gigabyte."""
    assert refused(session(Role.LISTENER), b"GET / HTTP/1.1\r\n\r\n") is Reason.OVERSIZE


# --- who listens and repeats ------------------------------------------------------------------------


def test_a_recorded_conversation_is_worth_nothing() -> None:
    """All that a dialer once said, said again to a listener: its nonce is another one."""
    wire = wired()
    wire.dialer.send(DRAIN)
    wire.carry()
    listener = session(Role.LISTENER)
    assert refused(listener, wire.from_dialer) is Reason.KEY
    dialer = session(Role.DIALER)
    assert refused(dialer, wire.from_listener) is Reason.KEY


def test_a_greeting_that_is_sent_back_is_refused() -> None:
    """Neither as a greeting of its own name, nor under the other's."""
    listener = session(Role.LISTENER)
    greeting = content(listener.outgoing())
    assert refused(listener, frame(greeting | {"proof": "22" * 32})) is Reason.TWIN
    listener = session(Role.LISTENER)
    greeting = content(listener.outgoing())
    assert refused(listener, frame(greeting | {"node": "lb1", "proof": "22" * 32})) is Reason.FORGED


def test_a_proof_does_not_fit_the_other_role() -> None:
    """Two conversations at once: what the dialer proves in one is no listener's proof in the other."""
    nonce, other = b"a" * NONCE, b"b" * NONCE
    one = session(Role.DIALER, node="lb1", peer="lb2", nonce=nonce)
    one.receive(frame({"lvsha": 1, "node": "lb2", "nonce": other.hex()}))
    two = session(Role.DIALER, node="lb2", peer="lb1", nonce=other)
    two.receive(frame({"lvsha": 1, "node": "lb1", "nonce": nonce.hex()}))
    assert refused(one, frame({"proof": content(two.outgoing())["proof"]})) is Reason.KEY


def sent(*messages: Message) -> tuple[Wire, list[bytes]]:
    """A conversation, and the dialer's messages as frames that are still under way."""
    wire, frames = wired(), []
    for message in messages:
        wire.dialer.send(message)
        frames.append(wire.dialer.outgoing())
    return wire, frames


TAMPERING: dict[str, Callable[[list[bytes]], bytes]] = {
    "repeated": lambda f: f[0] + f[0],
    "left out": lambda f: f[1],
    "exchanged": lambda f: f[1] + f[0],
    "cut": lambda f: frame(f[0][4:-1]),
    "emptied": lambda f: frame(f[0][:0]),
    "bare": lambda f: frame(f[0][4:-32]),
    "grown": lambda f: frame(f[0][4:] + b" "),
}


@pytest.mark.parametrize("how", list(TAMPERING))
def test_tampering_ends_the_conversation(how: str) -> None:
    """Repeated, left out, exchanged, cut or grown: nothing after it is heard."""
    wire, frames = sent(DRAIN, UNDRAIN)
    assert refused(wire.listener, TAMPERING[how](frames)) is Reason.FORGED


@given(st.data())
def test_any_altered_bit_is_noticed(data: st.DataObject) -> None:
    """Wherever one bit of a message is turned, it is not taken for one."""
    wire, (message,) = sent(DRAIN)
    position = data.draw(st.integers(0, 8 * len(message) - 1))
    altered = bytearray(message)
    altered[position // 8] ^= 1 << position % 8
    # A length that has grown is waited for; what then comes does not fit.
    first = verdict(wire.listener, bytes(altered))
    assert (first or verdict(wire.listener, bytes(FRAME))) in {Reason.FORGED, Reason.OVERSIZE}


def test_a_message_of_another_conversation_does_not_fit() -> None:
    """The same friends, the same number, the same words, another time."""
    _, (old,) = sent(DRAIN)
    assert refused(wired().listener, old) is Reason.FORGED


def test_a_message_does_not_fit_where_it_came_from() -> None:
    """Each direction has a key of its own: what is sent back is not taken for an answer."""
    wire, (message,) = sent(DRAIN)
    assert refused(wire.dialer, message) is Reason.FORGED


def test_a_friend_that_talks_nonsense_is_refused_too() -> None:
    """Who has the key is who he says; what he says is read as strictly."""
    wire = wired()
    body = b'{"kind":"shutdown"}'
    wire.dialer._frame(body + wire.dialer._mac(Role.DIALER, body))
    assert refused(wire.listener, wire.dialer.outgoing()) is Reason.GARBAGE
    assert wire.listener.outgoing() == b""
