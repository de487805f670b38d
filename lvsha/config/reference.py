"""The reference of every key, written from the models: `python -m lvsha.config.reference`.

`docs/configuration.md` holds it below its own words. Keys, values, defaults and meanings stand in
the models alone, so the document cannot say anything else than the program does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checks import KINDS
from lvsha.config.document import json_schema
from lvsha.config.schema.checks import CheckTable, table
from lvsha.config.schema.values import spoken

MARK = "<!-- From here on written by: python -m lvsha.config.reference docs/configuration.md -->"

TABLES = (
    ("[node]", "NodeTable"),
    ("[nodes.NAME]", "NodeEntry"),
    ("[nodes.NAME.vrrp.INSTANCE]", "NodeVrrpTable"),
    ("[api]", "ApiTable"),
    ("[state]", "StateTable"),
    ("[ipvs]", "IpvsTable"),
    ("[ipvs.timeouts]", "TimeoutsTable"),
    ("[sync]", "SyncTable"),
    ("[peer]", "PeerTable"),
    ("[speaker]", "SpeakerTable"),
    ("[servers.NAME]", "NamedServerTable"),
    ("[services.NAME]", "ServiceTable"),
    ("[[services.NAME.servers]]", "ServerTable"),
    ("local_addresses", "LocalAddressTable"),
    ("persistence", "PersistenceTable"),
    ("tunnel", "TunnelTable"),
    ("[vrrp.NAME]", "VrrpTable"),
    ("addresses, excluded", "VipTable"),
    ("auth: a password", "PasswordTable"),
    ("auth: keys", "KeysTable"),
    ("garp", "GarpTable"),
    ("track: interface", "InterfaceTrack"),
    ("track: script", "ScriptTrack"),
    ("track: file", "FileTrack"),
    ("track: process", "ProcessTrack"),
    ("track: gateway", "GatewayTrack"),
    ("track: service", "ServiceTrack"),
    ("[notify.NAME]", "NotifyTable"),
)
"""Heading and model of each table, in the order of the document."""


def reference() -> str:
    """The whole reference in Markdown."""
    definitions = json_schema()["$defs"]
    parts = [MARK, "## Every key"]
    for heading, name in TABLES:
        parts += _section(f"### `{heading}`", definitions[name])
    parts.append("## Checks")
    parts.append("What every check has, in `[checks.NAME]` and wherever a check is written out:")
    parts.append("\n".join(_rows(_common(definitions))))
    for kind in sorted(KINDS):
        own = _own(definitions[table(kind).__name__])
        parts += _section(f'### `kind = "{kind}"`', own)
    for name in sorted(_settings(definitions)):
        parts += _section(f"### `{name.removesuffix('Table').lower()}`", definitions[name])
    return "\n\n".join(parts) + "\n"


def rewrite(path: Path) -> None:
    """Put the reference in the place of the one that the document has."""
    own, _, _ = path.read_text().partition(MARK)
    path.write_text(own + reference())


def _section(heading: str, model: dict[str, Any]) -> list[str]:
    words = " ".join(str(model.get("description", "")).split("\n\n")[0].split())
    return [heading, words, "\n".join(_rows(model))]


def _common(definitions: dict[str, Any]) -> dict[str, Any]:
    """What all kinds have, as the first of them shows it."""
    model = definitions[table(min(KINDS)).__name__]
    shared = {key: value for key, value in model["properties"].items() if key in CheckTable.model_fields}
    kind = {"description": f"{shared['kind']['description']} One of those below.", "type": "string"}
    return {"properties": {**shared, "kind": kind}, "required": ["kind"]}


def _own(model: dict[str, Any]) -> dict[str, Any]:
    """What only this kind has."""
    own = {key: value for key, value in model["properties"].items() if key not in CheckTable.model_fields}
    return {**model, "properties": own}


def _settings(definitions: dict[str, Any]) -> set[str]:
    """Tables within checks."""
    return (
        set(definitions)
        - {name for _, name in TABLES}
        - {table(kind).__name__ for kind in KINDS}
        - {
            "Check",
            "CheckReference",
        }
    )


def _rows(model: dict[str, Any]) -> Iterator[str]:
    if not model["properties"]:
        return
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, value in model["properties"].items():
        default = "**required**" if key in model.get("required", ()) else _default(value)
        meaning = str(value.get("description", "")).replace("|", "\\|")
        yield f"| `{key}` | {_kind(value)} | {default} | {meaning} |"


def _default(value: dict[str, Any]) -> str:
    match value.get("default"):
        case None | [] | {} | "":
            return ""
        case bool(flag):
            return f"`{str(flag).lower()}`"
        case float(seconds) if _kind(value) == "duration":
            return f'`"{spoken(seconds)}"`' if seconds else "`0`"
        case str(text):
            return f'`"{text}"`'
        case list(parts):
            return f"`{parts}`".replace("'", '"')
        case other:
            return f"`{other}`"


def _kind(value: dict[str, Any]) -> str:
    """What a value may be, in a few words."""
    match value:
        case {"$ref": str(reference)}:
            return _named(reference.rpartition("/")[2])
        case {"const": word}:
            return f'`"{word}"`'
        case {"enum": words}:
            return " ".join(f'`"{word}"`' for word in words)
        case {"anyOf": [{"type": "number"}, {"type": "string"}]}:
            return "duration"
        case {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}:
            return "address"
        case {"anyOf": choices} | {"oneOf": choices}:
            return " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
        case {"type": "array", "items": items}:
            kind = _kind(items)
            return "list of tables" if kind == "table" else f"list of {kind}"
        case {"type": "boolean"}:
            return "`true` `false`"
        case {"type": "integer" | "number"}:
            return _range(value)
        case {"type": "object"}:
            return "table"
        case {"pattern": "^[0-9A-Fa-f:.]+(/[0-9.]+)?$"}:
            return "address/prefix"
        case {"pattern": "^[0-9]{1,9}(s|m|h|d)$"}:
            return "duration"
        case {"format": "ipv4"}:
            return "mask"
        case _:
            return "text"


def _named(name: str) -> str:
    return {"CheckReference": "name or table of a check", "Check": "table"}.get(name, "table")


def _range(value: dict[str, Any]) -> str:
    least, most = value.get("minimum"), value.get("maximum")
    if least is None and most is None:
        return "number"
    if most is None or most >= 2**31 - 1:
        return f"number from {least}"
    return f"{least} to {most}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
    if not sys.argv[1:]:
        sys.stdout.write(reference())
