"""Rules of programs that are told of changes: there is one to run, and there is somebody to tell of."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lvsha.config.problems import Finding, KeyPath, did_you_mean, error, warning
from lvsha.config.resolve import Resolved
from lvsha.config.schema.values import shown
from lvsha.config.settings.notify import NotifyConfig


def judge(resolved: Resolved) -> Iterator[Finding]:
    """Everything that is wrong with `[notify]`."""
    instances = resolved.written.names["vrrp"]
    groups = {table.group for table in resolved.written.vrrp.values() if table.group is not None}
    for name, notify in resolved.config.notify.items():
        path: KeyPath = ("notify", name)
        yield from _commands(notify, path)
        if not instances:
            message = "is never run: there is no VRRP instance whose role could change"
            yield warning(path, message, "define [vrrp.NAME], or leave it out")
            continue
        yield from _known(notify.instances, (*path, "instances"), instances, "VRRP instance")
        # An instance that could not be read may have been of any group.
        if len(resolved.written.vrrp) == len(instances):
            yield from _known(notify.groups, (*path, "groups"), groups, "group")


def _commands(notify: NotifyConfig, path: KeyPath) -> Iterator[Finding]:
    commands = list(notify.commands())
    if not commands:
        hint = 'write command = ["/path/of/program"], or one for a state: master, backup, fault, stop'
        yield error(path, "names no program to run", hint)
    for key, command in commands:
        if not command[0].startswith("/"):
            message = f"{shown(command[0])} is not an absolute path"
            yield error((*path, key, 0), message, "name the program by its whole path")


def _known(names: Collection[str], path: KeyPath, known: Collection[str], what: str) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if name not in known:
            hint = did_you_mean(name, known) or (f"there are {', '.join(sorted(known))}" if known else "")
            yield error((*path, index), f"there is no {what} {shown(name)}", hint)
