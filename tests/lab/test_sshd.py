"""An sshd of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.network import Network, topology
from tests.lab.process import Result, run
from tests.lab.sshd import Sshd, start_sshd

pytestmark = pytest.mark.net


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """A director and a server."""
    async with topology(servers=1) as built:
        yield built


async def ssh(net: Network, sshd: Sshd, host_key: str, directory: Path) -> Result:
    """Run `id -un` on the server from the director, trusting one host key."""
    known = directory / "known"
    known.write_text(f"10.0.1.11 {host_key}\n")
    options = ["BatchMode=yes", f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes"]
    flags = [word for option in options for word in ("-o", option)]
    return await run(
        net["lb1"], "ssh", "-F", "none", *flags, "-i", str(sshd.user_key), "root@10.0.1.11", "id", "-un"
    )


async def test_it_lets_its_user_in(net: Network, tmp_path: Path) -> None:
    """The user's key and the host's key open a session."""
    sshd = await start_sshd(net["rs1"], tmp_path)
    result = await ssh(net, sshd, sshd.host_key, tmp_path)
    assert (result.status, result.output) == (0, "root")


async def test_it_does_not_have_the_other_host_key(net: Network, tmp_path: Path) -> None:
    """Who expects the other host key is warned and does not get in."""
    sshd = await start_sshd(net["rs1"], tmp_path)
    result = await ssh(net, sshd, sshd.other_host_key, tmp_path)
    assert result.status == 255
    assert "IDENTIFICATION HAS CHANGED" in result.errors
