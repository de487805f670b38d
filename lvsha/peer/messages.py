"""The messages of two directors, and their bytes: JSON, read strictly.

Nothing here is believed because it can be read: who sent it is the business of `protocol`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from lvsha.errors import InputError
from lvsha.model import Collision
from lvsha.overrides import Overrides, Record, from_document, to_document
from lvsha.peer.collisions import from_rows, to_rows

PART: Final = 64 * 1024
"""Bytes after which overrides go on in another message."""


class Reason(StrEnum):
    """Why somebody is not listened to."""

    ADDRESS = "address"
    """Comes from where no director is."""
    CROWD = "crowd"
    """Too many who had not proven themselves were waiting."""
    SLOW = "slow"
    """Did not prove itself in time."""
    GARBAGE = "garbage"
    """Says what has no meaning."""
    OVERSIZE = "oversize"
    """Says too much at a time."""
    VERSION = "version"
    """Speaks another version of the protocol."""
    NAME = "name"
    """Is called otherwise than the configuration says."""
    TWIN = "twin"
    """Is called as we are."""
    KEY = "key"
    """Has another key."""
    FORGED = "forged"
    """A message was altered, left out, repeated or moved on its way."""
    CLOSED = "closed"
    """Went away before it had proven itself."""


class RefusedError(InputError):
    """The other end is not to be listened to any more."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class About:
    """What a director runs; said at the beginning, and when it changes."""

    version: str
    """Of lvsha."""
    generation: int
    """Counts the configurations it has loaded."""
    fingerprint: str
    """Of the configuration, without what is a node's own: 64 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Records:
    """What operators said: some of it, or all. At the beginning it may come in several parts."""

    overrides: Overrides


@dataclass(frozen=True, slots=True)
class Complete:
    """All that was known at the beginning has been said."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many connections a director's IPVS knows. None: the question."""

    connections: int | None = None


@dataclass(frozen=True, slots=True)
class Collisions:
    """Connections whose port source NAT had to change: some that a director has, some that it has no more."""

    made: frozenset[Collision] = frozenset()
    gone: frozenset[Collision] = frozenset()


Message = About | Records | Complete | Alive | Census | Collisions


def parts(overrides: Overrides) -> Iterator[Records]:
    """All of it, in messages of a size that may be sent; none where there is nothing."""
    taken: list[Record] = []
    size = 0
    for record in overrides.records:
        length = len(encode(Records(Overrides((record,)))))
        if taken and size + length > PART:
            yield Records(Overrides(tuple(taken)))
            taken, size = [], 0
        taken.append(record)
        size += length
    if taken:
        yield Records(Overrides(tuple(taken)))


def encode(message: Message) -> bytes:
    """A message as JSON."""
    match message:
        case About(version, generation, fingerprint):
            about = {"version": version, "generation": generation, "fingerprint": fingerprint}
            return dump({"kind": "about", **about})
        case Records(overrides):
            return dump({"kind": "overrides", **to_document(overrides)})
        case Complete():
            return dump({"kind": "complete"})
        case Alive():
            return dump({"kind": "alive"})
        case Census(connections):
            return dump({"kind": "census", "connections": connections})
        case Collisions(made, gone):
            return dump({"kind": "collisions", "made": to_rows(made), "gone": to_rows(gone)})


def decode(document: dict[str, Any]) -> Message:
    """A message from its JSON. Raises RefusedError."""
    match document.get("kind"):
        case "about":
            check_keys(document, {"kind", "version", "generation", "fingerprint"})
            return _about(document)
        case "overrides":
            check_keys(document, {"kind", "overrides", "ended"})
            try:
                return Records(from_document(document))
            except InputError as error:
                raise RefusedError(Reason.GARBAGE, f"sends {error}") from error
        case "complete":
            check_keys(document, {"kind"})
            return Complete()
        case "alive":
            check_keys(document, {"kind"})
            return Alive()
        case "census":
            check_keys(document, {"kind", "connections"})
            return _census(document["connections"])
        case "collisions":
            check_keys(document, {"kind", "made", "gone"})
            try:
                return Collisions(from_rows(document["made"]), from_rows(document["gone"]))
            except InputError as error:
                raise RefusedError(Reason.GARBAGE, f"sends {error}") from error
        case kind:
            raise RefusedError(Reason.GARBAGE, f"sends a message of the kind {kind!a:.80}")


def _about(document: dict[str, Any]) -> About:
    version, generation = document["version"], document["generation"]
    if not (isinstance(version, str) and len(version) <= 64 and version.isprintable()):
        raise RefusedError(Reason.GARBAGE, "sends a version that is none")
    if isinstance(generation, bool) or not (isinstance(generation, int) and 0 < generation < 2**31):
        raise RefusedError(Reason.GARBAGE, "sends a generation that is none")
    return About(version, generation, octets(document["fingerprint"], 32).hex())


def _census(connections: object) -> Census:
    if connections is None:
        return Census()
    if isinstance(connections, bool) or not (isinstance(connections, int) and 0 <= connections < 2**53):
        raise RefusedError(Reason.GARBAGE, "sends a number of connections that is none")
    return Census(connections)


def check_keys(document: dict[str, Any], keys: Iterable[str]) -> None:
    """Raise RefusedError unless the object has these keys and no others."""
    if document.keys() != set(keys):
        raise RefusedError(Reason.GARBAGE, "sends other keys than belong into its message")


def octets(text: object, length: int) -> bytes:
    """So many bytes from their hexadecimal digits. Raises RefusedError."""
    try:
        # fromhex() would pass over spaces.
        if isinstance(text, str) and len(text) == 2 * length:
            data = bytes.fromhex(text)
            if len(data) == length:
                return data
    except ValueError:
        pass
    raise RefusedError(Reason.GARBAGE, f"sends something else than {length} bytes in hexadecimal")


def dump(document: dict[str, Any]) -> bytes:
    """An object as JSON."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def load(data: bytes) -> dict[str, Any]:
    """An object from its JSON. Raises RefusedError."""
    try:
        document = json.loads(data.decode(), parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Reason.GARBAGE, "sends something else than JSON") from error
    if not isinstance(document, dict):
        raise RefusedError(Reason.GARBAGE, "sends something else than a JSON object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands there twice")
    return document
