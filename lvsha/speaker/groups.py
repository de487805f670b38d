"""Which instances make one group, and which can be on one node together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lvsha.errors import InputError
from lvsha.speaker.spec import InstanceSpec
from lvsha.speaker.virtual_mac import name_of


def grouped(specs: Sequence[InstanceSpec]) -> dict[str, list[InstanceSpec]]:
    """Instances by the group that they belong to; a lone one is a group of its own."""
    groups: dict[str, list[InstanceSpec]] = {}
    for spec in specs:
        key = f"instance {spec.name}" if spec.group is None else f"group {spec.group}"
        groups.setdefault(key, []).append(spec)
    return groups


def check(specs: Sequence[InstanceSpec]) -> None:
    """Raise InputError where two instances cannot be on one node."""
    names = Counter(spec.name for spec in specs)
    routers = Counter((spec.interface, spec.family, spec.vrid) for spec in specs)
    for name, count in names.items():
        if count > 1:
            raise InputError(f"instances: {count} are called {name}")
    virtual_macs = Counter(name_of(spec) for spec in specs if spec.virtual_mac)
    for name, count in virtual_macs.items():
        if count > 1:
            raise InputError(f"instances: {count} would have the virtual MAC interface {name}")
    for (interface, family, vrid), count in routers.items():
        if count > 1:
            raise InputError(f"instances: {count} have router {vrid} on {interface} (IPv{family})")


def moved_between(now: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[InstanceSpec]]) -> set[str]:
    """Groups that an instance leaves for another, or enters from one: both begin anew.

    `now`: group -> names of its instances.
    """
    home = {name: key for key, names in now.items() for name in names}
    return {
        end
        for key, specs in wanted.items()
        for spec in specs
        if home.get(spec.name, key) != key
        for end in (key, home[spec.name])
    }
