"""Tests of lvsha.kernel.sourcenat.choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import program
from lvsha.kernel.sourcenat.choose import choose
from tests.lab.network import Network

pytestmark = pytest.mark.net


def programs(directory: Path, **scripts: str) -> str:
    """A directory with programs, for PATH."""
    for name, text in scripts.items():
        file = directory / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    return f"{directory}:/usr/bin:/bin"


async def test_nftables_is_preferred() -> None:
    """Where the kernel has both, it is the newer one."""
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        assert (await choose()).name == "nftables"


async def test_iptables_where_the_kernel_has_no_nf_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program nft may be there without the kernel's part."""
    path = programs(
        tmp_path,
        nft="echo 'Operation not supported' >&2; exit 1",
        iptables_legacy_restore="exit 0",
        iptables_legacy="exit 0",
    )
    monkeypatch.setattr(program, "_PATH", path)
    assert (await choose()).name == "iptables"


async def test_neither(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error tells what each of them lacks."""
    path = programs(tmp_path, nft="echo 'Operation not supported' >&2; exit 1")
    monkeypatch.setattr(program, "_PATH", path)
    with pytest.raises(KernelError) as caught:
        await choose()
    assert "Operation not supported" in str(caught.value)
    assert "install the package iptables" in str(caught.value)
