"""Programs of the firewall, run without a shell, in bounded time and with bounded answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from lvsha.errors import KernelError

PATIENCE = 30.0
"""Seconds that one run may take. A hundred thousand elements take five."""
LONGEST = 64 * 1024 * 1024
"""Bytes that one run may answer."""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended."""

    status: int
    output: bytes
    words: str
    """What it said on its standard error, in one line."""


def find(name: str) -> str | None:
    """Where a program is; None: nowhere."""
    return shutil.which(name, path=_PATH)


async def run(argv: Sequence[str], stdin: bytes = b"", *, patience: float = PATIENCE) -> Done:
    """Run a program to its end.

    Raises KernelError when it cannot be started, takes longer than `patience` seconds or says too much.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": _PATH, "LC_ALL": "C"},
        )
    except OSError as error:
        raise KernelError(f"{argv[0]} cannot be started: {error}") from error
    try:
        async with asyncio.timeout(patience):
            return await _talk(process, stdin)
    except TimeoutError:
        raise KernelError(f"{' '.join(argv)} has not ended within {patience:g} s") from None
    except _TooLongError:
        raise KernelError(f"{' '.join(argv)} said more than {LONGEST} bytes") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class _TooLongError(Exception):
    pass


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> Done:
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    assert process.stderr is not None  # noqa: S101 - a pipe was asked for
    _, output, words = await asyncio.gather(
        _feed(process.stdin, stdin), _read(process.stdout), _read(process.stderr)
    )
    return Done(await process.wait(), output, _line(words))


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    # A program that refuses its input early closes the pipe; its status says the rest.
    with contextlib.suppress(ConnectionError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def _read(pipe: asyncio.StreamReader) -> bytes:
    parts, size = [], 0
    while part := await pipe.read(65536):
        size += len(part)
        if size > LONGEST:
            raise _TooLongError
        parts.append(part)
    return b"".join(parts)


def _line(words: bytes) -> str:
    lines = [line.strip() for line in words.decode(errors="replace").splitlines()]
    # nft underlines what it does not like, in a line of its own.
    return " ".join(line for line in lines if line.strip("^~"))[:500]
