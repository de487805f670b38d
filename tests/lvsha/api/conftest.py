"""A director behind the real API on a Unix socket, and a client that speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from lvsha.api.app import build
from lvsha.api.listen import serve
from tests.lab.control import Director


@pytest.fixture
def director() -> Director:
    """A director without a kernel."""
    return Director()


@pytest.fixture
async def client(director: Director, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the API that serves the director."""
    path = tmp_path / "sock"
    async with (
        serve(build(director), path),
        aiohttp.ClientSession("http://lvsha", connector=aiohttp.UnixConnector(str(path))) as session,
    ):
        yield session
