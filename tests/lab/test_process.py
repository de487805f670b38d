"""Processes on nodes, started by the zygote."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tests.lab.network import Network, topology
from tests.lab.process import call, run, spawn

pytestmark = pytest.mark.net


@pytest.fixture
def net() -> Iterator[Network]:
    """A client, a director and a server."""
    with topology(servers=1) as built:
        yield built


async def test_a_program_runs_in_its_namespace(net: Network) -> None:
    """What a program sees are the interfaces of its node; its words come back apart."""
    result = await run(net["rs1"], "sh", "-c", "ip -br address show; echo oops >&2; exit 3")
    assert "10.0.1.11/24" in result.output
    assert (result.status, result.errors) == (3, "oops")


async def test_a_module_runs_as_python_would_run_it(net: Network) -> None:
    """A module finds its name, its arguments and its own way to end."""
    result = await run(net["rs1"], "--help", module="json.tool")
    assert result.status == 0
    assert "json.tool" in result.output


async def test_a_function_talks_over_its_channel(net: Network) -> None:
    """A function's process answers questions until its channel is closed."""
    process = await call(net["rs1"], "tests.lab.test_process:echo", "hello", channel=True)
    await process.event("started", argv=["hello"])
    assert await process.ask({"n": 1}) == {"n": 2}
    assert await process.stop() == -signal.SIGTERM


async def test_signals_and_exit_status(net: Network) -> None:
    """A signal reaches the process, and the status says which one ended it."""
    process = await spawn(
        net["client"], "sh", "-c", "trap 'echo caught; exit 7' USR1; echo up; while :; do sleep 0.05; done"
    )
    await process.line("up")
    process.signal(signal.SIGUSR1)
    assert await process.wait() == 7
    assert process.output == ["up", "caught"]


async def test_a_line_that_was_said_before_is_not_the_next_one(net: Network) -> None:
    """After a mark only what comes later counts, on whichever stream."""
    script = "echo up >&2; trap 'echo down; echo up' USR1; while :; do sleep 0.05; done"
    process = await spawn(net["client"], "sh", "-c", script)
    await process.line("up")
    mark = len(process.said)
    process.signal(signal.SIGUSR1)
    await process.line("u", "p", since=mark)
    assert process.said == ["up", "down", "up"]
    await process.kill()


async def test_waiting_for_what_will_not_come(net: Network) -> None:
    """A process that ended without saying the word fails the wait at once, with what it did say."""
    process = await spawn(net["client"], "sh", "-c", "echo something else")
    with pytest.raises(AssertionError, match=r"(?s)ended with 0: no event.*something else"):
        await process.event("never")


async def test_a_program_that_is_not_there(net: Network) -> None:
    """A program that cannot be started says so, and its status is not 0."""
    result = await run(net["client"], "no-such-program")
    assert result.status == 70
    assert "FileNotFoundError" in result.errors


async def test_a_killed_process_takes_its_group_along(net: Network) -> None:
    """What a process left running in its group is gone when it is."""
    process = await spawn(net["client"], "sh", "-c", "sleep 1000 & echo $!; wait")
    pidfd = os.pidfd_open(int(await process.line("")))
    await process.kill()
    async with asyncio.timeout(5):
        await _readable(pidfd)


async def test_a_network_ends_what_runs_on_it() -> None:
    """Removing a network ends even a process that left its group."""
    with topology(servers=1) as net:
        process = await spawn(net["client"], "sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait")
        pidfd = os.pidfd_open(int(await process.line("")))
    async with asyncio.timeout(5):
        await _readable(pidfd)


async def _readable(fd: int) -> None:
    """Wait until a descriptor is readable: for a pidfd, until the process has ended; then close it."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(fd, future.set_result, None)
    try:
        await future
    finally:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)


def echo(argv: list[str]) -> int:
    """The process of the channel test: says that it started, and answers n with n + 1."""
    import json
    import socket

    print(json.dumps({"event": "started", "argv": argv}), flush=True)
    with socket.socket(fileno=0) as channel, channel.makefile("rw") as lines:
        for line in lines:
            lines.write(json.dumps({"n": json.loads(line)["n"] + 1}) + "\n")
            lines.flush()
    return 0
