"""Logging in to an SSH server and running one command, by asyncssh.

Of the machine's own SSH settings nothing is used: no ~/.ssh/config, no agent, no default keys or
known hosts, no GSSAPI, no certificate stores; a check does what its settings say, whoever runs it.
Nor is compression, by which a server could make much of little.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from checks.base import Outcome, ProbeError, quote, trying
from checks.ssh import Ssh
from checks.stream import Stream

asyncssh.set_log_level("ERROR")  # a line for every step of every probe helps nobody

Trusted = tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]
"""Host keys, keys of host authorities, revoked keys."""

_REFUSALS: tuple[tuple[type[asyncssh.Error], str], ...] = (
    (asyncssh.HostKeyNotVerifiable, "wrong host key: not the one that is known"),
    (asyncssh.PermissionDenied, "login refused: the server does not accept the key"),
    (asyncssh.KeyExchangeFailed, "key exchange failed"),
    (asyncssh.ConnectionLost, "the server closed the connection"),
    (asyncssh.ChannelOpenError, "logged in, the command was refused"),
    (asyncssh.Error, "not proper SSH"),
)


_ISOLATED: dict[str, Any] = {
    "config": None,
    "tunnel": None,
    "proxy_command": None,
    "agent_path": None,
    "agent_identities": None,
    "ignore_encrypted": False,
    "pkcs11_provider": None,
    "preferred_auth": "publickey",
    "password_auth": False,
    "kbdint_auth": False,
    "host_based_auth": False,
    "gss_auth": False,
    "gss_kex": False,
    "x509_trusted_certs": [],
    "x509_trusted_cert_paths": [],
    "compression_algs": ["none"],
    "canonicalize_hostname": False,
    "env": None,
    "send_env": None,
    # The caller's deadline is the only clock.
    "connect_timeout": None,
    "login_timeout": 0,
    "keepalive_interval": 0,
}


class _Client(asyncssh.SSHClient):
    """Remembers the connection while `connect` has not yet returned it."""

    def __init__(self) -> None:
        self.connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    @property
    def banner(self) -> str:
        return str(self.connection.get_extra_info("server_version", "")) if self.connection else ""


async def probe(check: Ssh, stream: Stream, address: str, port: int, what: str) -> Outcome:
    """Log in over a connected stream, which the caller closes, and run the command."""
    async with logged_in(check, stream, address, port, what) as connection:
        return await _judge(check, connection, what)


async def script(
    check: Ssh, stream: Stream, address: str, port: int, what: str, text: str, most: int
) -> bytes:
    """Log in over a connected stream and have `sh` carry out a script; its output.

    Raises ProbeError as `probe` does, for an output of more than `most` bytes, and for a script that ends
    otherwise than well.
    """
    async with logged_in(check, stream, address, port, what) as connection:
        done = f"{what} logged in as {check.user}, the script"
        # Over its standard input: whatever the user's login shell is, it has only these words to read.
        process = await _begin(connection, "exec sh -s", text.encode(), most, done)
        output = await _read(process, most, done)
        if len(output) > most:
            raise ProbeError(f"it wrote more than {most} bytes: {quote(output)}")
        await process.wait_closed()
        if process.exit_status != 0:
            raise ProbeError(f"it {_ending(process)}, wrote {quote(output, 200)}")
        return output


@asynccontextmanager
async def logged_in(
    check: Ssh, stream: Stream, address: str, port: int, what: str
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Be logged in over a connected stream, which the caller closes.

    Raises ProbeError for whatever the server does that a server should not.
    """
    trusted = _trusted(check, address, port)
    client = _Client()
    trying(f"{what}: connected, waiting for an SSH identification")
    try:
        connection = await _login(check, client, stream, trusted, address, port, what)
        try:
            yield connection
        finally:
            connection.abort()
            await connection.wait_closed()
    except asyncssh.Error as error:
        trying(f"{what} is {quote(client.banner, 100)}" if client.banner else f"{what}: connected")
        why = next(why for kind, why in _REFUSALS if isinstance(error, kind))
        raise ProbeError(f"{why} ({quote(error.reason, 120)})") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        trying(what)
        raise ProbeError(f"cannot use {check.key}: {error}") from error
    except ValueError as error:  # a packet that cannot be taken apart
        trying(what)
        raise ProbeError(f"not proper SSH ({quote(str(error), 120)})") from error


async def _login(
    check: Ssh, client: _Client, stream: Stream, trusted: Trusted, address: str, port: int, what: str
) -> asyncssh.SSHClientConnection:
    try:
        return await asyncssh.connect(
            address,
            port,
            sock=stream.socket,
            client_factory=lambda: client,
            known_hosts=trusted,
            username=check.user,
            client_keys=[check.key],
            **_ISOLATED,
        )
    except asyncio.CancelledError:
        if client.banner:
            trying(f"{what} is {quote(client.banner, 100)}, logging in as {check.user}")
        raise


async def _judge(check: Ssh, connection: asyncssh.SSHClientConnection, what: str) -> Outcome:
    banner = str(connection.get_extra_info("server_version"))
    if not check.welcomes(banner):
        return Outcome(ok=False, detail=check.greeting(what, banner))
    done = f"{what} logged in as {check.user}"
    if not check.command:
        return Outcome(ok=True, detail=done)
    return await _command(check, connection, f"{done}, {quote(check.command)}")


async def _command(check: Ssh, connection: asyncssh.SSHClientConnection, done: str) -> Outcome:
    process = await _begin(connection, check.command, b"", check.max_output, done)
    output = await _read(process, check.max_output, done)
    if len(output) > check.max_output:
        return Outcome(ok=False, detail=f"{done} wrote more than {check.max_output} bytes: {quote(output)}")
    trying(f"{done} wrote {quote(output)}, waiting for its end")
    await process.wait_closed()
    done = f"{done} {_ending(process)}, wrote {quote(output)}"
    if process.exit_status != check.exit_status:
        return Outcome(ok=False, detail=f"{done} (expected exit {check.exit_status})")
    if not re.search(check.output, output.decode("utf-8", "replace")):
        return Outcome(ok=False, detail=f"{done} (expected {check.output!r})")
    return Outcome(ok=True, detail=done)


async def _begin(
    connection: asyncssh.SSHClientConnection, command: str, stdin: bytes, most: int, done: str
) -> asyncssh.SSHClientProcess[bytes]:
    """Have a command run that reads `stdin` and may write about `most` bytes."""
    trying(f"{done} asked for")
    process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(
        command,
        stdin=asyncssh.PIPE if stdin else asyncssh.DEVNULL,
        stderr=asyncssh.STDOUT,
        encoding=None,
        request_pty=False,
        window=min(most, 65536),
    )
    if stdin:
        process.stdin.write(stdin)
        process.stdin.write_eof()
    return process


async def _read(process: asyncssh.SSHClientProcess[bytes], most: int, done: str) -> bytes:
    """The output to its end, or one byte more than `most`."""
    output = b""
    while len(output) <= most:
        trying(f"{done} runs, {len(output)} bytes of output so far {quote(output)}")
        data = await process.stdout.read(most + 1 - len(output))
        if not data:
            break
        output += data
    return output


def _ending(process: asyncssh.SSHClientProcess[bytes]) -> str:
    if process.exit_signal:
        return f"was killed by signal {process.exit_signal[0]}"
    if process.exit_status is None:
        return "ended without an exit status"
    return f"exited {process.exit_status}"


def _trusted(check: Ssh, address: str, port: int) -> Trusted:
    """The keys by which the server may be recognised; raises ProbeError where none is known."""
    if check.host_key:
        return public_keys(check.host_key), [], []
    name = check.host_name or address.partition("%")[0]
    try:
        known = asyncssh.read_known_hosts(check.known_hosts).match(name, address, port)
    except (ValueError, UnicodeError) as error:
        raise ProbeError(f"cannot use {check.known_hosts}: {error}") from error
    hosts, authorities, revoked = list(known[0]), list(known[1]), list(known[2])
    if not hosts and not authorities:
        raise ProbeError(f"unknown host: {check.known_hosts} has no key for {name} port {port}")
    return hosts, authorities, revoked


def public_keys(text: str) -> list[asyncssh.SSHKey]:
    """Public keys, one a line; raises ValueError."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return [asyncssh.import_public_key(line) for line in lines]
    except asyncssh.KeyImportError as error:
        raise ValueError(f"not a public key as in a .pub file: {error}") from error
