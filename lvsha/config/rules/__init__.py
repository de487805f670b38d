"""What values mean together: mixes that cannot work, or cannot be meant.

A rule is a generator of findings over a part of the configuration that has been read and looked
up. Its message says why the mix is wrong and its hint what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.config.problems import Finding
from lvsha.config.resolve import Resolved
from lvsha.config.rules import (
    fullnat,
    machine,
    notify,
    outsiders,
    pair,
    passages,
    servers,
    services,
    serving,
    vrrp,
)


def judge(resolved: Resolved) -> Iterator[Finding]:
    """Every finding of every rule."""
    for draft in resolved.services.values():
        yield from services.judge(draft)
        yield from servers.judge(draft)
        yield from fullnat.judge(draft)
        yield from passages.judge(draft)
    yield from services.keys(resolved.services.values())
    for instances in resolved.instances.values():
        for instance in instances.values():
            yield from vrrp.judge(instance)
        yield from vrrp.together(instances.values())
    yield from passages.marks(resolved)
    yield from machine.judge(resolved)
    yield from pair.judge(resolved)
    yield from outsiders.judge(resolved)
    yield from fullnat.together(resolved)
    yield from serving.judge(resolved)
    yield from notify.judge(resolved)
