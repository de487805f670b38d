"""The scalar values of the file: durations, addresses, ports, names.

Each type reads one TOML value, strictly: a number in quotes is text and is refused with the
words to mend it. What a person gets to read is the message of the `PydanticCustomError` made by
`refuse`; `lvsha.config.words` words the rest.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lvsha.model import Address

Interface = IPv4Interface | IPv6Interface

LONGEST = 366 * 86400.0
"""Seconds; a longer duration is a slip of the keyboard."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_LINK = re.compile(r"[^\s/:\x00-\x1f\x7f]{1,15}")
"""dev_valid_name() of net/core/dev.c."""


class Table(BaseModel):
    """A table of the file: frozen, strict, no key that is not known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _remember(cls, data: Any, info: ValidationInfo) -> Any:
        """Note which table was read from which value, so that an unknown key can be given a known one."""
        if isinstance(info.context, dict):
            info.context[id(data)] = cls
        return data


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """The error of a value that cannot be read, in words for the person who wrote it."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def shown(value: object) -> str:
    """A value of the file as a message shows it: a text in quotes, cut to a readable length."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{short(value)}"'
        case int() | float():
            return short(_number(value))
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case _:
            return f"the {type(value).__name__} {value}"


def sort_of(value: object) -> str:
    """The same for a value that must not be shown."""
    match value:
        case str():
            return "a text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return shown(value)


def short(text: str, most: int = 60) -> str:
    """Text cut for a message."""
    return text if len(text) <= most else text[:most] + "..."


def _number(value: float) -> str:
    # The interpreter refuses to print an integer of thousands of digits.
    return (
        "a number of more than 60 digits" if isinstance(value, int) and abs(value) >= 10**60 else str(value)
    )


def duration(value: object) -> float:
    """Seconds from a number of seconds or a text such as `500ms` `2s` `5m` `2h` `1d`."""
    match value:
        case bool():
            raise refuse(f"must be a duration, not {shown(value)}", _DURATION_HINT)
        case int() | float():
            seconds = float(min(value, 2 * LONGEST))
        case str() if found := _DURATION.fullmatch(value):
            number, unit = found.groups()
            seconds = float(number) / 1000 if unit == "ms" else float(number) * _SECONDS[unit]
        case str() if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            raise refuse(f"{shown(value)} has no unit", f'write "{value}s", or the number without quotes')
        case _:
            raise refuse(f"must be a duration, not {shown(value)}", _DURATION_HINT)
    if not 0 <= seconds <= LONGEST:  # a NaN is caught here too
        raise refuse(f"{shown(value)} is not a duration within 0 and 366 days")
    return seconds


_DURATION_HINT = 'write seconds as a number, or "500ms", "2s", "5m", "2h", "1d"'


def spoken(seconds: float) -> str:
    """A duration as one would write it: `10ms`, `1.5s`, `5m`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and math.isclose(seconds % size, 0):
            return f"{seconds / size:.10g}{unit}"
    return f"{seconds:.10g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:.10g}ms"


def span(least: float, most: float) -> AfterValidator:
    """A duration's range, both ends included."""

    def within(seconds: float) -> float:
        if not least <= seconds <= most:
            raise refuse(f"must be within {spoken(least)} and {spoken(most)}, not {spoken(seconds)}")
        return seconds

    return AfterValidator(within)


def whole(seconds: float) -> float:
    """Refuse a fraction of a second where the kernel or the protocol counts whole ones."""
    if seconds != int(seconds):
        raise refuse(f"must be whole seconds, not {spoken(seconds)}", "the kernel counts no fractions here")
    return seconds


_DURATION_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": LONGEST},
            {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)$"},
        ]
    }
)
Duration = Annotated[float, BeforeValidator(duration), _DURATION_SCHEMA]
WholeSeconds = Annotated[float, BeforeValidator(duration), AfterValidator(whole), _DURATION_SCHEMA]


def _text(value: object, what: str, hint: str) -> str:
    if not isinstance(value, str):
        raise refuse(f"must be {what}, not {shown(value)}", hint)
    return value


def address(value: object) -> Address:
    """An IPv4 or IPv6 address."""
    text = _text(value, "an address in quotes", _ADDRESS_HINT)
    try:
        found = ip_address(text)
    except ValueError:
        hint = _ADDRESS_HINT
        if "/" in text:
            hint = "leave the prefix length out"
        elif re.search(r":\d+$", text) and text.count(":") == 1:
            hint = "the port has a key of its own"
        raise refuse(f"{shown(value)} is not an IP address", hint) from None
    if isinstance(found, IPv6Address) and found.scope_id:
        raise refuse(f"{shown(value)} names a zone", "leave the part from % on out")
    return found


_ADDRESS_HINT = 'write it as "192.0.2.1" or "2001:db8::1"'


def interface_address(value: object) -> Interface:
    """An address with its prefix length; without one it stands alone (/32, /128)."""
    text = _text(value, "an address in quotes", _PREFIX_HINT)
    try:
        found = ip_interface(text)
    except ValueError:
        raise refuse(f"{shown(value)} is not an IP address with a prefix length", _PREFIX_HINT) from None
    if isinstance(found, IPv6Interface) and found.scope_id:
        raise refuse(f"{shown(value)} names a zone", "leave the part from % on out")
    return found


_PREFIX_HINT = 'write it as "192.0.2.100/24" or "2001:db8::64/64"'

_ADDRESS_SCHEMA = WithJsonSchema(
    {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "examples": ["192.0.2.1"]}
)
IpAddress = Annotated[IPv4Address | IPv6Address, BeforeValidator(address), _ADDRESS_SCHEMA]
INTERFACE_PATTERN = "^[0-9A-Fa-f:.]+(/[0-9.]+)?$"
IpInterface = Annotated[
    IPv4Interface | IPv6Interface,
    BeforeValidator(interface_address),
    WithJsonSchema({"type": "string", "pattern": INTERFACE_PATTERN, "examples": ["192.0.2.100/24"]}),
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port."""

    address: Address
    port: int


def endpoint(value: object) -> Endpoint:
    """An address and a port from `192.0.2.1:9100` or `[2001:db8::1]:9100`."""
    hint = 'write it as "127.0.0.1:9100" or "[::1]:9100"'
    text = _text(value, "an address and a port in quotes", hint)
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})", text)
    if not found:
        raise refuse(f"{shown(value)} is not an address and a port", hint)
    host, port = (found[1] or found[3]), int(found[2] or found[4])
    if not 1 <= port <= 65535:
        raise refuse(f"port {port} is not within 1 and 65535")
    return Endpoint(address(host), port)


EndpointText = Annotated[
    Endpoint, BeforeValidator(endpoint), WithJsonSchema({"type": "string", "pattern": r":[0-9]{1,5}$"})
]


@dataclass(frozen=True, slots=True)
class Netmask:
    """A prefix length, and whether it was written as an IPv4 mask."""

    prefix: int
    dotted: bool


def netmask(value: object) -> Netmask:
    """A prefix length from a number, or from a dotted mask such as `255.255.255.0`."""
    hint = 'write a prefix length such as 24, or a mask such as "255.255.255.0"'
    match value:
        case int() if not isinstance(value, bool):
            if not 1 <= value <= 128:
                raise refuse(f"must be within 1 and 128, not {shown(value)}", hint)
            return Netmask(value, dotted=False)
        case str():
            return Netmask(_dotted(value, hint), dotted=True)
        case _:
            raise refuse(f"must be a prefix length, not {shown(value)}", hint)


def _dotted(text: str, hint: str) -> int:
    # ip_network() reads 0.0.0.255 as a host mask; the kernel would not.
    if not re.fullmatch(r"[0-9.]{7,15}", text):
        raise refuse(f"{shown(text)} is not a netmask", hint)
    try:
        network = IPv4Network(f"0.0.0.0/{text}")
    except ValueError:
        raise refuse(f"{shown(text)} is not a netmask", hint) from None
    if str(network.netmask) != text or not network.prefixlen:
        raise refuse(f"{shown(text)} is not a netmask of leading ones", hint)
    return network.prefixlen


NetmaskValue = Annotated[
    Netmask,
    BeforeValidator(netmask),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 128}, {"type": "string", "format": "ipv4"}]}
    ),
]


def is_name(text: str) -> bool:
    """Whether this may name a service, server, check, instance or node."""
    return re.fullmatch(_NAME, text) is not None


def _matching(pattern: re.Pattern[str], what: str, hint: str) -> AfterValidator:
    def match(text: str) -> str:
        if not pattern.fullmatch(text):
            raise refuse(f"{shown(text)} is not {what}", hint)
        return text

    return AfterValidator(match)


def absolute(text: str) -> str:
    """Refuse a path that would depend on where the daemon was started."""
    if not text.startswith("/") or "\0" in text or len(text.encode()) > 4095:
        raise refuse(f"{shown(text)} is not an absolute path", 'begin it with "/"')
    return text


def socket_path(text: str) -> str:
    """Refuse what does not fit sun_path (unix(7)): 107 bytes and a closing zero."""
    if len(absolute(text).encode()) > 107:
        raise refuse("is too long for a Unix socket", "use a path of at most 107 bytes")
    return text


Port = Annotated[int, Field(ge=1, le=65535)]
PortOrZero = Annotated[int, Field(ge=0, le=65535)]
Weight = Annotated[int, Field(ge=0, le=65535)]
TrackWeight = Annotated[int, Field(ge=-253, le=253)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Threshold = Annotated[int, Field(ge=1, le=1000)]
Priority = Annotated[int, Field(ge=1, le=255)]
Text = Annotated[str, Field(max_length=4096)]
Name = Annotated[
    str,
    _matching(
        re.compile(_NAME),
        "a name",
        "use letters, digits, '.', '_' and '-', at most 64, no '.', '_' or '-' first",
    ),
    Field(json_schema_extra={"pattern": f"^{_NAME}$"}),
]
InterfaceName = Annotated[
    str,
    _matching(_LINK, "an interface's name", "it has 1 to 15 characters, no space, ':' or '/'"),
    Field(json_schema_extra={"minLength": 1, "maxLength": 15}),
]
AbsolutePath = Annotated[str, AfterValidator(absolute), Field(json_schema_extra={"pattern": "^/"})]
SocketPath = Annotated[
    str, AfterValidator(socket_path), Field(json_schema_extra={"pattern": "^/", "maxLength": 107})
]
Family = Literal["ipv4", "ipv6"]
