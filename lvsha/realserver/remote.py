"""A server that the director knows, looked at over SSH for what the director's configuration asks of it.

The configuration comes as the control API gives it (`GET /v1/config`): plain values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks import ProbeError, SettingsError
from checks.audit import Encapsulation, Facts, Finding, Preparation, examine
from checks.base import endpoint, reason
from checks.realserver import look
from checks.ssh import Ssh
from lvsha.errors import InputError, UnavailableError

_CHECKSUMS = {"none": "none", "checksum": "checksum", "remote_checksum": "remote"}


@dataclass(frozen=True, slots=True)
class Known:
    """A server as services use it."""

    name: str
    address: str
    preparations: tuple[Preparation, ...]
    """One for each mode and encapsulation."""
    login: Mapping[str, str]
    """How a check of kind `realserver` logs in, if there is one."""


def known(config: Mapping[str, Any], target: str) -> Known:
    """The server that a target (NAME, SERVICE/NAME or ADDRESS) means.

    Raises InputError where there is none, or several, or where it is of no mode that asks anything of it.
    """
    try:
        found = list(_uses(config, target))
        servers = {(server["name"], server["address"]) for _, server in found}
        if not servers:
            raise InputError(f"no server {target!r} in the configuration")
        if len(servers) > 1:
            names = ", ".join(sorted(f"{name} ({address})" for name, address in servers))
            raise InputError(f"{target!r} means several servers: {names}")
        ((name, address),) = servers
        wanted = tuple(_preparations(config, found, address))
        if not wanted:
            modes = ", ".join(sorted({server["mode"] for _, server in found}))
            raise InputError(f"{name} is used in mode {modes}, which needs nothing of a server")
        return Known(name, address, wanted, _login(found))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the configuration is not as this lvsha-cli knows it: {error!r}") from error
    except SettingsError as error:
        raise InputError(f"{target}: {error}") from error


Use = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A service, and a server of it."""


def _uses(config: Mapping[str, Any], target: str) -> Iterator[Use]:
    service_name, slash, name = target.rpartition("/")
    for service in config["services"].values():
        if slash and service["name"] != service_name:
            continue
        for server in (*service["servers"], *service["fallback"]):
            if name in (server["name"], server["address"]):
                yield service, server


def _preparations(config: Mapping[str, Any], found: list[Use], address: str) -> Iterator[Preparation]:
    """One for each way in which packets come; a service that is a firewall mark tells no address."""
    ways: dict[tuple[str, Encapsulation], dict[str, None]] = {}
    for service, server in found:
        if server["mode"] in ("dr", "tun") and service["address"] is not None:
            tunnel = _tunnel(server) if server["mode"] == "tun" else Encapsulation()
            ways.setdefault((server["mode"], tunnel), {})[service["address"]] = None
    for (mode, tunnel), vips in ways.items():
        yield Preparation(
            mode,
            tuple(vips),
            tunnel,
            local=address if mode == "tun" else "",
            directors=tuple(_directors(config)),
        )


def _tunnel(server: Mapping[str, Any]) -> Encapsulation:
    tunnel = server["tunnel"]
    return Encapsulation(tunnel["kind"], tunnel["port"], _CHECKSUMS[tunnel["flags"]])


def _directors(config: Mapping[str, Any]) -> dict[str, None]:
    """Addresses that are a director's, whichever of the pair: none may be the server's way out."""
    addresses = [node["address"] for node in config["nodes"].values()]
    addresses += [
        vip["address"].partition("/")[0] for vrrp in config["vrrp"].values() for vip in vrrp["addresses"]
    ]
    return dict.fromkeys(address for address in addresses if address is not None)


def _login(found: list[Use]) -> Mapping[str, str]:
    """From the first check of the kind."""
    names = ("user", "key", "host_key", "known_hosts", "host_name")
    for _, server in found:
        check = server["check"]
        if check is not None and check["kind"] == "realserver":
            return {name: check["check"][name] for name in names if check["check"][name]}
    return {}


def findings(
    server: Known, given: Mapping[str, str | None], port: int, timeout: float
) -> tuple[Finding, ...]:
    """Log in and judge, within `timeout` seconds.

    `given`: user, key and known_hosts as far as they were said. Raises InputError where no login can be made
    of that, UnavailableError where the server cannot be looked at.
    """
    login = _settings(server, given)

    async def see() -> Facts:
        async with asyncio.timeout(timeout):
            return await look(login, server.address, port)

    where = f"{server.name} ({endpoint(server.address, port)})"
    try:
        facts = asyncio.run(see())
    except TimeoutError as error:
        raise UnavailableError(f"{where} has not answered within {timeout:g} s") from error
    except (ProbeError, OSError) as error:
        told = reason(error) if isinstance(error, OSError) else error
        raise UnavailableError(f"{where} cannot be looked at: {told}") from error
    return tuple(dict.fromkeys(f for wanted in server.preparations for f in examine(wanted, facts)))


def _settings(server: Known, given: Mapping[str, str | None]) -> Ssh:
    """What was said, then what the server's own check says, then what `ssh` would take."""
    said = {name: value for name, value in given.items() if value}
    home = Path.home() / ".ssh"
    usual = {"user": "root", "key": str(home / "id_ed25519")}
    settings: dict[str, Any] = usual | dict(server.login) | said
    if "known_hosts" in said:
        settings.pop("host_key", None)
    if not settings.keys() & {"host_key", "known_hosts"}:
        settings["known_hosts"] = str(home / "known_hosts")
    try:
        return Ssh(**settings)
    except SettingsError as wrong:
        raise InputError(f"no login can be made of that: {wrong}") from wrong
