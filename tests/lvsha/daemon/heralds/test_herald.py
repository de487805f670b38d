"""Tests of lvsha.daemon.heralds.herald: one program, told of one change after another."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from lvsha.config import NotifyConfig
from lvsha.daemon.heralds.change import Change, Kind, Subject
from lvsha.daemon.heralds.herald import Herald, commands, subjects
from lvsha.speaker.messages import State
from tests.lab.background import background
from tests.lab.hearing import Hearing

PUBLIC, SITE = Subject(Kind.INSTANCE, "public"), Subject(Kind.GROUP, "site")


def change(state: State, subject: Subject = PUBLIC, before: State | None = State.BACKUP) -> Change:
    """It stands so now."""
    return Change(subject=subject, state=state, before=before, priority=200, why="because", node="lb1")


def notify(script: Path, text: str, timeout: float = 10.0) -> NotifyConfig:
    """A program of root's with this text."""
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return NotifyConfig("it", command=(str(script),), user="root", timeout=timeout)


@asynccontextmanager
async def serving(config: NotifyConfig) -> AsyncIterator[Herald]:
    """A herald at work."""
    herald = Herald(config)
    async with background(herald.run()):
        yield herald


async def test_a_program_of_keepaliveds_can_be_used(tmp_path: Path, said: Hearing) -> None:
    """It finds TYPE NAME STATE PRIORITY behind its own arguments, and the rest in its environment."""
    config = notify(tmp_path / "it", f'echo "$@ $LVSHA_BEFORE $LVSHA_WHY" >>{tmp_path}/log')
    config = replace(config, command=(*config.command, "own"))
    async with serving(config) as herald:
        herald.tell(change(State.MASTER))
        event = await said.event("notify.done")
    assert (tmp_path / "log").read_text() == "own INSTANCE public MASTER 200 BACKUP because\n"
    assert (event["notify"], event["about"], event["state"]) == ("it", "instance public", "master")


async def test_the_latest_state_is_told_and_those_between_are_joined(tmp_path: Path, said: Hearing) -> None:
    """Four changes while it runs: one more run, with the last state, the true one before it and a count."""
    gate = tmp_path / "gate"
    text = (
        f'echo "$3 $LVSHA_BEFORE $LVSHA_JOINED" >>{tmp_path}/log\nwhile ! test -e {gate}; do sleep 0.01; done'
    )
    async with serving(notify(tmp_path / "it", text)) as herald:
        herald.tell(change(State.MASTER))
        await begun(tmp_path / "log")
        for state, before in (
            (State.BACKUP, State.MASTER),
            (State.MASTER, State.BACKUP),
            (State.FAULT, State.MASTER),
            (State.BACKUP, State.FAULT),
        ):
            herald.tell(change(state, before=before))
        gate.touch()
        await herald.idle()
    assert (tmp_path / "log").read_text().splitlines() == ["MASTER BACKUP 0", "BACKUP FAULT 3"]
    assert [e["joined"] for e in said.all("notify.done")] == [0, 3]


async def test_it_never_runs_twice_at_once(tmp_path: Path) -> None:
    """Changes of two subjects that come together are told one after the other."""
    text = f"mkdir {tmp_path}/busy || exit 1\nsleep 0.05\nrmdir {tmp_path}/busy\necho $2 >>{tmp_path}/log"
    async with serving(notify(tmp_path / "it", text)) as herald:
        herald.tell(change(State.MASTER))
        herald.tell(change(State.MASTER, SITE))
        await herald.idle()
    assert (tmp_path / "log").read_text().splitlines() == ["public", "site"]


async def test_one_that_hangs_is_killed_and_the_next_change_is_told(tmp_path: Path, said: Hearing) -> None:
    """After its time it is an event, and what came meanwhile follows."""
    text = f'test "$3" = MASTER && sleep 60\necho "$3" >>{tmp_path}/log'
    async with serving(notify(tmp_path / "it", text, timeout=0.3)) as herald:
        herald.tell(change(State.MASTER))
        herald.tell(change(State.MASTER, SITE))
        herald.tell(change(State.FAULT, SITE))
        await herald.idle()
    (failed,) = said.all("notify.failed")
    assert (failed["about"], failed["detail"]) == ("instance public", "did not end within 0.3 s")
    assert (tmp_path / "log").read_text() == "FAULT\n"


async def test_one_that_fails_is_an_event(said: Hearing) -> None:
    """Whatever is wrong with it is told, with its first words."""
    config = NotifyConfig("it", command=("/bin/sh", "-c", "echo no disk; exit 3"))
    async with serving(config) as herald:
        herald.tell(change(State.MASTER))
        failed = await said.event("notify.failed")
    assert (failed["detail"], failed["alert"]) == ("ended with 3: no disk", True)


async def test_another_program_takes_over_from_one_that_runs(tmp_path: Path) -> None:
    """What runs comes to its end; then the new one is run, and nothing of what waited for the old one."""
    gate = tmp_path / "gate"
    old = notify(
        tmp_path / "old",
        f"echo old >>{tmp_path}/log\nwhile ! test -e {gate}; do sleep 0.01; done\necho end >>{tmp_path}/log",
    )
    new = notify(tmp_path / "new", f"echo new $3 >>{tmp_path}/log")
    async with serving(old) as herald:
        herald.tell(change(State.MASTER))
        await begun(tmp_path / "log")
        herald.tell(change(State.FAULT, SITE))
        herald.engage(new)
        herald.tell(change(State.BACKUP))
        gate.touch()
        await herald.idle()
    assert (tmp_path / "log").read_text().splitlines() == ["old", "end", "new BACKUP"]


async def test_one_that_is_dismissed_ends(tmp_path: Path) -> None:
    """What runs comes to its end, what waits is not told, and it is over."""
    config = notify(tmp_path / "it", f"echo $3 >>{tmp_path}/log; sleep 0.1")
    herald = Herald(config)
    task = asyncio.create_task(herald.run())
    herald.tell(change(State.MASTER))
    await begun(tmp_path / "log")
    herald.tell(change(State.BACKUP))
    herald.dismiss()
    await task
    assert herald.ended
    assert (tmp_path / "log").read_text() == "MASTER\n"


async def test_one_that_the_directors_end_kills_is_an_event(said: Hearing) -> None:
    """Its time is over with the director's, and somebody may look for what it left undone."""
    async with serving(NotifyConfig("it", command=("/bin/sh", "-c", "sleep 60", "sh"))) as herald:
        herald.tell(change(State.INIT))
        await asyncio.sleep(0)
        assert said == []
    (failed,) = said
    assert (failed["event"], failed["detail"]) == ("notify.failed", "was killed, for the director ends")


async def test_both_commands_of_a_change_are_one_event(said: Hearing) -> None:
    """It is a failure if either was, and the other is run all the same."""
    config = NotifyConfig("it", master=("/bin/false",), command=("/bin/true",))
    async with serving(config) as herald:
        herald.tell(change(State.MASTER))
        herald.tell(change(State.BACKUP, SITE))
        await herald.idle()
    assert [(e["event"], e["detail"]) for e in said] == [
        ("notify.failed", "ended with 1"),
        ("notify.done", "ended with 0"),
    ]


def test_a_states_own_command_is_as_written_and_comes_first() -> None:
    """`command` is run for every state, with what happened; the other is for its state alone."""
    config = NotifyConfig("it", command=("/any",), master=("/m", "1"), stop=("/s",))
    assert list(commands(config, change(State.MASTER))) == [
        ("/m", "1"),
        ("/any", "INSTANCE", "public", "MASTER", "200"),
    ]
    assert next(iter(commands(config, change(State.INIT)))) == ("/s",)
    assert list(commands(replace(config, command=()), change(State.FAULT))) == []


def test_whose_changes_it_is_told() -> None:
    """Of the instances and groups that it names, else of the director."""
    assert subjects(NotifyConfig("it", ("public",), ("site",)), "lb1") == [PUBLIC, SITE]
    assert subjects(NotifyConfig("it"), "lb1") == [Subject(Kind.DIRECTOR, "lb1")]


async def begun(log: Path) -> None:
    """Wait until the program has written its first word."""
    async with asyncio.timeout(10):
        while not os.path.exists(log):  # noqa: ASYNC110, ASYNC240, PTH110 - looked at, for nobody tells
            await asyncio.sleep(0.005)
