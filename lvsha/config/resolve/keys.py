"""Keys of the HMAC trailer and of `[peer]`: from `hex:...`, `file:/path` or plain text to bytes.

What a key is never appears in a message.
"""

from __future__ import annotations

import stat
from pathlib import Path

from lvsha.config.problems import Finding, KeyPath, error, warning
from lvsha.config.sources import Unreadable, read_bytes

LEAST, MOST = 32, 64
"""Length of a key in bytes (draft-cassen-vrrp-auth-hmac)."""

_FILE_BYTES = 4096
_HINT = "make one with: openssl rand -hex 32"


def key(text: str, path: KeyPath) -> tuple[bytes, list[Finding]]:
    """The key's bytes, and what is wrong with them."""
    if text.startswith("file:"):
        return _from_file(Path(text.removeprefix("file:")), path)
    return _plain(text, path)


def _plain(text: str, path: KeyPath) -> tuple[bytes, list[Finding]]:
    if text.startswith("hex:"):
        try:
            data = bytes.fromhex(text.removeprefix("hex:"))
        except ValueError:
            return b"", [error(path, "is not hexadecimal after hex:", _HINT)]
    else:
        data = text.encode()
    if LEAST <= len(data) <= MOST:
        return data, []
    return data, [error(path, f"is {len(data)} bytes long, not {LEAST} to {MOST}", _HINT)]


def _from_file(file: Path, path: KeyPath) -> tuple[bytes, list[Finding]]:
    if not file.is_absolute():
        return b"", [error(path, f"file:{file} is not an absolute path", 'begin it with "/"')]
    try:
        data, mode = read_bytes(file, _FILE_BYTES)
    except Unreadable as reason:
        return b"", [error(path, f"{file} {reason.message}", reason.hint)]
    try:
        found, problems = _plain(data.decode().strip(), path)
    except UnicodeDecodeError:
        return b"", [error(path, f"{file} is not text", "write the key as hex:... into it")]
    if mode & stat.S_IROTH:
        problems.append(warning(path, f"{file} may be read by everybody", f"chmod o-r {file}"))
    return found, problems
