"""What a director must remember over restarts: overrides, and which services are its own.

Two small documents in the state directory, each written as a whole and on disk before the
change takes effect. A document that is torn or foreign is kept aside and said loudly
(`state.discarded`); the director then goes on without it rather than not at all, because a
pair that does not start helps nobody: overrides are lost visibly, and services that it owned
stay in the kernel until an operator removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from lvsha import overrides as override
from lvsha.errors import InputError, LvshaError, StateError
from lvsha.log import emit
from lvsha.model import AddressKey, Family, FwmarkKey, Protocol, ServiceKey
from lvsha.overrides import Overrides
from lvsha.store import read_document, write_document

VERSION = 1

T = TypeVar("T")


class Memory:
    """The state directory of one director."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unwritable: set[Path] = set()
        """Files of which that was told."""

    def overrides(self) -> Overrides:
        """What operators said before."""
        return self._read("overrides", override.from_document, Overrides())

    def keep_overrides(self, overrides: Overrides) -> None:
        """Raises StateError when it cannot be written: then the override must not take effect."""
        self._write("overrides", override.to_document(overrides))

    def owned(self) -> frozenset[ServiceKey]:
        """The services that lvsha once added."""
        return self._read("owned", keys_from_document, frozenset())

    def keep_owned(self, keys: Iterable[ServiceKey]) -> None:
        """Raises StateError when it cannot be written."""
        self._write("owned", {"services": sorted((_key(k) for k in keys), key=str)})

    def _read(self, name: str, parse: Callable[[dict[str, Any]], T], default: T) -> T:
        path = self._directory / f"{name}.json"
        try:
            document = read_document(path, name, VERSION)
            return default if document is None else parse(document)
        except LvshaError as error:
            emit("state.discarded", file=path, error=str(error))
            return default

    def _write(self, name: str, document: dict[str, Any]) -> None:
        path = self._directory / f"{name}.json"
        try:
            write_document(path, name, VERSION, document)
        except StateError as error:
            if path not in self._unwritable:
                self._unwritable.add(path)
                emit("state.unwritable", file=path, error=str(error))
            raise
        self._unwritable.discard(path)


def keys_from_document(document: dict[str, Any]) -> frozenset[ServiceKey]:
    """Service keys out of a document; InputError names the entry that is wrong."""
    entries = document.get("services")
    if not isinstance(entries, list):
        raise InputError("services: a list is expected")
    return frozenset(_parse(i, e) for i, e in enumerate(entries))


def _key(key: ServiceKey) -> dict[str, Any]:
    match key:
        case AddressKey(protocol, address, port):
            return {"protocol": protocol.name.lower(), "address": str(address), "port": port}
        case FwmarkKey(family, mark):
            return {"family": family.name.lower(), "mark": mark}


def _parse(index: int, e: Any) -> ServiceKey:
    try:
        if "mark" in e:
            return FwmarkKey(Family[e["family"].upper()], int(e["mark"]))
        return AddressKey(Protocol[e["protocol"].upper()], ip_address(e["address"]), int(e["port"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"services[{index}]: {error!r}") from error
