"""Services: from the tables to values in which every server and check has been looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lvsha.config.decode import Findings, Written, WrittenService
from lvsha.config.problems import Finding, KeyPath, did_you_mean, error, warning
from lvsha.config.resolve.checks import Checks, Reference
from lvsha.config.resolve.realservers import complete
from lvsha.config.schema.services import PersistenceTable, ServerTable, ServiceTable, TunnelTable
from lvsha.config.schema.values import shown
from lvsha.config.settings.services import (
    CheckConfig,
    NamedServer,
    PersistenceConfig,
    ServerConfig,
    ServiceConfig,
)
from lvsha.config.settings.vrrp import Interface
from lvsha.model import Address, Family, Mode, Protocol, Tunnel, TunnelFlag, TunnelKind, family_of

FAMILIES = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}
TUNNEL_FLAGS = {
    "none": TunnelFlag.NONE,
    "checksum": TunnelFlag.CHECKSUM,
    "remote": TunnelFlag.REMOTE_CHECKSUM,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A server of a service, how it was written, and where."""

    path: KeyPath
    written: ServerTable
    config: ServerConfig


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A local address of a service, and where it was written."""

    path: KeyPath
    address: Interface
    interface: str | None
    """None: an instance holds it by its own account."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A service whose names are looked up and whose rules are yet to be judged."""

    path: KeyPath
    written: ServiceTable
    config: ServiceConfig
    servers: tuple[Place, ...]
    fallback: tuple[Place, ...]
    local: tuple[LocalPlace, ...]
    complete: bool
    """Every server that is written could be read."""

    @property
    def places(self) -> tuple[Place, ...]:
        """Servers and fallback servers."""
        return self.servers + self.fallback


class Servers:
    """The named servers, and the way from a name to one."""

    def __init__(self, written: Written, checks: Checks, findings: Findings) -> None:
        self._findings = findings
        self._known = written.names["servers"]
        self._used: set[str] = set()
        self.named: dict[str, NamedServer] = {}
        for name, table in written.servers.items():
            check = checks.find(table.check, ("servers", name, "check"))
            self.named[name] = NamedServer(name, table.address, table.weight, check)

    def find(self, name: str, path: KeyPath) -> NamedServer | None:
        """The server of that name; None for one that is wrong."""
        if name not in self._known:
            hint = did_you_mean(name, self._known) or f"define [servers.{name}]"
            self._findings.add(error(path, f"there is no server {shown(name)}", hint))
        self._used.add(name)
        return self.named.get(name)

    def unused(self) -> list[Finding]:
        """Servers that no service names."""
        return [
            warning(("servers", name), "is used by no service", "name it in a service, or take it out")
            for name in self.named
            if name not in self._used
        ]


class Services:
    """Turns what is written of a service into a draft."""

    def __init__(self, servers: Servers, checks: Checks, findings: Findings) -> None:
        self._servers, self._checks, self._findings = servers, checks, findings

    def draft(self, name: str, written: WrittenService) -> Draft | None:
        """The service, or None if it is not clear what it is; its names are looked up all the same."""
        path, table = ("services", name), written.table
        problems = list(_identity(table, path)) if written.sound else []
        self._findings.add(*problems)
        own = self._checks.find(table.check, (*path, "check"))
        servers = tuple(self._places(written, "servers", path, own))
        fallback = tuple(self._places(written, "fallback", path, None))
        if problems or not written.sound:
            return None
        config = _config(name, table, servers, fallback)
        read = len(written.servers) + len(written.fallback)
        complete = written.complete and read == len(servers) + len(fallback)
        return Draft(path, table, config, servers, fallback, _local(table, path), complete)

    def _places(
        self,
        written: WrittenService,
        key: Literal["servers", "fallback"],
        path: KeyPath,
        own: CheckConfig | None,
    ) -> Iterator[Place]:
        entries: Mapping[int, ServerTable] = getattr(written, key)
        for index, entry in entries.items():
            at = (*path, key, index)
            asked = None if key == "fallback" else written.table.check
            config = self._server(entry, written.table, at, asked, own)
            if config is not None:
                yield Place(at, entry, config)

    def _server(
        self,
        entry: ServerTable,
        service: ServiceTable,
        path: KeyPath,
        asked: Reference,
        own: CheckConfig | None,
    ) -> ServerConfig | None:
        named = self._named(entry, path)
        if named is None:
            return None
        if entry.check is not None:
            check = self._checks.find(entry.check, (*path, "check"))
        else:
            check = own if asked is not None else named.check
        config = ServerConfig(
            name=named.name,
            address=named.address,
            port=entry.port if entry.port is not None else service.port or 0,
            mode=Mode(entry.mode or service.mode),
            weight=named.weight if entry.weight is None else entry.weight,
            upper=entry.upper,
            lower=entry.lower,
            tunnel=_tunnel(entry.tunnel),
            check=check,
        )
        return self._complete(config, service, (*path, "check"))

    def _complete(self, config: ServerConfig, service: ServiceTable, path: KeyPath) -> ServerConfig:
        tcp = service.fwmark is None and service.protocol in (None, "tcp")
        match complete(config, service.address, path, tcp=tcp):
            case ServerConfig() as whole:
                return whole
            case finding:
                self._findings.add(finding)
                return config

    def _named(self, entry: ServerTable, path: KeyPath) -> NamedServer | None:
        match entry:
            case ServerTable(server=str(name), address=None, name=None):
                return self._servers.find(name, (*path, "server"))
            case ServerTable(server=None, address=address) if address is not None:
                return NamedServer(entry.name or str(address), address)
            case ServerTable(server=None):
                hint = 'write server = "NAME" for one of [servers], or address = "..."'
                self._findings.add(error(path, "names no server and has no address", hint))
            case _:
                key = "address" if entry.address is not None else "name"
                hint = "keep one of the two"
                self._findings.add(
                    error((*path, key), f"server {shown(entry.server)} has its own {key}", hint)
                )
        return None


def _local(table: ServiceTable, path: KeyPath) -> tuple[LocalPlace, ...]:
    return tuple(
        LocalPlace((*path, "local_addresses", index), one.address, one.interface)
        for index, one in enumerate(table.local_addresses)
    )


def _identity(table: ServiceTable, path: KeyPath) -> Iterator[Finding]:
    """A service is an address and a port, or a mark."""
    if table.fwmark is not None:
        for key in ("address", "port", "protocol"):
            if getattr(table, key) is not None:
                hint = "the firewall rule that sets the mark chooses the packets; keep one of the two"
                yield error((*path, key), f"does not go with fwmark = {table.fwmark}", hint)
        return
    if table.address is None:
        hint = 'write address = "..." and port, or fwmark and family'
        yield error(path, "has neither an address nor a firewall mark", hint)
        return
    if table.port is None:
        yield error((*path, "port"), "is missing", "it says: the port clients use")
    if table.family is not None and FAMILIES[table.family] is not family_of(table.address):
        yield error((*path, "family"), f"is {table.family}, but the address is not", "leave it out")


def _config(
    name: str, table: ServiceTable, servers: tuple[Place, ...], fallback: tuple[Place, ...]
) -> ServiceConfig:
    return ServiceConfig(
        name=name,
        family=_family(table.address, table.family),
        address=table.address,
        port=table.port or 0,
        protocol=Protocol[(table.protocol or "tcp").upper()],
        fwmark=table.fwmark,
        mode=Mode(table.mode),
        scheduler=table.scheduler,
        flags=tuple(table.flags),
        one_packet=table.one_packet,
        persistence=_persistence(table.persistence),
        on_failure=table.on_failure,
        floor=table.floor,
        servers=tuple(place.config for place in servers),
        fallback=tuple(place.config for place in fallback),
        local_addresses=tuple(one.address.ip for one in table.local_addresses),
        strip_timestamps=table.strip_timestamps,
    )


def _family(address: Address | None, family: str | None) -> Family:
    return family_of(address) if address is not None else FAMILIES[family or "ipv4"]


def _persistence(table: PersistenceTable | None) -> PersistenceConfig | None:
    if table is None:
        return None
    netmask = table.netmask.prefix if table.netmask is not None else None
    return PersistenceConfig(int(table.timeout), netmask, table.engine)


def _tunnel(table: TunnelTable | None) -> Tunnel:
    if table is None:
        return Tunnel()
    return Tunnel(TunnelKind[table.kind.upper()], table.port or 0, TUNNEL_FLAGS[table.checksum])
