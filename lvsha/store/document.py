"""A document: plain values in an envelope that says what they are and that they are whole.

    {"format": "lvsha", "kind": "overrides", "version": 1, "sha256": "...", "body": {...}}

The checksum is over the body as canonical JSON (sorted keys, no spaces, ASCII), so that it does not
depend on how the file was laid out.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lvsha.errors import StateError
from lvsha.store.file import LARGEST, put_aside, read_plain, write_atomic

_FORMAT = "lvsha"


def write_document(path: Path, kind: str, version: int, body: dict[str, Any]) -> None:
    """Replace a document, durably. `body` holds what JSON has.

    Raises StateError, also for one that is too large to be read again; the old one is left then.
    """
    # As it will be read: a key that is a number is text afterwards, and sorts elsewhere.
    body = json.loads(json.dumps(body))
    envelope = {
        "format": _FORMAT,
        "kind": kind,
        "version": version,
        "sha256": _checksum(body),
        "body": body,
    }
    data = (json.dumps(envelope, indent=1) + "\n").encode()
    if len(data) > LARGEST:
        raise StateError(
            f"{path} cannot be written: {len(data)} bytes, and {LARGEST} are the most that is read"
        )
    write_atomic(path, data)


def read_document(path: Path, kind: str, version: int) -> dict[str, Any] | None:
    """The body of a document; None where there is no file.

    Anything but a whole document of this kind and version is kept aside as NAME.bad-n, and
    StateError says what is wrong and where it went.
    """
    try:
        data = read_plain(path)
        return None if data is None else _open(data, kind, version)
    except StateError as error:
        aside = put_aside(path)
        kept = f"it was kept as {aside.name}" if aside else "and it could not be moved aside"
        raise StateError(f"{path} {error}; {kept}") from error


def _open(data: bytes, kind: str, version: int) -> dict[str, Any]:
    envelope = _parse(data)
    if not isinstance(envelope, dict) or envelope.get("format") != _FORMAT:
        raise StateError("is not a state file of lvsha")
    if envelope.get("kind") != kind:
        raise StateError(f"holds {envelope.get('kind')!r:.80}, not {kind!r}")
    if envelope.get("version") != version:
        raise StateError(f"has version {envelope.get('version')!r:.40}; this lvsha reads version {version}")
    body = envelope.get("body")
    if not isinstance(body, dict) or envelope.get("sha256") != _checksum(body):
        raise StateError("is damaged: its checksum does not agree with its content")
    return body


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StateError(f"is not JSON: torn, or not a state file ({error})") from error


def _checksum(body: dict[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
