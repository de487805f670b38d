"""Rules of VRRP instances on one node: what the protocol, a packet and the election allow."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from lvsha.config.problems import Finding, KeyPath, error, spell, warning
from lvsha.config.resolve.vrrp import Instance
from lvsha.config.schema.values import shown, spoken
from lvsha.config.settings.vrrp import (
    OWNER,
    Interface,
    KeyAuth,
    PasswordAuth,
    Track,
    TrackFile,
    TrackGateway,
    TrackInterface,
    TrackProcess,
    TrackScript,
    TrackService,
)
from lvsha.model import Address, Family, family_of

COUNT = 255
"""The packet's count of addresses is one byte."""

_ETHERNET = 1500
_TRAILER = 28


def judge(instance: Instance) -> Iterator[Finding]:
    """Everything that is wrong with one instance."""
    yield from _addresses(instance)
    yield from _room(instance)
    yield from _version(instance)
    yield from _auth(instance)
    yield from _owner(instance)
    yield from _preempt(instance)
    yield from _carrier(instance)
    yield from _unicast(instance)
    yield from _lease(instance)
    yield from _track(instance)


def together(instances: Iterable[Instance]) -> Iterator[Finding]:
    """What is wrong between the instances of one node."""
    every = list(instances)
    yield from _router_ids(every)
    yield from _virtual_macs(every)
    yield from _addresses_once(every)
    yield from _groups(every)
    yield from _cables(every)


def _addresses(instance: Instance) -> Iterator[Finding]:
    for index, vip in enumerate(instance.config.addresses):
        if family_of(vip.address.ip) is not instance.config.family:
            message = (
                f"{vip.address.ip} is of another family than the first address; a packet carries one family"
            )
            yield error(
                (*instance.path, "addresses", index),
                message,
                "put it under excluded, or into an instance of its own",
            )
    for path, vip in instance.vips():
        if message := _unfit(vip.address):
            yield error(path, f"{vip.address.ip} {message}", "use an address that a host may have")


def _unfit(interface: Interface) -> str:
    """Why an address cannot be held; empty if it can."""
    address, network = interface.ip, interface.network
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        return "is no address of a network's host"
    if address.version == 4 and network.prefixlen < 31:
        if address == network.network_address:
            return f"is the address of the network {network} itself"
        if address == network.broadcast_address:
            return f"is the broadcast address of {network}"
    return ""


def room(family: Family, *, version: int, keys: bool) -> int:
    """How many addresses fit a packet on Ethernet: no advert is ever fragmented."""
    header, size = (20, 4) if family is Family.IPV4 else (40, 16)
    tail = (8 if version == 2 else 0) + (_TRAILER if keys else 0)
    return min(COUNT, (_ETHERNET - header - 8 - tail) // size)


def _room(instance: Instance) -> Iterator[Finding]:
    config = instance.config
    most = room(config.family, version=config.version, keys=isinstance(config.auth, KeyAuth))
    if len(config.addresses) > most:
        message = f"holds {len(config.addresses)} addresses, and an advert has room for {most}"
        yield error(
            (*instance.path, "addresses"), message, "move the rest to excluded; they fail over all the same"
        )


def _version(instance: Instance) -> Iterator[Finding]:
    config, path = instance.config, instance.path
    if config.version == 2:
        if config.family is Family.IPV6:
            yield error((*path, "version"), "2 knows no IPv6 (RFC 3768)", "use version = 3")
        if config.interval != int(config.interval):
            message = f"is {spoken(config.interval)}, but version 2 counts whole seconds"
            yield error((*path, "interval"), message, "use version = 3, or whole seconds")
    elif config.interval > 40.95:
        message = (
            f"is {spoken(config.interval)}; version 3 has 12 bits for hundredths of a second: 40.95s at most"
        )
        yield error((*path, "interval"), message, "make it shorter")
    elif not math.isclose(config.interval * 100, round(config.interval * 100), abs_tol=1e-6):
        message = f"is {spoken(config.interval)}, but version 3 counts hundredths of a second"
        yield error((*path, "interval"), message, "use steps of 10ms")
    if instance.written.checksum is not None and (config.version == 2 or config.family is Family.IPV6):
        what = "version 2" if config.version == 2 else "IPv6"
        message = f"is a choice of version 3 over IPv4; {what} has one checksum only"
        yield error((*path, "checksum"), message, "leave it out")


def _auth(instance: Instance) -> Iterator[Finding]:
    config, path = instance.config, (*instance.path, "auth")
    match config.auth:
        case PasswordAuth(password=password):
            if config.version == 3:
                message = "version 3 has no passwords (RFC 9568)"
                yield error((*path, "password"), message, "use auth = { keys = ... }")
            elif len(password.encode()) > 8:
                message = "is longer than the 8 bytes that version 2 sends"
                yield error((*path, "password"), message, "shorten it on every node")
            elif config.version == 2:
                message = "is sent in clear text and proves nothing to anybody who listens"
                yield warning((*path, "password"), message, "use version = 3 with keys where every node can")
        case KeyAuth() if config.version == 2:
            message = "the signed trailer goes with version 3 here"
            yield error((*path, "keys"), message, "use version = 3, or a password")
        case KeyAuth(mode=mode) if mode != "enforce":
            message = f"{mode}: unsigned adverts are still taken"
            yield warning((*path, "mode"), message, "use enforce once every node signs")
        case _:
            return


def _owner(instance: Instance) -> Iterator[Finding]:
    config, path = instance.config, instance.path
    if config.priority != OWNER:
        return
    why = "priority 255 owns the addresses"
    if not config.preempt:
        yield error((*path, "preempt"), f"{why}, and an owner always preempts (RFC 9568, 6.1)", _below())
    for key in ("preempt_delay", "start_delay"):
        if getattr(config, key):
            yield error((*path, key), f"{why}, and an owner is master at once (RFC 9568, 6.4.1)", _below())
    for index, track in enumerate(config.track):
        if track.weight:
            message = f"{why}, and an owner's priority never changes"
            yield error((*path, "track", index, "weight"), message, _below())


def _below() -> str:
    return "use a priority of 254 or less"


def _preempt(instance: Instance) -> Iterator[Finding]:
    config = instance.config
    if config.preempt_delay and not config.preempt and config.priority != OWNER:
        message = "is of no use with preempt = false: this node never takes over from a living master"
        yield error((*instance.path, "preempt_delay"), message, "leave one of the two out")


def _carrier(instance: Instance) -> Iterator[Finding]:
    """Of an instance that does without one: what is left to tell a master that has no way to its clients?"""
    config, path = instance.config, instance.path
    if config.needs_carrier:
        return
    tracked = {track.interface for track in config.track if isinstance(track, TrackInterface)}
    for name in dict.fromkeys(vip.interface for _, vip in instance.vips()):
        if name not in tracked:
            message = (
                f"nothing else follows {name}, which the addresses are on: a node without it stays master"
            )
            yield warning((*path, "needs_carrier"), message, f'add {{ interface = "{name}" }} to track')


def _unicast(instance: Instance) -> Iterator[Finding]:
    config, path = instance.config, instance.path
    if not config.unicast:
        if instance.written.peers is not None:
            yield error((*path, "peers"), "are of no use without unicast", "add unicast = true")
        if config.ttl_min != 255:
            message = "multicast adverts must come from the same link: TTL 255 (RFC 9568, 5.1.1.3)"
            yield error((*path, "ttl_min"), message, "leave it out, or add unicast = true")
        return
    if not config.peers:
        hint = 'write peers = ["..."], or the address of the other [nodes]'
        yield error((*path, "unicast"), f"there is no peer to send to from node {instance.node}", hint)
    if config.address is None and instance.written.peers is None:
        return  # the node without an address has been told of already
    seen: set[Address] = set()
    for index, peer in enumerate(instance.written.peers or ()):
        yield from _peer(peer, (*path, "peers", index), instance, seen)
        seen.add(peer)


def _peer(peer: Address, path: KeyPath, instance: Instance, seen: set[Address]) -> Iterator[Finding]:
    config = instance.config
    if family_of(peer) is not config.family:
        yield error(path, f"{peer} is of another family than the addresses", "use a peer of the same family")
    if peer.is_multicast or peer.is_unspecified or any(peer == vip.address.ip for _, vip in instance.vips()):
        yield error(path, f"{peer} is no other node's own address", "use the fixed address of the peer")
    if peer in seen:
        yield error(path, f"{peer} is named twice", "keep one of the two")


def _lease(instance: Instance) -> Iterator[Finding]:
    if instance.config.lease is None:
        message = "a director that dies or hangs keeps its addresses for ever, beside the new master"
        yield warning((*instance.path, "lease"), message, 'use "auto" unless something else fences it')


def lease(instances: list[Instance]) -> Iterator[Finding]:
    """On all nodes: an address is not let go before the last of the backups would take it."""
    down = max(instance.config.master_down for instance in instances)
    held = instances[0].config.lease
    if held is not None and held < down:
        message = (
            f"{spoken(held)} is shorter than the {down:.2f} s after which a backup takes over: for a while "
            "nobody would hold the addresses"
        )
        yield error((*instances[0].path, "lease"), message, f'use {math.ceil(down)}s or more, or "auto"')


def _track(instance: Instance) -> Iterator[Finding]:
    seen: dict[tuple[type[Track], object], int] = {}
    for index, track in enumerate(instance.config.track):
        path = (*instance.path, "track", index)
        thing = (type(track), _tracked(track))
        if thing in seen:
            yield error(path, f"tracks the same as track[{seen[thing]}]", "keep one of the two")
        seen.setdefault(thing, index)
        match track:
            case TrackScript(script=command) if not command[0].startswith("/"):
                message = f"{shown(command[0])} is not an absolute path"
                yield error((*path, "script", 0), message, "name the program by its whole path")
            case TrackScript() | TrackGateway() if track.timeout > track.interval:
                message = f"is longer than the interval of {spoken(track.interval)}"
                yield warning((*path, "timeout"), message, "make it as short as the interval")
            case TrackFile(weight=0):
                message = "any number but 0 in the file will be a FAULT"
                yield warning((*path, "weight"), message, "give a weight to add the number to the priority")
            case _:
                pass


def _tracked(track: Track) -> object:
    """What it follows, apart from how and what for."""
    match track:
        case TrackInterface(thing) | TrackScript(thing) | TrackFile(thing) | TrackProcess(thing):
            return thing
        case TrackGateway(thing) | TrackService(thing):
            return thing


def _router_ids(instances: list[Instance]) -> Iterator[Finding]:
    first: dict[tuple[str, Family, int], KeyPath] = {}
    for instance in instances:
        config = instance.config
        key = (config.interface, config.family, config.vrid)
        if key in first:
            kind = "IPv6" if config.family is Family.IPV6 else "IPv4"
            message = f"{config.vrid} is taken on {config.interface} for {kind} by {spell(first[key])}"
            yield error((*instance.path, "vrid"), message, "give each instance of a link its own")
        first.setdefault(key, instance.path)


def _virtual_macs(instances: list[Instance]) -> Iterator[Finding]:
    first: dict[tuple[Family, int], Instance] = {}
    for instance in instances:
        config = instance.config
        if not config.virtual_mac:
            continue
        one = first.setdefault((config.family, config.vrid), instance)
        # On one interface that is told already.
        if one.config.interface != config.interface:
            message = (
                f"{config.vrid} makes the virtual MAC, and {spell(one.path)} has that one on "
                f"{one.config.interface}"
            )
            yield error((*instance.path, "vrid"), message, "give each instance with a virtual MAC its own")


def _addresses_once(instances: list[Instance]) -> Iterator[Finding]:
    first: dict[tuple[Address, str], KeyPath] = {}
    for instance in instances:
        for path, vip in instance.vips():
            address = vip.address.ip
            key = (address, vip.interface if address.is_link_local else "")
            if key in first:
                message = f"{address} is held by {spell(first[key])} already"
                yield error(path, message, "an address moves with one instance")
            first.setdefault(key, path)


def _cables(instances: list[Instance]) -> Iterator[Finding]:
    """Who hears by a cable alone takes its end for the other node's; a group hears by its other links too."""
    for instance in instances:
        config = instance.config
        others = [one.config for one in instances if one is not instance and one.moves_with(instance)]
        if config.needs_carrier or any(o.needs_carrier and o.interface != config.interface for o in others):
            continue
        message = f"with {config.interface} cut both nodes are master, and neither hears of the other"
        hint = "give it a group with an instance on a network that both nodes are in"
        yield warning((*instance.path, "needs_carrier"), message, hint)


def _groups(instances: list[Instance]) -> Iterator[Finding]:
    groups: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        if instance.config.group is not None:
            groups[instance.config.group].append(instance)
    for name, members in groups.items():
        path: KeyPath = (*members[0].path, "group")
        if len(members) == 1:
            message = f"the group {shown(name)} has no other instance"
            yield warning(path, message, "give the others the same group, or leave it out")
        yield from _disagreement(name, members)


def _disagreement(name: str, members: list[Instance]) -> Iterator[Finding]:
    """Members that would be elected differently pull the group to and fro."""
    one = members[0]
    for other in members[1:]:
        if (one.config.priority == OWNER) != (other.config.priority == OWNER):
            message = (
                f"the group {shown(name)} has owners (priority 255) and others: an owner cannot wait for them"
            )
            yield error((*other.path, "group"), message, "let all of them be owners, or none")
        elif one.config.preempt != other.config.preempt:
            message = f"preempt differs within the group {shown(name)}, and the group can only do one of both"
            yield error((*other.path, "preempt"), message, "make it the same in all of them")
        elif one.config.priority != other.config.priority:
            message = (
                f"has priority {other.config.priority} and {spell(one.path)} has {one.config.priority}, "
                f"in one group {shown(name)}: they may be won by different nodes"
            )
            yield warning(other.priority_path, message, "give all of a group one priority on a node")
