"""Frozen dataclasses to JSON and back, strictly.

The type hints of a class are its schema. Everything is checked: a field that is missing,
unknown or of another type is an `InputError` that gives the place, as in
`instances[0].vrid: 300 is not within 1..255`. Classes that stand in a union carry a
`kind` class variable, which is written beside their fields and chooses among them.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import Any, TypeVar

from lvsha.errors import InputError

T = TypeVar("T")

_ADDRESSES = frozenset({IPv4Address, IPv6Address})
_INTERFACES = frozenset({IPv4Interface, IPv6Interface})


def encode(value: object) -> object:
    """The JSON form of a dataclass and of everything in it."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    cls: Any = type(value)
    names = _names(cls)
    if names is not None:
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return str(value)


@cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for another class. With thousands of addresses it adds up."""
    return tuple(f.name for f in fields(kind)) if is_dataclass(kind) else None


def decode(kind: type[T], data: object, where: str = "") -> T:
    """The dataclass `kind` out of its JSON form.

    Raises InputError, which names the place below `where`.
    """
    return typing.cast("T", _decode(kind, data, where))


def decode_any(kinds: object, data: object, where: str = "") -> object:
    """One of a union of dataclasses out of its JSON form, chosen by `kind`."""
    return _decode(kinds, data, where)


def dumps(value: object) -> bytes:
    """A dataclass as one line of JSON."""
    return json.dumps(encode(value), separators=(",", ":"), allow_nan=False).encode()


def loads(text: bytes, where: str) -> object:
    """JSON that somebody else wrote; raises InputError where it is none."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}") from error


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def _decode(kind: Any, data: object, where: str) -> object:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _decode_union(typing.get_args(kind), data, where)
    if origin is tuple:
        item, _ = typing.get_args(kind)
        return tuple(
            _decode(item, element, f"{where}[{i}]") for i, element in enumerate(_expect(list, data, where))
        )
    if origin is Mapping:
        key, item = typing.get_args(kind)
        return _decode_mapping(key, item, data, where)
    if is_dataclass(kind):
        return _decode_dataclass(kind, data, where)
    return _decode_scalar(kind, data, where)


def _decode_scalar(kind: Any, data: object, where: str) -> object:
    if kind is float:
        if isinstance(data, int | float) and not isinstance(data, bool) and math.isfinite(data):
            return float(data)
        raise _wrong(data, "a number", where)
    if kind in (int, bool, str):
        return _expect(kind, data, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(data)
        except ValueError as error:
            choices = ", ".join(str(member.value) for member in kind)
            raise InputError(f"{where}: {_shown(data)} is none of {choices}") from error
    if kind is object:
        return data
    raise TypeError(f"{where}: no way to decode {kind}")


def _decode_union(kinds: tuple[Any, ...], data: object, where: str) -> object:
    if type(None) in kinds:
        if data is None:
            return None
        kinds = tuple(kind for kind in kinds if kind is not type(None))
    if _ADDRESSES.issuperset(kinds):
        return _parse(ip_address, "an address", data, where)
    if _INTERFACES.issuperset(kinds):
        return _parse(ip_interface, "an address with prefix length", data, where)
    if len(kinds) == 1:
        return _decode(kinds[0], data, where)
    return _decode_tagged(kinds, data, where)


def _decode_tagged(kinds: tuple[Any, ...], data: object, where: str) -> object:
    table = _expect(dict, data, where)
    by_name = {kind.kind: kind for kind in kinds}
    name = table.get("kind")
    if not isinstance(name, str) or name not in by_name:
        raise InputError(f"{_dot(where, 'kind')}: {_shown(name)} is none of {', '.join(sorted(by_name))}")
    return _decode_dataclass(by_name[name], table, where)


def _decode_mapping(key: Any, item: Any, data: object, where: str) -> object:
    table = _expect(dict, data, where)
    return {_key(key, k, where): _decode(item, v, _dot(where, k)) for k, v in table.items()}


def _key(kind: Any, text: str, where: str) -> object:
    if kind is not int:
        return text
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise InputError(f"{_dot(where, text)}: the name is not a number")


def _decode_dataclass(kind: Any, data: object, where: str) -> object:
    table = _expect(dict, data, where)
    schema, names = _schema(kind), _known(kind)
    if not table.keys() <= names:
        raise InputError(f"{_dot(where, min(table.keys() - names))}: unknown")
    for name, (_, required) in schema.items():
        if required and name not in table:
            raise InputError(f"{_dot(where, name)}: missing")
    values = {
        name: _decode(hint, table[name], _dot(where, name))
        for name, (hint, _) in schema.items()
        if name in table
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(f"{where}{'.' if where else ''}{error}") from error


@cache
def _known(kind: Any) -> frozenset[str]:
    """What may stand in its table."""
    return frozenset(_schema(kind)) | ({"kind"} if hasattr(kind, "kind") else set())


@cache
def _schema(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Field name -> type, and whether it must be there."""
    hints = typing.get_type_hints(kind)
    return {
        f.name: (hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(kind)
        if f.init
    }


def _expect(kind: type[T], data: object, where: str) -> T:
    if isinstance(data, kind) and (kind is bool or not isinstance(data, bool)):
        return data
    names = {dict: "a table", list: "a list", int: "a whole number", str: "a text", bool: "true or false"}
    raise _wrong(data, names[kind], where)


def _parse(parse: Any, what: str, data: object, where: str) -> object:
    try:
        return parse(_expect(str, data, where))
    except ValueError as error:
        raise _wrong(data, what, where) from error


def _wrong(data: object, wanted: str, where: str) -> InputError:
    return InputError(f"{where or 'message'}: {_shown(data)} is not {wanted}")


def _shown(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."


def _dot(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
