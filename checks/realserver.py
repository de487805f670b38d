"""Real servers of direct routing and tunnels: whether one keeps still about the service's address.

Logs in by SSH, reads the settings (`audit/script.py`: a shell, `ip` and /proc are enough; any user may) and
judges them. A server that would answer ARP for the service's address fails, with a detail that names the
setting and what mends it, before it takes the address away from the director.

Of the service itself it asks one thing, that its port accepts connections: a server is checked by one check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from checks import settings
from checks.audit import LARGEST, SCRIPT, AuditError, Facts, Finding, Severity, examine, parse
from checks.audit.preparation import MODES, Encapsulation, Preparation, problems
from checks.base import Outcome, ProbeError, endpoint
from checks.ssh import Ssh
from checks.stream import connect, via


@dataclass(frozen=True, slots=True)
class Realserver:
    """Log in with a key and judge what makes a server one of mode `dr` or `tun`."""

    usual_port: ClassVar[int] = 22

    mode: str = ""
    """`dr` or `tun`. Empty: the mode in which the service uses the server."""
    vips: tuple[str, ...] = ()
    """The services' addresses that the server must hold, and be still about. Empty: the service's own."""
    tunnel: Encapsulation | None = None
    """How packets of mode `tun` are wrapped. None: as the service has it for the server, else ipip."""
    local: str = ""
    """The server's address that tunnels end at. Empty: the server's, else the one that is probed."""
    device: str = ""
    """The tunnel device that must do it. Empty: whichever fits."""
    interfaces: tuple[str, ...] = ()
    """The server's interfaces that must keep still. Empty: all."""
    directors: tuple[str, ...] = ()
    """Addresses of the directors: none may be the server's default gateway; a server that is one of them has
    the address on the wire while it is master. Empty: nothing is said of it."""
    service: str = ""
    """ADDRESS:PORT that must accept TCP connections as well. Empty: the server's own in a TCP service."""
    user: str = ""
    """User to log in as; need not be root."""
    key: str = ""
    """File of the private key, without a passphrase."""
    host_key: str = ""
    """The server's public key as in a .pub file. One of `host_key` and `known_hosts` is required."""
    known_hosts: str = ""
    """File in OpenSSH's known_hosts format."""
    host_name: str = ""
    """Name to look up in `known_hosts`. Empty: the target's address."""
    source: str = ""
    """Local address to connect from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            settings.one_of("mode", self.mode, ("", *MODES)),
            problems(self.vips, self.local, self.device, self.interfaces, self.directors),
            [] if not self.service or _target(self.service) else [_NO_TARGET.format(self.service)],
        )
        _ = self.login
        if self.mode and self.vips:
            _ = self.preparation("")

    @property
    def login(self) -> Ssh:
        """How to get in."""
        return Ssh(
            user=self.user,
            key=self.key,
            host_key=self.host_key,
            known_hosts=self.known_hosts,
            host_name=self.host_name,
            source=self.source,
            mark=self.mark,
        )

    def completed(self, mode: str, vip: str, tunnel: Encapsulation, local: str, service: str) -> Realserver:
        """The same, with what was left open taken from the service. Raises SettingsError."""
        mode, vips = self.mode or mode, self.vips or ((vip,) if vip else ())
        filled = replace(self, mode=mode, vips=vips, service=self.service or service)
        if mode != "tun":
            return filled
        return replace(filled, tunnel=self.tunnel or tunnel, local=self.local or local)

    def preparation(self, address: str) -> Preparation:
        """What the server at an address must be ready for. Raises SettingsError."""
        tun = self.mode == "tun"
        return Preparation(
            self.mode,
            self.vips,
            self.tunnel or Encapsulation(),
            self.local or (address if tun else ""),
            self.device,
            self.interfaces,
            self.directors,
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Look at the target once."""
        await self._knock()
        facts = await look(self.login, address, port)
        wrong = [f for f in examine(self.preparation(address), facts) if f.severity is Severity.ERROR]
        what = f"server {endpoint(address, port)}{via(self.source, self.mark)}"
        return Outcome(ok=not wrong, detail=f"{what} {_told(self, wrong)}")

    async def _knock(self) -> None:
        """See that the service's port accepts connections; raises OSError."""
        if (target := _target(self.service)) is not None:
            with await connect(*target, source=self.source, mark=self.mark):
                pass


async def look(login: Ssh, address: str, port: int) -> Facts:
    """What a server is like. Raises ProbeError and OSError; has no deadline of its own."""
    from checks import sshlogin

    what = f"SSH {endpoint(address, port)}{via(login.source, login.mark)}"
    with await connect(address, port, source=login.source, mark=login.mark) as stream:
        output = await sshlogin.script(login, stream, address, port, what, SCRIPT, LARGEST)
    try:
        return parse(output)
    except AuditError as error:
        raise ProbeError(str(error)) from error


_NO_TARGET = "service: {!r} is not ADDRESS:PORT"


def _target(text: str) -> tuple[str, int] | None:
    """Address and port of `10.0.0.5:80` or `[2001:db8::5]:80`."""
    address, _, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not settings.is_address(address) or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        return None
    return address, int(port)


def _told(check: Realserver, wrong: list[Finding]) -> str:
    if not wrong:
        service = f", {check.service} accepts connections" if check.service else ""
        return f"is ready for {', '.join(check.vips)} in mode {check.mode}{service}"
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{wrong[0]}{more}"
