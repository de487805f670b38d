"""What goes over a wire, as tcpdump catches it and tshark understands it.

    async with capturing(net["client"], tmp_path / "wire.pcap") as capture:
        ...
    frames = await capture.frames()

A `Frame` holds every field that tshark decodes, by tshark's own names, and the octets of each layer.

tcpdump that is told to end does not read what still waits for it. So the end is a frame of its own that the
node itself sends: once that is in the file, so is everything before it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.network import Node
from tests.lab.process import SLOWNESS, Process, run, spawn

END = 0x88B5
"""The ethertype of the last frame: for experiments, by IEEE 802."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    fields: Mapping[str, tuple[str, ...]]
    """Every leaf of tshark's tree, with all its values in order."""
    octets: Mapping[str, bytes]
    """The octets of each layer: `eth`, `ip`, `vrrp`, ..."""

    def __getitem__(self, name: str) -> str:
        """The first value of a field; empty where the frame has none of that name."""
        return (*self.fields.get(name, ()), "")[0]


class Capture:
    """A capture that runs, or has ended."""

    def __init__(self, file: Path, process: Process, node: Node, interface: str) -> None:
        self._file = file
        self._process = process
        self._node = node
        self._interface = interface

    async def stop(self) -> None:
        """Capture no more, when everything that was on the wire until now is in the file."""
        if self._process.status is None:
            await self._catch_up()
            self._process.signal(signal.SIGINT)
            await self._process.wait()

    async def _catch_up(self) -> None:
        token = secrets.token_bytes(48)
        with self._node.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            try:
                wire.bind((self._interface, END))
                wire.send(bytes.fromhex("020000000001020000000002") + END.to_bytes(2) + token)
            except OSError as error:
                # A cable that is out carries nothing that could still be on its way.
                if error.errno in (errno.ENETDOWN, errno.ENODEV, errno.ENXIO):
                    return
                raise
        async with asyncio.timeout(10 * SLOWNESS):
            while token not in self._file.read_bytes():  # noqa: ASYNC110 - tcpdump does not say
                await asyncio.sleep(0.01)

    async def frames(self) -> list[Frame]:
        """All frames, decoded. Checksums of IPv4 and VRRP are verified (`*.checksum.status`)."""
        await self.stop()
        options = (
            "-Y",
            f"eth.type != {END}",
            "-n",
            "-T",
            "json",
            "-x",
            "--no-duplicate-keys",
            "-o",
            "ip.check_checksum:TRUE",
        )
        result = await run(None, "tshark", "-r", str(self._file), *options, within=60)
        assert result.status == 0, result.errors
        return [_frame(each["_source"]["layers"]) for each in json.loads(result.output)]


@asynccontextmanager
async def capturing(node: Node, file: Path, interface: str = "front") -> AsyncIterator[Capture]:
    """Catch what a node sees on an interface while the block runs."""
    process = await spawn(
        node, "tcpdump", "-i", interface, "--immediate-mode", "-U", "-Z", "root", "-w", str(file)
    )
    await process.line("listening on")
    capture = Capture(file, process, node, interface)
    try:
        yield capture
    finally:
        await capture.stop()


def _frame(layers: Mapping[str, Any]) -> Frame:
    octets = {
        name.removesuffix("_raw"): bytes.fromhex(value[0])
        for name, value in layers.items()
        if name.endswith("_raw") and isinstance(value[0], str)
    }
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in _leaves(layers):
        fields[name] = (*fields.get(name, ()), value)
    return Frame(fields, octets)


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if name.endswith("_raw"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from _leaves(each)
            else:
                yield name, str(each)
