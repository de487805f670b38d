"""TLS contexts: made from files, kept, and made anew when the files change."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from checks import SettingsError
from checks.tls import Tls
from tests.lab.targets import Pki


def test_verifies_by_default() -> None:
    """Nothing said, chain and name are verified."""
    context = Tls().context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_opt_out() -> None:
    """`verify = false` trusts anybody."""
    context = Tls(verify=False).context()
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_context_is_kept(pki: Pki) -> None:
    """Equal settings share a context as long as their files stay the same."""
    assert Tls(ca=pki.authority).context() is Tls(ca=pki.authority).context()
    assert Tls(ca=pki.authority).context() is not Tls(ca=pki.self_signed).context()


def test_renewed_file(pki: Pki, tmp_path: Path) -> None:
    """A file that was replaced is read again."""
    path = tmp_path / "ca"
    shutil.copy(pki.authority, path)
    first = Tls(ca=str(path)).context()
    shutil.copy(pki.self_signed, tmp_path / "new")
    (tmp_path / "new").replace(path)
    second = Tls(ca=str(path)).context()
    assert [ca["subject"] for ca in first.get_ca_certs()] != [ca["subject"] for ca in second.get_ca_certs()]


@pytest.mark.parametrize("settings", [lambda path: Tls(ca=path), lambda path: Tls(certificate=path)])
def test_unusable_file(tmp_path: Path, settings: Callable[[str], Tls]) -> None:
    """A file that holds no certificate is named."""
    path = tmp_path / "junk"
    path.write_text("junk")
    with pytest.raises(OSError, match=f"cannot use {path}: "):
        settings(str(path)).context()


def test_key_with_passphrase(pki: Pki, tmp_path: Path) -> None:
    """A key that would need a passphrase is an error, not a question on the terminal."""
    key = serialization.load_pem_private_key(Path(pki.client).read_bytes(), None)
    path = tmp_path / "key"
    secret = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    with pytest.raises(OSError, match="cannot use "):
        Tls(certificate=pki.client, key=str(path)).context()


def test_settings() -> None:
    """Settings without effect, or with a bad one, are refused."""
    with pytest.raises(SettingsError) as caught:
        Tls(verify=False, ca="/x", key="/y", server_name="a\0b")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["key", "ca", "server_name"]
