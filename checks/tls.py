"""TLS of a probe: who is trusted, which name is asked for, who we are.

The server is verified unless `verify = false` says otherwise in so many words. Contexts are kept,
because loading the system's certificates takes longer than a whole probe; one is made anew when
a file it was made from has changed, so a renewed certificate needs no restart.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from checks import settings
from checks.base import reason


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings of a check."""

    verify: bool = True
    """Verify the server's certificate and name. False accepts anybody's."""
    ca: str = ""
    """File of trusted certificates, PEM. Empty: the system's."""
    server_name: str = ""
    """Name sent as SNI and looked for in the certificate. Empty: the host of the request if it has
    one, else the address."""
    certificate: str = ""
    """File of the client's certificate and its chain, PEM. Empty: none is shown."""
    key: str = ""
    """File of the client's private key, PEM, without a passphrase. Empty: in `certificate`."""

    def __post_init__(self) -> None:
        problems = []
        if self.key and not self.certificate:
            problems.append("key: of no use without a certificate")
        if self.ca and not self.verify:
            problems.append("ca: of no use with verify = false")
        settings.require(problems, settings.line("server_name", self.server_name))

    def context(self) -> ssl.SSLContext:
        """The context to use now. Raises OSError, naming the file that cannot be used."""
        files = tuple(_stamp(path) for path in (self.ca, self.certificate, self.key))
        return _context(self, files)


def _stamp(path: str) -> tuple[int, int, int] | None:
    if not path:
        return None
    status = Path(path).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=256)
def _context(tls: Tls, _files: tuple[object, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca:
        _load(context.load_verify_locations, tls.ca)
    else:
        context.load_default_certs()
    if tls.certificate:
        # The empty password keeps OpenSSL from asking the terminal for one.
        _load(context.load_cert_chain, tls.certificate, tls.key or None, "")
    return context


def _load(load: Callable[..., None], path: str, *rest: str | None) -> None:
    """OpenSSL does not name the file it cannot use."""
    try:
        load(path, *rest)
    except OSError as error:
        raise OSError(f"cannot use {path}: {reason(error)}") from error
