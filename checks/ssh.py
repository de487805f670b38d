"""SSH: the server identifies itself; or, it lets us in and a command does what it should.

Reading the identification alone (`banner_only`) needs no key and costs little. Note that OpenSSH
since 9.8 holds connections that never log in against their address (PerSourcePenalties): exempt
the directors on the servers (PerSourcePenaltyExemptList), or log in.

The login itself is in `sshlogin.py`, whose SSH library is imported when a check that needs it is
made, not when the first one runs: that takes the better part of a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from checks import settings
from checks.base import Outcome, ProbeError, endpoint, quote, trying
from checks.stream import Stream, connect, via

_LONGEST_GREETING = 8192  # RFC 4253 section 4.2: lines of any number may come before the identification


@dataclass(frozen=True, slots=True)
class Ssh:
    """Log in with a key and run a command; or only read the identification."""

    user: str = ""
    """User to log in as."""
    key: str = ""
    """File of the private key, without a passphrase."""
    host_key: str = ""
    """The server's public key as in a .pub file, or several, one a line. One of `host_key` and
    `known_hosts` is required: a login that trusts anybody proves nothing."""
    known_hosts: str = ""
    """File in OpenSSH's known_hosts format."""
    host_name: str = ""
    """Name to look up in `known_hosts`. Empty: the target's address."""
    command: str = ""
    """Command to run. Empty: logging in is enough."""
    exit_status: int = 0
    """The command's exit status that is good."""
    output: str = ""
    """Regular expression that must be found in what the command writes (both streams). Empty: anything."""
    max_output: int = 65536
    """Bytes of output read at most; a command that writes more has failed."""
    banner: str = ""
    """Regular expression that must be found in the identification, such as "OpenSSH_9". Empty: any."""
    banner_only: bool = False
    """Read the identification (`SSH-2.0-...`) and go: no login."""
    source: str = ""
    """Local address to connect from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            [] if self.banner_only else _login_problems(self),
            settings.within("exit_status", self.exit_status, 0, 255),
            settings.pattern("output", self.output),
            settings.within("max_output", self.max_output, 1, 16 << 20),
            settings.pattern("banner", self.banner),
            settings.path(self.source, self.mark),
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        what = f"SSH {endpoint(address, port)}{via(self.source, self.mark)}"
        with await connect(address, port, source=self.source, mark=self.mark) as stream:
            if not self.banner_only:
                from checks import sshlogin

                return await sshlogin.probe(self, stream, address, port, what)
            banner = await identification(stream, what)
        return Outcome(ok=self.welcomes(banner), detail=self.greeting(what, banner))

    def welcomes(self, banner: str) -> bool:
        """Whether a server that identifies itself so is the right one."""
        return bool(re.search(self.banner, banner))

    def greeting(self, what: str, banner: str) -> str:
        """How the server identified itself, for a detail."""
        wanted = "" if self.welcomes(banner) else f" (expected {self.banner!r})"
        return f"{what} is {quote(banner, 100)}{wanted}"


async def identification(stream: Stream, what: str) -> str:
    """The server's identification line."""
    read = b""
    while len(read) < _LONGEST_GREETING:
        trying(f"{what}: connected, waiting for an SSH identification after {len(read)} bytes {quote(read)}")
        data = await stream.receive(_LONGEST_GREETING - len(read))
        read += data
        *lines, _ = read.split(b"\n")
        for line in lines:
            if line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
                return line.rstrip(b"\r").decode("utf-8", "replace")
            if line.startswith(b"SSH-"):
                raise ProbeError(f"an SSH version of the past: {quote(line)}")
        if not data:
            break
    trying(f"{what}: connected")
    raise ProbeError(f"no SSH identification in {len(read)} bytes {quote(read)}")


def _login_problems(check: Ssh) -> list[str]:
    problems = [f"{field}: missing" for field in ("user", "key") if not getattr(check, field)]
    if bool(check.host_key) == bool(check.known_hosts):
        problems.append("host_key: give either host_key or known_hosts, by which the server is recognised")
    from checks import sshlogin

    try:
        sshlogin.public_keys(check.host_key)
    except ValueError as error:
        problems.append(f"host_key: {error}")
    return problems
