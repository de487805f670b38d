"""Run one check by hand: `python -m checks http 10.0.0.5:80 --path /healthz --status 200`.

The options of a kind are its fields, so what is tried here can be written into a configuration word
for word. Prints a line a probe; the exit status is 0 if all were good, 1 if one was not, 2 if the
settings make no sense.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
import types
import typing
from collections.abc import Sequence
from typing import Any

import checks
from checks.settings import descriptions, is_address

_PORTS = {
    "http": 80,
    "https": 443,
    "ssh": 22,
    "dns": 53,
    "smtp": 25,
    "ping": 0,
    "script": 0,
    "realserver": 22,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    kind, options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        address, port = _target(options.pop("target"), _PORTS.get(kind))
        timeout, repeat, interval = (options.pop(name) for name in ("timeout", "repeat", "interval"))
        check = _build(checks.KINDS[kind], options)
    except ValueError as error:
        print(f"{kind}: {error}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_repeat(check, address, port, timeout, repeat, interval))
    except KeyboardInterrupt:
        return 130


async def _repeat(
    check: checks.Check, address: str, port: int, limit: float, repeat: int, interval: float
) -> int:
    bad = done = 0
    while True:
        began = time.monotonic()
        outcome = await checks.run(check, address, port, limit)
        took = (time.monotonic() - began) * 1000
        print(f"{'ok' if outcome.ok else 'FAILED':6} {took:8.1f} ms  {outcome.detail}", flush=True)
        done += 1
        bad += not outcome.ok
        if done == repeat:
            return 1 if bad else 0
        await asyncio.sleep(interval)


def _parse(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The kind, and the options that were given."""
    first = argparse.ArgumentParser(prog="python -m checks", description="Run one check by hand.")
    first.add_argument("kind", choices=list(checks.KINDS), help="`KIND --help` tells its options")
    first.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="the target, and options")
    # Only the kind that is asked for is imported.
    given = first.parse_args(arguments)
    kind = checks.KINDS[given.kind]
    parser = argparse.ArgumentParser(
        prog=f"python -m checks {given.kind}", description=kind.__doc__, allow_abbrev=False
    )
    parser.add_argument("target", metavar="ADDRESS[:PORT]", help="such as 10.0.0.5:80 or [2001:db8::5]:80")
    parser.add_argument("--timeout", type=float, default=1.0, help="Seconds for one probe. (1)")
    parser.add_argument("--repeat", type=int, default=1, help="How many probes; 0: for ever. (1)")
    parser.add_argument("--interval", type=float, default=1.0, help="Seconds between probes. (1)")
    _add_fields(parser.add_argument_group("settings of this kind"), kind, "")
    options = vars(parser.parse_args(given.rest))
    return given.kind, {name: value for name, value in options.items() if value is not None}


def _add_fields(group: Any, kind: type[Any], prefix: str) -> None:
    """An option for each field of a kind, and of the settings within it."""
    hints, told = typing.get_type_hints(kind), descriptions(kind)
    for field in dataclasses.fields(kind):
        name, hint = prefix + field.name, _without_none(hints[field.name])
        text = " ".join(told[field.name].split()).replace("%", "%%")
        option = "--" + name.replace(".", "-").replace("_", "-")
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            group.add_argument(option, dest=name, action="store_true", default=None, help=text)
            _add_fields(group, hint, f"{name}.")
        else:
            default = "" if field.default in ("", None, (), dataclasses.MISSING) else f" ({field.default})"
            group.add_argument(option, dest=name, help=text + default, **_how(hint))


def _how(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of this type."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if hint == tuple[tuple[str, str], ...]:
        return {"action": "append", "type": _pair, "metavar": "NAME=VALUE"}
    if typing.get_origin(hint) is tuple:
        return {"action": "extend", "nargs": "+", "metavar": "VALUE"}
    return {"type": hint, "metavar": {str: "TEXT", int: "N", float: "SECONDS"}[hint]}


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) and type(None) in hint.__args__:
        (hint,) = set(hint.__args__) - {type(None)}
    return hint


def _build(kind: type[Any], options: dict[str, Any]) -> Any:
    """The check with these options; raises SettingsError."""
    hints, values = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        inner = {
            name.removeprefix(f"{field.name}."): value
            for name, value in options.items()
            if name.startswith(f"{field.name}.")
        }
        if inner or (field.name in options and dataclasses.is_dataclass(_without_none(hints[field.name]))):
            values[field.name] = _build(_without_none(hints[field.name]), inner)
        elif field.name in options:
            value = options[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _target(text: str, port: int | None) -> tuple[str, int]:
    """Address and port of `10.0.0.5:80`, `[2001:db8::5]:80`, or an address alone where a port is usual."""
    if is_address(text):
        address, digits = text, "" if port is None else str(port)
    else:
        address, _, digits = text.rpartition(":")
        address = address.removeprefix("[").removesuffix("]")
    if not is_address(address):
        raise ValueError(f"{text!r} is not ADDRESS:PORT")
    if not digits.isdecimal() or int(digits) > 0xFFFF:
        raise ValueError(f"{text!r} needs a port, such as {address}:80")
    return address, int(digits)


if __name__ == "__main__":
    sys.exit(main())
