"""Every program of `[notify]`, as the configuration has them.

A program that is new, by a start or a reload, is told how its subjects stand: it may have been written
since, or the machine have booted. One that stays as it is hears nothing of a reload that changes no role.
"""

from __future__ import annotations

import asyncio

from lvsha import program
from lvsha.config import Config, NotifyConfig
from lvsha.daemon.heralds.change import Change
from lvsha.daemon.heralds.herald import Herald, Run, subjects
from lvsha.daemon.heralds.standing import Standings
from lvsha.speaker.messages import RoleChange


class Heralds:
    """Passes changes on to the programs that they concern."""

    def __init__(self, config: Config, run: Run = program.run) -> None:
        self._config = config
        self._run = run
        self._standings = Standings()
        self._standings.reconfigure(config.node.name, config.vrrp)
        self._heralds: dict[str, Herald] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Run the programs, for ever; whoever ends this ends those that run."""
        async with asyncio.TaskGroup() as self._group:
            for notify in self._config.notify.values():
                self._engage(notify)
            await asyncio.get_running_loop().create_future()

    def reconfigure(self, config: Config) -> None:
        """Other programs, or other instances, from now on."""
        before, self._config = self._config.notify, config
        changes = self._standings.reconfigure(config.node.name, config.vrrp)
        for name in (before.keys() - config.notify.keys()) & self._heralds.keys():
            self._heralds[name].dismiss()
        for name, notify in config.notify.items():
            if before.get(name) != notify:
                self._engage(notify)
            else:
                self._tell(notify, changes)

    def moved(self, role: RoleChange) -> None:
        """An instance stands somewhere else now."""
        changes = self._standings.moved(role)
        for notify in self._config.notify.values():
            self._tell(notify, changes)

    async def idle(self) -> None:
        """Return once every program has been told everything."""
        await asyncio.gather(*(herald.idle() for herald in self._heralds.values()))

    def _engage(self, notify: NotifyConfig) -> None:
        """Have a program that is new, or another than before, and tell it how everybody stands."""
        if self._group is None:
            return  # `run` does
        herald = self._heralds.get(notify.name)
        if herald is None or herald.ended:
            herald = self._heralds[notify.name] = Herald(notify, self._run)
            self._group.create_task(herald.run(), name=f"notify {notify.name}")
        else:
            herald.engage(notify)
        for change in self._standings.now(subjects(notify, self._config.node.name)):
            herald.tell(change)

    def _tell(self, notify: NotifyConfig, changes: list[Change]) -> None:
        herald, concerned = self._heralds.get(notify.name), subjects(notify, self._config.node.name)
        for change in changes:
            if herald is not None and change.subject in concerned:
                herald.tell(change)
