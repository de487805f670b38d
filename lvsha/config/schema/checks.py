"""The tables of health checks, made from the settings of the package `checks`.

A kind of check says in its dataclass which settings it has, of which type and with which default.
The table that a person writes is derived from that, so a kind is described once, and a kind whose
library is heavy is imported only when a file uses it.

What differs between a dataclass and a table: a tuple is a list (a lone value will do for a list of
one), pairs of text are a table, settings within settings are a table.
"""

from __future__ import annotations

import dataclasses
import inspect
from functools import lru_cache
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from checks import KINDS, Check, SettingsError
from checks.settings import descriptions
from lvsha.config.schema.values import (
    Duration,
    IpAddress,
    Port,
    Table,
    Threshold,
    refuse,
    short,
    shown,
    sort_of,
    span,
)

Period = Annotated[Duration, span(0.01, 86400)]


class CheckTable(Table):
    """A health check: what every kind has. The keys of its kind come on top."""

    kind: str
    """What is asked of the server."""
    interval: Period = 2.0
    """From the start of one probe to the start of the next."""
    fast_interval: Period | None = None
    """The same while a verdict is changing. Default: `interval`."""
    timeout: Period = 1.0
    """A probe that takes longer has failed."""
    rise: Threshold = 2
    """Successes in a row that put a server into service."""
    fall: Threshold = 3
    """Failures in a row that take it out."""
    jitter: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)] = 0.1
    """Fraction of the interval by which a probe may start early or late."""
    port: Port | None = None
    """Port to probe. Default: the server's."""
    address: IpAddress | None = None
    """Address to probe. Default: the server's."""
    through: Literal["server", "vip"] = "server"
    """Where to: the `server`'s own address, or the service's (`vip`), over the way that clients' packets take
    to this server."""


def _reference(value: object) -> object:
    if not isinstance(value, str | dict):
        raise refuse(
            f"must be the name of a check or a table, not {shown(value)}",
            'write check = "NAME", check = { kind = "tcp" }, or "none"',
        )
    return value


CheckReference = Annotated[
    str | dict[str, Any], BeforeValidator(_reference), WithJsonSchema({"$ref": "#/$defs/CheckReference"})
]
"""A name in `[checks]`, "none", or a table; the table is read by `table(kind)`."""


@lru_cache(maxsize=256)
def table(kind: str) -> type[CheckTable]:
    """The table of one kind of check. Raises KeyError for a kind that does not exist."""
    settings = KINDS[kind]
    fields: dict[str, Any] = {
        "kind": (Literal[kind], FieldInfo(description=CheckTable.model_fields["kind"].description))
    }
    fields |= _fields(settings)
    name, words = f"{settings.__name__}Check", inspect.getdoc(settings)
    return create_model(name, __base__=CheckTable, __doc__=words, **fields)


def build(written: CheckTable) -> Check:
    """The check itself. Raises SettingsError for settings that make no sense together."""
    check: Check = _build(KINDS[written.kind], written)
    return check


def _build(settings: type[Any], written: Table) -> Any:
    """Take from the table what was written, so that each setting's default stays where it is defined."""
    values = {}
    for field in dataclasses.fields(settings):
        if field.name not in written.model_fields_set:
            continue
        value = getattr(written, field.name)
        inner = _settings_in(get_type_hints(settings)[field.name])
        if inner is not None and isinstance(value, Table):
            try:
                value = _build(inner, value)
            except SettingsError as error:
                raise SettingsError(f"{field.name}.{problem}" for problem in error.problems) from error
        values[field.name] = value
    return settings(**values)


def _fields(settings: Any) -> dict[str, Any]:
    hints, words = get_type_hints(settings), descriptions(settings)
    return {
        field.name: (_written(hints[field.name]), _field(field, words.get(field.name, "").replace("\n", " ")))
        for field in dataclasses.fields(settings)
    }


def _field(field: dataclasses.Field[Any], words: str) -> FieldInfo:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default is dataclasses.MISSING:
        return FieldInfo(description=words)
    shown = None if dataclasses.is_dataclass(default) else default
    return FieldInfo(default=shown, description=words)


def _written(annotation: Any) -> Any:
    """The type of the table's value for a type of the dataclass."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _union(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return _list(arguments[0])
    if _is_settings(annotation):
        return _settings_table(annotation)
    return annotation


def _union(parts: tuple[Any, ...]) -> Any:
    wanted = tuple(part for part in parts if part is not NoneType)
    if len(wanted) > 1:  # scalars: told apart by type, so that there is one message and not one a type
        either: Any = Annotated[Union[wanted], BeforeValidator(_of_type(wanted))]  # noqa: UP007 (built from a tuple)
    else:
        either = _written(wanted[0])
    return either | None if NoneType in parts else either


def _list(part: Any) -> Any:
    if get_args(part) == (str, str):
        schema = {
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": "string"}},
                {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
                },
            ]
        }
        return Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs), WithJsonSchema(schema)]
    return Annotated[GenericAlias(tuple, (_written(part), ...)), BeforeValidator(_as_tuple), _OneOrMany()]


class _OneOrMany:
    """Tells the JSON Schema that a lone value will do for a list of one."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(core)
        return {"anyOf": [many["items"], many]}


def _as_tuple(value: object) -> object:
    match value:
        case list():
            return tuple(value)
        case tuple() | dict():
            return value
        case _:
            return (value,)


def _pairs(value: object) -> object:
    # Such a table may hold a password, so no value is shown.
    match value:
        case dict():
            pairs = list(value.items())
        case list() if all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            pairs = [tuple(pair) for pair in value]
        case _:
            raise refuse(f"must be a table of texts, not {sort_of(value)}", 'write { Name = "value" }')
    for name, text in pairs:
        if not isinstance(name, str) or not isinstance(text, str):
            raise refuse(f"{short(str(name))} must be a text, not {sort_of(text)}", "write it in quotes")
    return tuple(pairs)


def _of_type(types: tuple[type, ...]) -> Any:
    names = " or ".join(
        {str: "a text", int: "a number", float: "a number"}.get(some, some.__name__) for some in types
    )

    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, types):
            raise refuse(f"must be {names}, not {shown(value)}")
        return value

    return check


@lru_cache(maxsize=64)
def _settings_table(settings: Any) -> type[Table]:
    return create_model(
        f"{settings.__name__}Table", __base__=Table, __doc__=inspect.getdoc(settings), **_fields(settings)
    )


def _settings_in(annotation: Any) -> type[Any] | None:
    """The dataclass that an annotation such as `Tls | None` speaks of."""
    for part in (annotation, *get_args(annotation)):
        if _is_settings(part):
            return part  # type: ignore[no-any-return]
    return None


def _is_settings(part: Any) -> bool:
    return isinstance(part, type) and dataclasses.is_dataclass(part)
