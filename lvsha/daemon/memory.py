"""What a director must remember over restarts: what operators said, what in the kernel is its own,
and what the kernel's settings were.

Four small documents in the state directory, each written as a whole and on disk before the
change takes effect. A document that is torn or foreign is kept aside and said loudly
(`state.discarded`); the director then goes on without it rather than not at all, because a
pair that does not start helps nobody: overrides are lost visibly, and what it owned stays in
the kernel until an operator removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from lvsha import overrides as override
from lvsha.daemon import record
from lvsha.daemon.record import Record
from lvsha.errors import InputError, LvshaError, StateError
from lvsha.log import emit
from lvsha.model import AddressKey, Family, FwmarkKey, Owned, Protocol, ServiceKey, SyncKey, SyncRole
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

    def owned(self) -> Owned:
        """What lvsha once added."""
        return self._read("owned", owned_from_document, Owned())

    def keep_owned(self, owned: Owned) -> None:
        """Raises StateError when it cannot be written."""
        self._write("owned", to_document(owned))

    def holds(self) -> dict[str, str]:
        """VRRP instances that operators keep from being master, and who."""
        return self._read("holds", _holds, {})

    def keep_holds(self, holds: Mapping[str, str]) -> None:
        """Raises StateError when it cannot be written."""
        self._write("holds", {"instances": dict(holds)})

    def sysctls(self) -> Record:
        """What lvsha made of the kernel's settings, in the boot and namespace that it names."""
        return self._read("sysctls", record.from_document, Record())

    def keep_sysctls(self, sysctls: Record) -> None:
        """Raises StateError when it cannot be written."""
        self._write("sysctls", record.to_document(sysctls))

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


def to_document(owned: Owned) -> dict[str, Any]:
    """What is owned, in plain values."""
    daemons = [{"role": s.role.name.lower(), "interface": s.interface, "id": s.sync_id} for s in owned.sync]
    return {
        "services": sorted((_key(key) for key in owned.services), key=str),
        "sync": sorted(daemons, key=str),
    }


def owned_from_document(document: dict[str, Any]) -> Owned:
    """What is owned out of a document; InputError names the entry that is wrong."""
    # Before sync daemons were remembered there was no list of them.
    document = {"sync": [], **document}
    return Owned(
        frozenset(_entries(document, "services", _parse)),
        frozenset(_entries(document, "sync", _parse_sync)),
    )


def _holds(document: dict[str, Any]) -> dict[str, str]:
    holds = document.get("instances")
    if not isinstance(holds, dict) or not all(isinstance(who, str) for who in holds.values()):
        raise InputError("instances: a table of texts is expected")
    return holds


def _entries(document: dict[str, Any], name: str, parse: Callable[[Any], T]) -> Iterator[T]:
    entries = document.get(name)
    if not isinstance(entries, list):
        raise InputError(f"{name}: a list is expected")
    for index, entry in enumerate(entries):
        try:
            yield parse(entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{name}[{index}]: {error!r}") from error


def _key(key: ServiceKey) -> dict[str, Any]:
    match key:
        case AddressKey(protocol, address, port):
            return {"protocol": protocol.name.lower(), "address": str(address), "port": port}
        case FwmarkKey(family, mark):
            return {"family": family.name.lower(), "mark": mark}


def _parse(e: Any) -> ServiceKey:
    if "mark" in e:
        return FwmarkKey(Family[e["family"].upper()], int(e["mark"]))
    return AddressKey(Protocol[e["protocol"].upper()], ip_address(e["address"]), int(e["port"]))


def _parse_sync(e: Any) -> SyncKey:
    return SyncKey(SyncRole[e["role"].upper()], str(e["interface"]), int(e["id"]))
