"""What a server is to be ready for, as a file: /etc/lvsha/realserver.toml.

The words are those of the options of `lvsha-cli realserver setup`, and of a check of kind `realserver`.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from checks import SettingsError
from checks.audit import Encapsulation, Preparation
from lvsha.errors import InputError, StateError
from lvsha.store.file import read_plain

_LISTS = ("vips", "interfaces", "directors")


def read(path: Path) -> Preparation:
    """What the file says. Raises InputError with everything that is wrong with it."""
    try:
        data = read_plain(path)
    except StateError as error:
        raise InputError(f"{path} {error}") from error
    if data is None:
        raise InputError(f"{path}: there is no such file")
    try:
        return _preparation(tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    except SettingsError as wrong:
        raise InputError(f"{path}: {wrong}") from wrong


def text(wanted: Preparation, first: str) -> str:
    """The file for what is wanted, below a first line of comment."""
    tunnel = wanted.tunnel
    lines = [first, f"mode = {_shown(wanted.mode)}", f"vips = {_shown(wanted.vips)}"]
    if wanted.mode == "tun":
        port = f", port = {tunnel.port}" if tunnel.port else ""
        kind, checksum = _shown(tunnel.kind), _shown(tunnel.checksum)
        lines.append(f"tunnel = {{ kind = {kind}{port}, checksum = {checksum} }}")
    more = {name: getattr(wanted, name) for name in ("local", "device", "interfaces", "directors")}
    lines += [f"{name} = {_shown(value)}" for name, value in more.items() if value]
    return "\n".join(lines) + "\n"


def _shown(value: str | tuple[str, ...]) -> str:
    # JSON's texts and lists of ASCII are TOML's as well.
    return json.dumps(value)


def _preparation(table: dict[str, Any]) -> Preparation:
    values = _checked(table, Preparation)
    tunnel = _checked(values.pop("tunnel", {}), Encapsulation)
    return Preparation(**_required(values), tunnel=Encapsulation(**tunnel))


def _required(values: dict[str, Any]) -> dict[str, Any]:
    missing = [f"{name}: missing" for name in ("mode", "vips") if name not in values]
    if missing:
        raise SettingsError(missing)
    return values


def _checked(table: Any, shape: type[Preparation | Encapsulation]) -> dict[str, Any]:
    """The values of a table, each of its field's type. Raises SettingsError with all that are not."""
    if not isinstance(table, dict):
        raise SettingsError(["tunnel: must be a table"])
    known = {field.name for field in fields(shape)}
    found, wrong = {}, []
    for name, value in table.items():
        if name not in known:
            wrong.append(f"{name}: unknown; known are {', '.join(sorted(known))}")
        elif name in _LISTS:
            given = [value] if isinstance(value, str) else value
            if isinstance(given, list) and all(isinstance(one, str) for one in given):
                found[name] = tuple(given)
            else:
                wrong.append(f"{name}: must be a list of texts")
        elif name == "port" and (not isinstance(value, int) or isinstance(value, bool)):
            wrong.append("port: must be a number")
        elif name not in ("port", "tunnel") and not isinstance(value, str):
            wrong.append(f"{name}: must be a text")
        else:
            found[name] = value
    if wrong:
        raise SettingsError(wrong)
    return found
