"""What two directors say to each other, and how each knows that the other is who he says.

A connection is a stream of frames: four bytes of length in network order, and so many bytes of
JSON. Both know each other's names from their configuration, and share one key.

    listener                                         dialer

    {"lvsha": 1, "node": "lb2", "nonce": N}    ->
                                               <-    {"lvsha": 1, "node": "lb1", "nonce": M, "proof": P}
    {"proof": Q}                               ->
    message, MAC                               <->   message, MAC

A proof is HMAC-SHA256 by the key over what it proves ("the dialer", "the listener"), the
protocol's version, both names and both nonces. It is worth nothing in another conversation, for
its nonce is new; nor if sent back to where it came from, for there it would have to be the other
role's. The dialer proves first, so a stranger who connects learns nothing that is made with the key.
Who refuses says why in one word, which the other takes for a hint, not for the truth.

The same way each direction gets a key of its own for the conversation, and a message carries
HMAC-SHA256 by that key over its number and its bytes. Numbers are counted, not sent: a message that
is altered, left out, repeated, or moved from another conversation or direction does not fit, and
there is no going on after that.

This proves who speaks; it hides nothing. What is said here is no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from lvsha.errors import InputError
from lvsha.peer.messages import (
    Message,
    Reason,
    RefusedError,
    check_keys,
    decode,
    dump,
    encode,
    load,
    octets,
)

PROTOCOL: Final = 1
NONCE: Final = 32
"""Bytes of a nonce."""
GREETING: Final = 1024
"""Bytes of the longest frame before both are proven."""
FRAME: Final = 256 * 1024
"""Bytes of the longest frame after that. An override with the longest texts fits."""

_LENGTH: Final = struct.Struct("!I")
_NUMBER: Final = struct.Struct("!Q")
_MAC: Final = hashlib.sha256().digest_size


class Role(StrEnum):
    """Who connected to whom."""

    LISTENER = "listener"
    DIALER = "dialer"

    @property
    def other(self) -> Role:
        """The other end's."""
        return Role.DIALER if self is Role.LISTENER else Role.LISTENER


class Session:
    """One end of one conversation, without its socket.

    Bytes that came in go to `receive`, bytes that `outgoing` gives go out, at the beginning too.
    `node` and `peer` are the names of both ends, `nonce` is fresh for every conversation.
    """

    def __init__(self, role: Role, *, node: str, peer: str, key: bytes, nonce: bytes) -> None:
        self.open = False
        """Both are proven: messages may be sent."""
        self._role = role
        self._node, self._peer = node, peer
        self._key, self._nonce = key, nonce
        self._in, self._out = bytearray(), bytearray()
        self._failed: RefusedError | None = None
        self._theirs: bytes | None = None
        """The other's nonce."""
        self._keys: dict[Role, bytes] = {}
        self._count = dict.fromkeys(Role, 0)
        if role is Role.LISTENER:
            self._say(self._hello())

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def send(self, message: Message) -> None:
        """Say something; only when `open`."""
        body = encode(message)
        if len(body) + _MAC > FRAME:
            raise InputError(f"a message of {len(body)} bytes is too long to be sent")
        self._frame(body + self._mac(self._role, body))

    def receive(self, data: bytes) -> list[Message]:
        """Take bytes that came in, and give the messages in them.

        Raises RefusedError when the other end is not to be listened to; what `outgoing` then holds tells
        it why.
        """
        if self._failed is not None:
            raise self._failed
        self._in += data
        try:
            return [m for m in map(self._take, self._frames()) if m is not None]
        except RefusedError as error:
            self._failed = error
            if not self.open:
                self.refuse(error.reason)
            raise

    def refuse(self, reason: Reason) -> None:
        """Tell one who is not proven yet why he will not be."""
        self._say({"refused": reason.value})

    # --- frames ---------------------------------------------------------------------------------

    def _frames(self) -> Iterator[bytes]:
        while len(self._in) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in)
            most = FRAME if self.open else GREETING
            if length > most:
                raise RefusedError(
                    Reason.OVERSIZE, f"announces {length} bytes, and {most} are the most at this point"
                )
            end = _LENGTH.size + length
            if len(self._in) < end:
                return
            frame = bytes(self._in[_LENGTH.size : end])
            del self._in[:end]
            yield frame

    def _frame(self, content: bytes) -> None:
        self._out += _LENGTH.pack(len(content)) + content

    def _say(self, document: dict[str, Any]) -> None:
        self._frame(dump(document))

    def _take(self, frame: bytes) -> Message | None:
        if self.open:
            return self._message(frame)
        document = load(frame)
        if "refused" in document:
            raise _refusal(self._peer, document)
        if self._theirs is None:
            self._greeted(document)
        else:
            self._proven(document)
        return None

    # --- the beginning --------------------------------------------------------------------------

    def _hello(self) -> dict[str, Any]:
        return {"lvsha": PROTOCOL, "node": self._node, "nonce": self._nonce.hex()}

    def _greeted(self, document: dict[str, Any]) -> None:
        """The other's name and nonce; of a dialer the proof too."""
        self._theirs = self._check_hello(document)
        if self._role is Role.DIALER:
            self._say(self._hello() | {"proof": self._derive("proof", self._role).hex()})
            return
        self._check_proof(document["proof"])
        self._say({"proof": self._derive("proof", self._role).hex()})
        self._begin()

    def _proven(self, document: dict[str, Any]) -> None:
        """The listener's proof, at the dialer."""
        check_keys(document, {"proof"})
        self._check_proof(document["proof"])
        self._begin()

    def _begin(self) -> None:
        self._keys = {role: self._derive("messages", role) for role in Role}
        self.open = True

    def _check_hello(self, document: dict[str, Any]) -> bytes:
        """Its nonce, when all in it is as it should be."""
        version = document.get("lvsha")
        if not isinstance(version, int) or isinstance(version, bool):
            raise RefusedError(Reason.GARBAGE, "does not greet as a director does")
        if version != PROTOCOL:
            detail = f"speaks version {version!r:.20} of the protocol, and this lvsha version {PROTOCOL}"
            raise RefusedError(Reason.VERSION, f"{detail}: run one release on both directors")
        proof = {"proof"} if self._role is Role.LISTENER else set()
        check_keys(document, {"lvsha", "node", "nonce"} | proof)
        self._check_name(document["node"])
        nonce = octets(document["nonce"], NONCE)
        if nonce == self._nonce:
            raise RefusedError(Reason.FORGED, "sends our own greeting back")
        return nonce

    def _check_name(self, name: object) -> None:
        if name == self._node:
            raise RefusedError(
                Reason.TWIN, f"is called {self._node} as this node is: give each its own [node] name"
            )
        if name != self._peer:
            raise RefusedError(
                Reason.NAME,
                f"is called {name!a:.80}, and by its address it is {self._peer}: compare [nodes] on both",
            )

    def _check_proof(self, proof: object) -> None:
        if not hmac.compare_digest(octets(proof, _MAC), self._derive("proof", self._role.other)):
            raise RefusedError(Reason.KEY, "has another key: [peer] key must be the same on both directors")

    def _derive(self, purpose: str, role: Role) -> bytes:
        """A secret that only this conversation's two ends know, for one purpose of one of them."""
        assert self._theirs is not None  # noqa: S101 -- asked for after the greeting only
        ends = [(self._node, self._nonce), (self._peer, self._theirs)]
        if self._role is Role.DIALER:
            ends.reverse()
        parts = [b"lvsha peer", str(PROTOCOL).encode(), purpose.encode(), role.encode()]
        parts += [part for name, nonce in ends for part in (name.encode(), nonce)]
        return hmac.digest(self._key, b"".join(_LENGTH.pack(len(part)) + part for part in parts), "sha256")

    # --- messages -------------------------------------------------------------------------------

    def _message(self, frame: bytes) -> Message:
        body, mac = frame[:-_MAC], frame[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(self._role.other, body)):
            raise RefusedError(
                Reason.FORGED, "sent a message that was altered, left out, repeated or moved on its way"
            )
        return decode(load(body))

    def _mac(self, role: Role, body: bytes) -> bytes:
        """By the sender's key, over the number of its message."""
        number = self._count[role]
        self._count[role] += 1
        return hmac.digest(self._keys[role], _NUMBER.pack(number) + body, "sha256")


def _refusal(peer: str, document: dict[str, Any]) -> RefusedError:
    """What the other end's refusal comes to here: a hint, for nobody is proven yet."""
    check_keys(document, {"refused"})
    reason = next((r for r in Reason if r.value == document["refused"]), None)
    if reason is None:
        return RefusedError(Reason.GARBAGE, "refuses for a reason that is none")
    return RefusedError(reason, f"refuses this node ({reason.value}): the log of {peer} says more")
