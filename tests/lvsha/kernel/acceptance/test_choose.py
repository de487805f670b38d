"""Tests of lvsha.kernel.acceptance.choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.acceptance.choose import choose, holder
from lvsha.kernel.acceptance.iptables import Iptables
from lvsha.kernel.acceptance.nft import Nft
from lvsha.kernel.sourcenat import program
from tests.lab.network import Network, Node
from tests.lab.unaccepted import FOUR

pytestmark = pytest.mark.net


@pytest.fixture(autouse=True)
def lb1() -> Iterator[Node]:
    """The test, and what it starts, is on a node of its own."""
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        yield net["lb1"]


def no_nf_tables(directory: Path) -> str:
    """A PATH with an nft that finds no nf_tables in the kernel, and the rest of what this machine has."""
    file = directory / "nft"
    file.write_text("#!/bin/sh\necho 'Operation not supported' >&2\nexit 1\n")
    file.chmod(0o755)
    return f"{directory}:{program._PATH}"


async def test_nftables_is_preferred() -> None:
    """Where the kernel has both, it is the newer one."""
    assert isinstance(await choose(), Nft)


async def test_iptables_where_the_kernel_has_no_nf_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program nft may be there without the kernel's part."""
    monkeypatch.setattr(program, "_PATH", no_nf_tables(tmp_path))
    assert isinstance(await choose(), Iptables)


async def test_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error tells what each of them lacks, and nobody has anything that would be left over."""
    monkeypatch.setattr(program, "_PATH", "/nowhere")
    with pytest.raises(KernelError, match=r"accept = false needs a firewall.* nftables; .* iptables"):
        await choose()
    assert await holder() is None


@pytest.mark.parametrize("kind", [Nft, Iptables])
async def test_who_has_rules_is_found(kind: type[Nft | Iptables]) -> None:
    """What an earlier daemon left over is found in either firewall."""
    await kind().replace([FOUR])
    assert isinstance(await holder(), kind)


async def test_looking_for_rules_brings_no_table_into_use(lb1: Node) -> None:
    """A director that drops nothing leaves no trace in the firewall."""
    assert await holder() is None
    assert lb1.run("nft", "list", "tables") == ""
    assert lb1.run("iptables-legacy-save") == ""
