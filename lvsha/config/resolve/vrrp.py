"""VRRP instances: from the tables to what each is on one node.

A node's table says what it does differently, so one file serves the pair. The values of a node
stand above those of an instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lvsha.config.decode import Findings, Written
from lvsha.config.problems import KeyPath, did_you_mean, error
from lvsha.config.resolve.keys import key
from lvsha.config.resolve.services import Draft
from lvsha.config.schema import vrrp as tables
from lvsha.config.schema.machine import NodeEntry, NodeVrrpTable
from lvsha.config.schema.values import shown
from lvsha.config.schema.vrrp import KeysTable, PasswordTable, VipTable, VrrpTable
from lvsha.config.settings.vrrp import (
    GarpConfig,
    KeyAuth,
    PasswordAuth,
    Track,
    TrackFile,
    TrackGateway,
    TrackInterface,
    TrackProcess,
    TrackScript,
    TrackService,
    VipConfig,
    VrrpConfig,
    automatic_lease,
)
from lvsha.model import Address, Family, family_of

PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as it is on one node, how it was written, and where."""

    path: KeyPath
    written: VrrpTable
    config: VrrpConfig
    node: str
    priority_path: KeyPath
    """Where its priority was found."""
    address_path: KeyPath
    """Where its own address was found, or would be."""
    lent: Mapping[Address, KeyPath] = field(default_factory=dict)
    """Addresses that it holds because a service says so, and where that is written."""

    def vips(self) -> Iterator[tuple[KeyPath, VipConfig]]:
        """Every address that its master holds, and where it is written."""
        for where in ("addresses", "excluded"):
            for index, vip in enumerate(getattr(self.config, where)):
                yield self.lent.get(vip.address.ip, (*self.path, where, index)), vip

    def moves_with(self, other: Instance) -> bool:
        """Whether the two can only be master together."""
        group = self.config.group
        return self is other or (group is not None and group == other.config.group)


class Nodes:
    """The nodes of the file, as the instances see them."""

    def __init__(self, written: Written) -> None:
        self._written = written.nodes

    def own(self, node: str, instance: str) -> tuple[NodeEntry, NodeVrrpTable]:
        """What a node says for all its instances, and for this one."""
        entry = self._written.get(node, NodeEntry())
        return entry, entry.vrrp.get(instance, NodeVrrpTable())

    def address(self, node: str, instance: str, family: Family) -> tuple[Address | None, KeyPath]:
        """A node's address in an instance, and where it stands. The node's own is for its family only."""
        entry, special = self.own(node, instance)
        if special.address is not None:
            return special.address, ("nodes", node, "vrrp", instance, "address")
        if entry.address is not None and family_of(entry.address) is family:
            return entry.address, ("nodes", node, "address")
        return None, ("nodes", node)

    def peers(self, node: str, instance: str, family: Family, findings: Findings) -> tuple[Address, ...]:
        """The addresses of the other nodes; one that has none is a problem."""
        peers = []
        for other in self._written:
            if other == node:
                continue
            address, path = self.address(other, instance, family)
            if address is None:
                kind = "IPv6" if family is Family.IPV6 else "IPv4"
                hint = f'write address = "..." here, or in [nodes.{other}.vrrp.{instance}]'
                findings.add(error(path, f"has no {kind} address, but vrrp.{instance} is unicast", hint))
            else:
                peers.append(address)
        return tuple(peers)


class Instances:
    """Turns what is written of an instance into what it is on a node."""

    def __init__(self, written: Written, findings: Findings) -> None:
        self._written, self._findings = written, findings
        self._nodes = Nodes(written)
        self._auth = {
            name: _auth(table, ("vrrp", name, "auth"), findings) for name, table in written.vrrp.items()
        }

    def on(self, node: str, services: Iterable[Draft] = ()) -> dict[str, Instance]:
        """Every instance that could be read, as it is on this node, with what services lend it."""
        found = (self._instance(name, table, node) for name, table in self._written.vrrp.items())
        instances = {instance.config.name: instance for instance in found if instance is not None}
        for service in services:
            _lend(service, instances)
        return instances

    def _instance(self, name: str, table: VrrpTable, node: str) -> Instance | None:
        path: KeyPath = ("vrrp", name)
        entry, special = self._nodes.own(node, name)
        interface = special.interface or table.interface
        if interface is None:
            hint = f'write interface = "..." here, or in [nodes.{node}.vrrp.{name}]'
            self._findings.add(error((*path, "interface"), "is missing", hint))
            return None
        family = family_of(table.addresses[0].address.ip)
        priority, priority_path = _priority(table, entry, special, node, path)
        address, address_path = self._nodes.address(node, name, family)
        config = VrrpConfig(
            name=name,
            interface=interface,
            vrid=table.vrid,
            version=table.version,
            family=family,
            priority=priority,
            interval=table.interval,
            addresses=_vips(table.addresses, interface),
            excluded=_vips(table.excluded, interface),
            preempt=table.preempt,
            preempt_delay=table.preempt_delay,
            start_delay=table.start_delay,
            carrier_delay=table.carrier_delay,
            needs_carrier=table.needs_carrier,
            accept=table.accept,
            checksum="plain" if table.checksum in ("plain", "rfc9568") else "pseudo-header",
            unicast=table.unicast,
            address=address if table.unicast or special.address is not None else None,
            peers=self._peers(table, node, name, family),
            ttl_min=table.ttl_min,
            auth=self._auth[name],
            group=table.group,
            virtual_mac=table.virtual_mac,
            lease=_lease(table),
            garp=_garp(table.garp),
            track=tuple(_track(one) for one in table.track),
            witness=table.witness,
        )
        return Instance(path, table, config, node, priority_path, address_path)

    def _peers(self, table: VrrpTable, node: str, name: str, family: Family) -> tuple[Address, ...]:
        if table.peers is not None:
            own, _ = self._nodes.address(node, name, family)
            return tuple(peer for peer in table.peers if peer != own)
        return self._nodes.peers(node, name, family, self._findings) if table.unicast else ()


def _lend(service: Draft, instances: dict[str, Instance]) -> None:
    """Have the instance of a service's address hold its local addresses, unless a partner does already."""
    holder = _holder(service.config.address, instances)
    if holder is None:
        return
    for local in service.local:
        there = _holder(local.address.ip, instances)
        if local.interface is None or (there is not None and there.moves_with(holder)):
            continue
        vip = VipConfig(local.address, local.interface)
        config = replace(holder.config, excluded=(*holder.config.excluded, vip))
        holder = replace(holder, config=config, lent={**holder.lent, local.address.ip: local.path})
        instances[config.name] = holder


def _holder(address: Address | None, instances: Mapping[str, Instance]) -> Instance | None:
    return next((one for one in instances.values() if address in one.config.held), None)


def overrides(written: Written, findings: Findings) -> None:
    """A node may speak only of instances that exist."""
    for node, entry in written.nodes.items():
        for instance in entry.vrrp:
            if instance not in written.names["vrrp"]:
                path = ("nodes", node, "vrrp", instance)
                hint = did_you_mean(instance, written.names["vrrp"]) or f"define [vrrp.{instance}]"
                findings.add(error(path, f"there is no VRRP instance {shown(instance)}", hint))


def _priority(
    table: VrrpTable, entry: NodeEntry, special: NodeVrrpTable, node: str, path: KeyPath
) -> tuple[int, KeyPath]:
    if special.priority is not None:
        return special.priority, ("nodes", node, "vrrp", str(path[-1]), "priority")
    if entry.priority is not None:
        return entry.priority, ("nodes", node, "priority")
    return PRIORITY if table.priority is None else table.priority, (*path, "priority")


def _vips(written: list[VipTable], interface: str) -> tuple[VipConfig, ...]:
    return tuple(VipConfig(vip.address, vip.interface or interface) for vip in written)


def _lease(table: VrrpTable) -> int | None:
    match table.lease:
        case "auto":
            return automatic_lease(table.interval)
        case int(seconds):
            return seconds
        case _:
            return None


def _auth(table: VrrpTable, path: KeyPath, findings: Findings) -> PasswordAuth | KeyAuth | None:
    match table.auth:
        case PasswordTable(password=password):
            return PasswordAuth(password)
        case KeysTable() as written:
            keys = _keys(written, (*path, "keys"), findings)
            active = _active(written, keys, path, findings)
            window = written.window if written.window is not None else max(3 * table.interval, 5.0)
            return KeyAuth(keys, active, written.mode, window)
        case _:
            return None


def _keys(written: KeysTable, path: KeyPath, findings: Findings) -> Mapping[int, bytes]:
    keys = {}
    for name, text in written.keys.items():
        if not (name.isascii() and name.isdigit() and len(name) <= 3 and int(name) <= 255):
            findings.add(error((*path, name), "is not a key id", "ids are numbers from 0 to 255"))
            continue
        if int(name) in keys:
            findings.add(error((*path, name), f"is key {int(name)} once more", "keep one of the two"))
        keys[int(name)], problems = key(text, (*path, name))
        findings.extend(problems)
    return keys


def _active(written: KeysTable, keys: Mapping[int, bytes], path: KeyPath, findings: Findings) -> int:
    ids = ", ".join(map(str, sorted(keys)))
    if written.active is None and len(written.keys) > 1:
        findings.add(error((*path, "active"), "is missing", f"it says which of the keys {ids} signs"))
    elif not written.keys:
        findings.add(error((*path, "keys"), "holds no key", 'write keys = { 1 = "hex:..." }'))
    elif written.active is not None and str(written.active) not in written.keys:
        findings.add(error((*path, "active"), f"there is no key {written.active}", f"there are {ids}"))
    return min(keys, default=0) if written.active is None else written.active


def _garp(table: tables.GarpTable) -> GarpConfig:
    return GarpConfig(table.repeat, table.delay, table.refresh, table.interval)


def _track(table: tables.Track) -> Track:
    match table:
        case tables.InterfaceTrack():
            return TrackInterface(table.interface, table.weight)
        case tables.ScriptTrack():
            return TrackScript(
                script=tuple(table.script),
                interval=table.interval,
                timeout=table.timeout,
                rise=table.rise,
                fall=table.fall,
                user=table.user,
                weight=table.weight,
            )
        case tables.FileTrack():
            return TrackFile(Path(table.file), table.weight)
        case tables.ProcessTrack():
            return TrackProcess(table.process, table.weight)
        case tables.GatewayTrack():
            return TrackGateway(
                table.gateway, table.weight, table.interval, table.timeout, table.rise, table.fall
            )
        case tables.ServiceTrack():
            return TrackService(table.service, table.at_least, table.weight)
