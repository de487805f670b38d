"""The JSON Schema of the file, for editors and other tools.

It describes what each value may be. What values mean together is not in it: only `check` judges
that.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from checks import KINDS
from lvsha.config.schema import Document
from lvsha.config.schema.checks import table
from lvsha.config.schema.services import LocalAddressTable
from lvsha.config.schema.vrrp import VipTable

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the file as TOML gives it. Imports every kind of check."""
    kinds = {kind: table(kind) for kind in sorted(KINDS)}
    models: list[type[BaseModel]] = [Document, VipTable, LocalAddressTable, *dict.fromkeys(kinds.values())]
    references, found = models_json_schema([(model, "validation") for model in models])
    definitions: dict[str, Any] = {name: _tidy(model) for name, model in found["$defs"].items()}
    definitions["Check"] = {
        "description": "A health check.",
        "oneOf": [references[(model, "validation")] for model in kinds.values()],
    }
    definitions["CheckReference"] = {
        "description": 'The name of a check in [checks], "none", or a check\'s table.',
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/Check"}],
    }
    document = definitions.pop("Document")
    return {"$schema": DIALECT, "title": "lvsha", **document, "$defs": dict(sorted(definitions.items()))}


def _tidy(model: dict[str, Any]) -> dict[str, Any]:
    """A table's schema without what TOML does not have: null, and defaults that are tables."""
    tidy = {key: value for key, value in model.items() if key != "title"}
    tidy["properties"] = {key: _property(value) for key, value in model.get("properties", {}).items()}
    return tidy


def _property(value: dict[str, Any]) -> dict[str, Any]:
    tidy = {key: part for key, part in value.items() if key != "title"}
    if tidy.get("default") is None or isinstance(tidy["default"], dict):
        tidy.pop("default", None)
    if "description" in tidy:
        tidy["description"] = tidy["description"].replace("\n", " ")
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    choices = [choice for choice in tidy.pop("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **tidy}
    return tidy | {"anyOf": choices} if choices else tidy
