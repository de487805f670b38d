"""A check of kind `realserver` takes what it leaves open from the service that it is used in.

Mode, address and encapsulation stand there already, and one named check may serve many services.
"""

from __future__ import annotations

from dataclasses import replace

from checks import SettingsError
from checks.audit import Encapsulation
from checks.realserver import Realserver
from lvsha.config.problems import Finding, KeyPath, error
from lvsha.config.settings.services import ServerConfig
from lvsha.model import Address, Mode, Tunnel, TunnelFlag, endpoint

CHECKSUMS = {
    TunnelFlag.NONE: "none",
    TunnelFlag.CHECKSUM: "checksum",
    TunnelFlag.REMOTE_CHECKSUM: "remote",
}


def complete(
    server: ServerConfig, vip: Address | None, path: KeyPath, *, tcp: bool
) -> ServerConfig | Finding:
    """The server with its check as it is in this service, or what is wrong with that. Other kinds stay.

    `vip`: the service's address, None for a firewall mark. `tcp`: the server accepts TCP connections for it.
    """
    if server.check is None or not isinstance(server.check.check, Realserver):
        return server
    check, mode = server.check.check, server.mode
    if not check.mode and mode not in (Mode.DR, Mode.TUN):
        message = f"a realserver check looks at what modes dr and tun need; {mode} needs nothing of a server"
        return error(path, message, 'use another kind, such as "tcp"')
    if not check.vips and vip is None:
        message = "a realserver check has no address to look for: this service is a firewall mark"
        return error(path, message, 'write vips = ["..."] into the check')
    service = endpoint(server.address, server.port) if tcp and server.port else ""
    try:
        tunnel = _encapsulation(server.tunnel)
        filled = check.completed(str(mode), str(vip or ""), tunnel, str(server.address), service)
    except SettingsError as wrong:
        return error(path, wrong.problems[0])
    return replace(server, check=replace(server.check, check=filled))


def _encapsulation(tunnel: Tunnel) -> Encapsulation:
    """Raises SettingsError for one that the rules refuse as well."""
    return Encapsulation(tunnel.kind.name.lower(), tunnel.port, CHECKSUMS[tunnel.flags])
