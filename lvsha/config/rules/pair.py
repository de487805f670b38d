"""Rules between nodes, VRRP and services: does what must move together move together?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lvsha.config.problems import Finding, KeyPath, did_you_mean, error, spell, warning
from lvsha.config.resolve import Resolved
from lvsha.config.resolve.services import Draft
from lvsha.config.resolve.vrrp import Instance
from lvsha.config.rules.vrrp import lease
from lvsha.config.schema.values import shown
from lvsha.config.settings.vrrp import OWNER, TrackFile, TrackService
from lvsha.model import Address, Mode, family_of


def judge(resolved: Resolved) -> Iterator[Finding]:
    """Everything that does not fit between the parts."""
    yield from _node_addresses(resolved)
    yield from _peer(resolved)
    yield from _elections(resolved)
    yield from _tracked(resolved)
    for instances in resolved.instances.values():
        holders = {
            vip.address.ip: instance
            for instance in instances.values()
            for vip in instance.config.addresses + instance.config.excluded
        }
        for draft in resolved.services.values():
            if instances:
                yield from _held(draft, holders)
                yield from _gateway(draft, holders)


def _node_addresses(resolved: Resolved) -> Iterator[Finding]:
    first: dict[Address, str] = {}
    for name, node in resolved.config.nodes.items():
        if node.address is None:
            continue
        if node.address in first:
            message = f"{node.address} is the address of node {first[node.address]} too"
            yield error(("nodes", name, "address"), message, "give each node its own")
        first.setdefault(node.address, name)


def _peer(resolved: Resolved) -> Iterator[Finding]:
    """What an operator says should hold on both directors; a connection is of one family."""
    config, peer = resolved.config, resolved.config.peer
    if "peer" not in resolved.written.single and len(config.nodes) > 1 and config.services:
        message = "there is no [peer]: a drain said to one director is not in force on the other"
        yield warning(("nodes",), message, 'add [peer] with key = "file:/etc/lvsha/peer.key"')
    if peer is None:
        return
    family = family_of(peer.address)
    for name, address in peer.nodes.items():
        if family_of(address) is not family:
            message = f"{address} is of another family than {peer.address}, and [peer] connects the two"
            yield error(("nodes", name, "address"), message, "give the nodes addresses of one family")
    if family_of(peer.listen) is not family:
        message = f"{peer.listen} is of another family than the node's address {peer.address}"
        yield error(("peer", "listen"), message, "leave it out")


def _elections(resolved: Resolved) -> Iterator[Finding]:
    """By instance: no two owners, no tie that only addresses would decide, no lease that ends too soon."""
    by_name: dict[str, list[Instance]] = defaultdict(list)
    for instances in resolved.instances.values():
        for name, instance in instances.items():
            by_name[name].append(instance)
    for instances_of_one in by_name.values():
        yield from lease(instances_of_one)
        first: dict[int, Instance] = {}
        for instance in instances_of_one:
            priority = instance.config.priority
            if priority in first:
                yield _tie(first[priority], instance)
            first.setdefault(priority, instance)
        yield from _immovable(instances_of_one)


def _immovable(instances: list[Instance]) -> Iterator[Finding]:
    """Trackers by weight that all of them together do not move the instance: a common slip."""
    best = max(instances, key=lambda i: i.config.priority)
    others = [i for i in instances if i is not best]
    weights = [t.weight for t in best.config.track]
    numbers = any(isinstance(t, TrackFile) for t in best.config.track)
    if not others or not weights or 0 in weights or numbers or best.config.priority == OWNER:
        return
    second = max(others, key=lambda i: i.config.priority)
    worst = max(1, best.config.priority + sum(weight for weight in weights if weight < 0))
    rival = min(OWNER - 1, second.config.priority + sum(weight for weight in weights if weight > 0))
    if worst >= rival:
        message = (
            f"when all of it fails node {best.node} still has priority {worst}, and node {second.node} has "
            f"{rival}: a master of equal priority stays, so nothing moves"
        )
        yield warning((*best.path, "track"), message, "make the weights larger, or the priorities closer")


def _tie(one: Instance, other: Instance) -> Finding:
    priority, name = other.config.priority, spell(other.path)
    both = f"nodes {one.node} and {other.node} both have priority {priority} in {name}"
    path: KeyPath = other.priority_path
    if priority == OWNER:
        return error(path, f"{both}: the addresses have one owner", "use 254 or less on one of them")
    return warning(path, f"{both}: the higher address decides", "give each node its own priority")


def _tracked(resolved: Resolved) -> Iterator[Finding]:
    known = resolved.written.names["services"]
    for instances in resolved.instances.values():
        for instance in instances.values():
            for index, track in enumerate(instance.config.track):
                if not isinstance(track, TrackService):
                    continue
                path = (*instance.path, "track", index)
                draft = resolved.services.get(track.service)
                if track.service not in known:
                    hint = did_you_mean(track.service, known) or f"define [services.{track.service}]"
                    yield error((*path, "service"), f"there is no service {shown(track.service)}", hint)
                elif draft is not None and draft.complete and track.at_least > len(draft.servers):
                    message = (
                        f"is {track.at_least}, but {track.service} has only {len(draft.servers)} servers"
                    )
                    yield error((*path, "at_least"), message, "lower it")


def _held(draft: Draft, holders: dict[Address, Instance]) -> Iterator[Finding]:
    address = draft.config.address
    if address is None:
        return
    instance = holders.get(address)
    if instance is None:
        message = f"{address} is held by no VRRP instance, so it does not move at a failover"
        yield warning((*draft.path, "address"), message, "add it to the addresses of an instance")
    elif not instance.config.accepts:
        message = (
            f"drops what is sent to {address} before IPVS sees it, so {spell(draft.path)} would get no packet"
        )
        yield error((*instance.path, "accept"), message, "use accept = true")


def _gateway(draft: Draft, holders: dict[Address, Instance]) -> Iterator[Finding]:
    """NAT: replies come back through the server's gateway, which must be where the address is."""
    instance = holders.get(draft.config.address) if draft.config.address is not None else None
    if instance is None:
        return
    for place in draft.servers:
        if place.config.mode is not Mode.NAT:
            continue
        moving = _gateways(place.config.address, instance, holders)
        if moving is None:
            message = (
                f"no VRRP instance holds an address in the network of {place.config.address}; the servers of "
                "mode nat need a gateway that moves with the service's address"
            )
            hint = "add one to the addresses of an instance, and let the servers' default route point to it"
            yield warning(draft.path, message, hint)
            return
        if not moving:
            message = (
                f"the gateway of {place.config.address} is held by an instance that may fail over without "
                f"{spell(instance.path)}"
            )
            yield warning(draft.path, message, "give both instances the same group")
            return


def _gateways(server: Address, instance: Instance, holders: dict[Address, Instance]) -> bool | None:
    """Whether an address in the server's network moves with the instance; None: there is none at all."""
    near = [
        holder
        for holder in holders.values()
        for vip in holder.config.addresses + holder.config.excluded
        if vip.address.network.num_addresses > 1 and server in vip.address.network
    ]
    if not near:
        return None
    group = instance.config.group
    return any(holder is instance or (group is not None and holder.config.group == group) for holder in near)
