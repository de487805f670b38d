"""Servers to probe, and a `probe` that looks at what was left behind.

Every test runs on asyncio's own loop and on uvloop, because closing sockets is where they differ.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop

from checks import Check, Outcome, run
from tests.lab.targets import (
    LOOPBACK,
    Pki,
    Probe,
    Serve,
    Servers,
    Sshd,
    connections_to,
    make_pki,
    nginx,
    openssh,
)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each loop in turn."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Somewhere to listen."""
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def serve(servers: Servers) -> Serve:
    """Listens on loopback and returns the port, given a conversation."""
    return servers.serve


@pytest.fixture
def probe() -> Probe:
    """Run a check as the monitor does, and see that it kept its deadline and left nothing behind."""

    async def probe(check: Check, port: int, *, timeout: float = 2, address: str = LOOPBACK) -> Outcome:  # noqa: ASYNC109
        before = asyncio.all_tasks()
        began = time.monotonic()
        outcome = await run(check, address, port, timeout)
        assert time.monotonic() - began < timeout + 1
        assert asyncio.all_tasks() == before
        assert connections_to(port) == 0
        assert "\n" not in outcome.detail
        return outcome

    return probe


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nothing listens: bound, so that nobody else can."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        yield sock.getsockname()[1]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, good and bad."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real OpenSSH server."""
    with openssh(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


@pytest.fixture(scope="session")
def nginx_ports(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[tuple[int, int]]:
    """The ports, in clear and under TLS, of a real nginx that wants the PROXY protocol."""
    with nginx(tmp_path_factory.mktemp("nginx"), pki.good) as ports:
        yield ports
