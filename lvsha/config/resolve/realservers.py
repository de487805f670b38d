"""A check of kind `realserver` takes what it leaves open from the service that it is used in.

Mode, address and encapsulation stand there already, and one named check may serve many services.
"""

from __future__ import annotations

from dataclasses import replace

from checks import SettingsError
from checks.audit import Encapsulation
from checks.realserver import Realserver
from lvsha.config.problems import Finding, KeyPath, error
from lvsha.config.settings import CheckConfig
from lvsha.model import Address, Mode, Tunnel, TunnelFlag

CHECKSUMS = {
    TunnelFlag.NONE: "none",
    TunnelFlag.CHECKSUM: "checksum",
    TunnelFlag.REMOTE_CHECKSUM: "remote",
}


def complete(
    config: CheckConfig, mode: Mode, vip: Address | None, tunnel: Tunnel, server: Address, path: KeyPath
) -> CheckConfig | Finding:
    """The check as it is for one server of one service, or what is wrong with that. Other kinds stay."""
    check = config.check
    if not isinstance(check, Realserver):
        return config
    if not check.mode and mode not in (Mode.DR, Mode.TUN):
        message = f"a realserver check looks at what modes dr and tun need; {mode} needs nothing of a server"
        return error(path, message, 'use another kind, such as "tcp"')
    if not check.vips and vip is None:
        message = "a realserver check has no address to look for: this service is a firewall mark"
        return error(path, message, 'write vips = ["..."] into the check')
    try:
        filled = check.completed(str(mode), str(vip or ""), _encapsulation(tunnel), str(server))
    except SettingsError as wrong:
        return error(path, wrong.problems[0])
    return replace(config, check=filled)


def _encapsulation(tunnel: Tunnel) -> Encapsulation:
    """Raises SettingsError for one that the rules refuse as well."""
    return Encapsulation(tunnel.kind.name.lower(), tunnel.port, CHECKSUMS[tunnel.flags])
