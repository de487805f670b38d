"""A director on a node of a test network: the real daemon, its log, its API and its command line.

async with directing(net["lb1"], CONFIG, tmp_path) as lb1:
    await lb1.event("server.up", server="rs1")
    await lb1.ask("POST", "/v1/overrides", {"target": "rs3", "kind": "drain"})
    await lb1.cli("drain", "rs3")
"""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.lab.network import Node
from tests.lab.process import Process, Result, run, start


class Director:
    """One running lvshad."""

    def __init__(self, node: Node, directory: Path, name: str | None) -> None:
        self.node = node
        self.directory = directory
        self.file = directory / "lvsha.toml"
        self.socket = directory / "lvsha.sock"
        self.name = name
        self.process: Process | None = None

    async def start(self) -> Process:
        """Start the daemon; it is not ready yet."""
        more = ["--node", self.name] if self.name else []
        arguments = ["--config", str(self.file), "--log", "json", *more]
        self.process = await start(self.node, "lvsha", *arguments)
        return self.process

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """An event that was said, or is waited for."""
        assert self.process is not None
        return await self.process.event(name, **fields)

    async def mark(self) -> int:
        """How many events there were until now."""
        assert self.process is not None
        return self.process.mark()

    def pid(self, name: str) -> int:
        """The process of a child (director or speaker) by its latest start."""
        assert self.process is not None
        started = [e for e in self.process.events if e["event"] == "process.started"]
        return int(next(e["pid"] for e in reversed(started) if e["process"] == name))

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A question to the API; the answer as JSON."""
        return json.loads(await self._asked(method, path, body))

    async def metric(self, name: str) -> float:
        """The sample of a metric without labels."""
        lines = (await self._asked("GET", "/metrics")).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    async def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        connector = aiohttp.UnixConnector(str(self.socket))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://lvsha{path}", json=body) as response,
        ):
            text = await response.text()
            assert response.status < 400, text
            return text

    async def cli(self, *arguments: str, within: float = 30) -> Result:
        """A command of lvsha-cli, run on the node."""
        return await run(
            self.node, "--socket", str(self.socket), *arguments, module="lvsha.cli", within=within
        )

    def table(self) -> str:
        """The kernel's table as `ipvsadm -Sn` saves it."""
        return self.node.run("ipvsadm", "-Sn")

    async def reload(self, text: str) -> None:
        """Write another configuration and send SIGHUP."""
        self.write(text)
        assert self.process is not None
        self.process.signal(signal.SIGHUP)

    def write(self, text: str) -> None:
        """Write the configuration, with the lab's own directories."""
        paths = f"""
[api]
socket = "{self.socket}"
[state]
directory = "{self.directory / "state"}"
runtime = "{self.directory / "run"}"
"""
        self.file.write_text(text + paths)


@asynccontextmanager
async def directing(
    node: Node, config: str, directory: Path, *, name: str | None = None, ready: bool = True
) -> AsyncIterator[Director]:
    """A director that serves this configuration, stopped at the end."""
    home = directory / str(node)
    home.mkdir(exist_ok=True)
    director = Director(node, home, name)
    director.write(config)
    process = await director.start()
    try:
        if ready:
            await process.event("daemon.ready", within=60)
        yield director
    finally:
        if director.process is not None and director.process.status is None:
            await director.process.stop()
