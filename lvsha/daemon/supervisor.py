"""The director at work, from its first look to its last.

    adopt what is in the table, begin the checks, serve the API
    say `ready` once the first look is done; open the speaker's gate once every server is judged
    SIGHUP or the API: reload       SIGTERM: end, leaving IPVS as it is

A reload is all or nothing: a configuration with a problem changes nothing, and the old one stays
in force.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from lvsha.api import app, listen, views
from lvsha.config import ApiConfig, Config, ConfigError, load
from lvsha.daemon import arms, rules, serving, untouched
from lvsha.daemon.catch_up import CatchUp, counter
from lvsha.daemon.collisions import Collisions, elsewhere
from lvsha.daemon.control import Controller
from lvsha.daemon.differences import differences
from lvsha.daemon.director import Director
from lvsha.daemon.drains import Drains
from lvsha.daemon.heralds import Heralds
from lvsha.daemon.memory import Memory
from lvsha.daemon.monitor import Monitor
from lvsha.daemon.pair import Pair
from lvsha.daemon.peers import Peers
from lvsha.daemon.probes import Probes
from lvsha.daemon.reconciler import Reconciler
from lvsha.daemon.room import Room
from lvsha.daemon.settings import Settings
from lvsha.daemon.standby import Standby
from lvsha.daemon.table import Table
from lvsha.daemon.takeover import Takeover
from lvsha.daemon.tasks import brief, eternal
from lvsha.desired import source_nats, unaccepted
from lvsha.errors import KernelError, UnavailableError
from lvsha.log import Journal, emit, listening
from lvsha.model import Role, ServiceKey

BEAT = 0.5
"""Seconds between two words to the parent."""
FIRST_VERDICTS = 15.0
"""Seconds after which the gate opens although some servers are not judged yet."""
PEERS_WORDS = 2.0
"""Seconds from the start after which the gate opens although a peer has not been heard."""
SPEAKERS_END = 0.5
"""Seconds in which the end of a speaker that the parent has stopped before is noticed here."""
LAST_WORDS = 5.0
"""Seconds that programs which are told of changes have at the end."""
API_AGAIN = 5.0
"""Seconds before it is tried again to serve the API."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said."""

    config: Path
    node: str | None = None
    console: bool | None = None


class Voice:
    """The pipe to the parent. A parent that is gone needs no words."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def say(self, line: str) -> None:
        """One line; dropped when the pipe is full or closed."""
        try:
            os.write(self._pipe, f"{line}\n".encode())
        except OSError:
            return

    async def beat(self) -> None:
        """Say that the event loop turns, for ever."""
        while True:
            self.say("beat")
            await asyncio.sleep(BEAT)


async def _serve(address: str, served: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    """Serve for ever; where that cannot be done directing goes on, and it is tried again."""
    told = ""
    while True:
        try:
            async with served():
                told = ""
                await asyncio.get_running_loop().create_future()
        except UnavailableError as error:
            if str(error) != told:
                told = str(error)
                emit("api.unavailable", address=address, error=told)
            await asyncio.sleep(API_AGAIN)


class Supervisor:
    """Puts the parts together and runs them."""

    def __init__(self, options: Options, config: Config, voice: Voice) -> None:
        self._options = options
        self._voice = voice
        self._begun = time.monotonic()
        self._journal = Journal()
        self._stop = asyncio.Event()
        # Where the speaker is stays what it was at the start: a reload does not move it.
        self._runtime = config.state.runtime
        memory = Memory(config.state.directory)
        self._settings = Settings(memory)
        self._table = Table(
            self._needs_ipvs,
            self._needs_source_nat,
            self._set,
            left=lambda: self._director.owns,
            deaf=self._needs_drops,
        )
        self._director = Director(config, memory, look=self._look)
        self._reconciler = Reconciler(self._table, self._director, config.ipvs.look)
        probes = Probes(
            lambda: self._director.config,
            self._there,
            self._reconciler.looked,
            self._settings.accept_local,
        )
        self._monitor = Monitor(self._director.report, probe=probes.probe)
        source_nat = self._table.source_nat
        self._takeover = Takeover(lambda: self._director.config, lambda: source_nat.share)
        self._room = Room(
            lambda: self._director.config,
            lambda: source_nat.share,
            collisions=lambda: (self._collisions.seen, len(self._collisions.known)),
        )
        self._heralds = Heralds(config)
        self._pair = Pair(config, self._director.in_service, self._takeover.began, self._heralds.moved)
        self._drains = Drains(self._director, self._reconciler)
        count = counter(lambda: self._director.config, self._reconciler.see)
        self._peers = Peers(
            self._director,
            lambda: self._catch_up.told(),  # noqa: PLW0108 - it is made below
            lambda: self._collisions.known,
        )
        self._collisions = Collisions(
            lambda: self._director.config,
            lambda: elsewhere(self._director.config, self._pair.roles),
            lambda: self._peers.collisions,
            self._peers.tell,
        )
        self._catch_up = CatchUp(
            lambda: self._director.config,
            count,
            self._peers,
            lambda: self._pair.role,
            untouched.reader(self._reconciler.see),
        )
        self._control = Controller(
            self._director,
            self._reconciler,
            self._table,
            self._pair,
            self._journal,
            self.reload,
            self._peers,
            self._room.view,
            lambda: self._settings.changed,
            Standby(lambda: self._director.config, count, self._peers),
        )
        self._reloading = asyncio.Lock()
        self._opened = asyncio.Event()
        """The speaker's gate has been opened for the first time."""

    async def run(self) -> None:
        """Serve until SIGTERM; raises an ExceptionGroup when a part fails."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._stop.set)
        with listening(self._journal.append):
            config = self._director.config
            emit(
                "config.loaded",
                file=self._options.config,
                generation=self._director.generation,
                services=len(config.services),
                servers=sum(len(s.servers) for s in config.services.values()),
            )
            async with asyncio.TaskGroup() as group:
                self._start(group)
                await self._stop.wait()
                emit("daemon.stopping", why="told to stop")
                await self._say_goodbye()
                for task in self._tasks:
                    task.cancel()
            self._table.close()
        emit("daemon.stopped", seconds=round(time.monotonic() - self._begun, 1))

    def _start(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        config = self._director.config
        self._want_speaker(config)
        bodies = {
            "beat": self._voice.beat(),
            "reconciler": self._reconcile(),
            "standings": self._director.run(),
            "monitor": self._monitor.run(self._director.targets),
            "overrides": self._expire(),
            "drains": self._drains.run(),
            "settings": self._keep_settings(),
            "rules": rules.watch(self._reconciler.look),
            "pair": self._pair.run(),
            "heralds": self._heralds.run(),
            "come back": self._come_back(),
            "takeover": self._takeover.run(),
            "room": self._room.run(),
            "collisions": self._collisions.run(),
            "peers": self._peers.run(),
            "api": self._serve_api(config.api),
            "metrics": self._serve_metrics(config.api),
        }
        self._tasks = [eternal(group, name, body) for name, body in bodies.items()]
        self._tasks.append(brief(group, "greet", self._greet()))
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn_reload(group))
        # The parent has had it wait: before this it would have ended the process.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    async def _say_goodbye(self) -> None:
        """The parent has stopped the speaker first: that this node has let go is told as well."""
        if not (self._director.config.notify and self._director.config.vrrp):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SPEAKERS_END):
                await self._pair.parted()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._heralds.idle()

    async def _serve_api(self, api: ApiConfig) -> None:
        await _serve(str(api.socket), lambda: listen.serve(app.build(self._control), api.socket, api.group))

    async def _serve_metrics(self, api: ApiConfig) -> None:
        if api.metrics is None:
            await asyncio.get_running_loop().create_future()
            return
        address, port = str(api.metrics[0]), api.metrics[1]
        await _serve(
            f"{address} port {port}",
            lambda: listen.serve_tcp(app.build_metrics(self._control), address, port),
        )

    async def _reconcile(self) -> None:
        if self._director.config.ipvs.directors_serve:
            with contextlib.suppress(KernelError):
                await self._reconciler.see()  # loads the module, and writes nothing
                await serving.settled(lambda: self._pair.role is Role.MASTER)
        await self._reconciler.run()

    async def _greet(self) -> None:
        """Tell the parent, and then the speaker, when the director is of use."""
        with contextlib.suppress(KernelError):
            await self._reconciler.looked()  # what went wrong is told, and tried again, by the reconciler
        # Again, for a director whose kernel has no IPVS, or needs none.
        self._set()
        self._voice.say("ready")
        why = "every server is judged"
        try:
            async with asyncio.timeout(FIRST_VERDICTS):
                await self._director.all_judged()
        except TimeoutError:
            why = f"{FIRST_VERDICTS:g} s have passed"
        await self._heard()
        await self._programmed()
        await self._pair.open_gate(preempt=not self._catch_up.due)
        self._opened.set()
        emit("daemon.ready", seconds=round(time.monotonic() - self._begun, 3), why=why)
        # What is loaded by now stays: the collector need not walk over it again.
        gc.collect()
        gc.freeze()

    async def _come_back(self) -> None:
        """After the start and after every fault, let this node pre-empt once it knows the connections.

        A fault (a cable, a switch) may have cut it off from them. While it lasts there is nothing to wait
        for, and when it is over it must be forbidden already.
        """
        await self._opened.wait()
        while True:
            if not self._catch_up.due:
                await self._pair.open_gate()
            elif not self._pair.cut_off:
                await self._catch_up.run()
                await self._pair.open_gate()
            await self._pair.fault()
            if self._catch_up.due:
                await self._pair.open_gate(preempt=False)

    async def _programmed(self) -> None:
        """Return after a look that the kernel answered: before that this node must not be master."""
        while True:
            with contextlib.suppress(KernelError):
                await self._reconciler.looked()
                return
            await asyncio.sleep(BEAT)

    async def _heard(self) -> None:
        """What was said to the peer while this node was away must hold before this node is master."""
        left = self._begun + PEERS_WORDS - time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                await self._peers.heard()

    async def _expire(self) -> None:
        while True:
            due = self._director.expire()
            wait = 60.0 if due is None else max(0.0, min(60.0, due - time.time()))
            try:
                async with asyncio.timeout(wait):
                    await self._director.overrides_changed()
            except TimeoutError:
                continue

    def _spawn_reload(self, group: asyncio.TaskGroup) -> None:
        if not self._stop.is_set():
            left = [task for task in self._tasks if not task.done()]
            self._tasks = [*left, brief(group, "reload", self._reload_quietly())]

    async def _reload_quietly(self) -> None:
        await self.reload("SIGHUP")

    async def reload(self, by: str) -> views.ReloadView:
        """Read the configuration again and put it in force, or say what is wrong with it."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(load, self._options.config, self._options.node)
            except ConfigError as error:
                problems = tuple(str(p) for p in error.problems)
                emit("reload.refused", file=self._options.config, problems=list(problems), by=by)
                return views.ReloadView(self._director.generation, problems=problems)
            changed = await asyncio.to_thread(differences, self._director.config, config)
            await self._put_in_force(config)
            generation = self._director.generation
            emit("reload.done", file=self._options.config, generation=generation, changed=changed, by=by)
            return views.ReloadView(generation, tuple(changed))

    async def _put_in_force(self, config: Config) -> None:
        await self._see_arms(config)
        self._settings.apply(config)
        await self._director.reconfigure(config)
        self._reconciler.period = config.ipvs.look
        with contextlib.suppress(KernelError):
            await self._reconciler.looked()
        self._monitor.follow(self._director.targets)
        if config.vrrp:
            self._want_speaker(config)
        self._heralds.reconfigure(config)
        await self._pair.reconfigure(config)
        if not config.vrrp:
            # Not before it has let go of every instance: its end would be a loss.
            self._want_speaker(config)
        await self._peers.reconfigure()
        gc.freeze()

    def _want_speaker(self, config: Config) -> None:
        self._voice.say(f"speaker {self._runtime}" if config.vrrp else "no speaker")

    def _needs_ipvs(self) -> bool:
        config = self._director.config
        return bool(config.services or config.sync or config.ipvs.unknown_services == "remove")

    def _needs_source_nat(self) -> bool:
        return bool(source_nats(self._director.config))

    def _needs_drops(self) -> bool:
        return bool(unaccepted(self._director.config))

    def _set(self) -> None:
        self._settings.apply(self._director.config)

    async def _keep_settings(self) -> None:
        await self._see_arms(self._director.config)
        with contextlib.suppress(KernelError):
            await self._reconciler.looked()  # the settings of IPVS are there
        while True:
            self._set()
            await asyncio.sleep(self._director.config.ipvs.look)
            await self._see_arms(self._director.config)

    async def _see_arms(self, config: Config) -> None:
        """What cannot be seen now is most likely as it was."""
        with contextlib.suppress(KernelError):
            self._settings.arms = await arms.see(config)

    def _there(self, key: ServiceKey) -> bool:
        return key in self._reconciler.observed.services

    def _look(self, keys: Iterable[ServiceKey] | None = None) -> None:
        self._reconciler.look(keys)
