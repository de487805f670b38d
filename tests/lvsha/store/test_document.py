"""Documents and their envelope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.errors import StateError
from lvsha.store import read_document, write_document

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A document of kind `overrides`, version 1."""
    path = tmp_path / "overrides.json"
    write_document(path, "overrides", 1, {"a": [1, 2.5, "ä"]})
    return path


def refused(path: Path, why: str) -> None:
    """Reading is refused for this reason, and the file is kept aside as it was."""
    content = path.read_bytes()
    with pytest.raises(StateError, match=why) as refusal:
        read_document(path, "overrides", 1)
    assert str(refusal.value).startswith(str(path))
    assert "kept as overrides.json.bad-1" in str(refusal.value)
    assert path.with_name("overrides.json.bad-1").read_bytes() == content
    assert read_document(path, "overrides", 1) is None


@settings(deadline=None)
@given(body=st.dictionaries(st.text(), values))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, body: dict[str, Any]) -> None:
    """What was written is read, whatever JSON has."""
    path = tmp_path_factory.getbasetemp() / "round-trip.json"
    write_document(path, "k", 3, body)
    assert read_document(path, "k", 3) == body


def test_missing(tmp_path: Path) -> None:
    """No file is no error."""
    assert read_document(tmp_path / "f", "overrides", 1) is None


def test_keys_that_are_numbers(tmp_path: Path) -> None:
    """Keys become text as in any JSON, and the checksum is of what is read."""
    write_document(tmp_path / "f", "k", 1, {"ports": {2: "a", 10: "b"}})
    assert read_document(tmp_path / "f", "k", 1) == {"ports": {"2": "a", "10": "b"}}


@pytest.mark.parametrize("size", [0, 1, 50, 120])
def test_torn(path: Path, size: int) -> None:
    """A file cut anywhere is refused and kept."""
    path.write_bytes(path.read_bytes()[:size])
    refused(path, "torn")


def test_flipped(path: Path) -> None:
    """A changed value is noticed though it is good JSON."""
    path.write_text(path.read_text().replace("2.5", "2.6"))
    refused(path, "checksum")


def test_laid_out_otherwise(path: Path) -> None:
    """Spaces and the order of keys do not matter."""
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert read_document(path, "overrides", 1) == {"a": [1, 2.5, "ä"]}


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b'{"format": "other"}', b'"lvsha"'])
def test_foreign(path: Path, content: bytes) -> None:
    """A file of another program is refused and kept."""
    path.write_bytes(content)
    refused(path, "not a state file of lvsha")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"\0" * 512, b"1" * 10_000])
def test_hostile(path: Path, content: bytes) -> None:
    """Bytes that make a parser fail in other ways are refused in the same way."""
    path.write_bytes(content)
    refused(path, "torn")


def test_other_kind(path: Path) -> None:
    """A document of another kind is not taken for this one."""
    write_document(path, "peers", 1, {})
    refused(path, "holds 'peers', not 'overrides'")


def test_newer_version(path: Path) -> None:
    """A document of a newer lvsha is kept, not overwritten by what an older one understood."""
    write_document(path, "overrides", 2, {})
    refused(path, "has version 2; this lvsha reads version 1")


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_body_of_the_wrong_shape(path: Path, body: object) -> None:
    """A body that is no table is refused."""
    envelope = json.loads(path.read_text())
    path.write_text(json.dumps(envelope | {"body": body}))
    refused(path, "checksum")


def test_link(path: Path, tmp_path: Path) -> None:
    """A symbolic link is refused; the link is put aside, not what it points to."""
    real = path.rename(tmp_path / "real.json")
    path.symlink_to(real)
    refused(path, "cannot be read")
    assert real.exists()


def test_cannot_be_moved(tmp_path: Path) -> None:
    """Where the file cannot even be moved, the error says so."""
    # A path below a file: reading fails, and so does renaming.
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="could not be moved aside"):
        read_document(tmp_path / "file" / "f", "overrides", 1)


def test_what_would_not_be_read_again_is_not_written(path: Path) -> None:
    """A document beyond all measure is refused while there is somebody to tell, and the old one stays."""
    with pytest.raises(StateError, match="are the most that is read"):
        write_document(path, "overrides", 1, {"a": "x" * (17 * 1024 * 1024)})
    assert read_document(path, "overrides", 1) == {"a": [1, 2.5, "ä"]}
