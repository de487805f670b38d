"""A pair in mode fullnat on Debian's own kernel with nftables: what IPVS and nf_tables do together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import fullnat
from tests.lab.fullnat import DNS, ECHO, POOL, POOL6, VIP, VIP6, WEB, Site, local, syn
from tests.lab.process import spawn

# The guest gives way to all other tests.
pytestmark = [pytest.mark.nft, pytest.mark.slow, pytest.mark.timeout(300)]

COUNT, LISTENERS = 100, 3


async def test_a_pair_with_nftables(tmp_path: Path) -> None:
    """Rules, traffic, a repair, and a crash that costs no connection, be the client silent or not."""
    # Nothing here waits for a check, and the guest has better things to do.
    async with fullnat.site(tmp_path, fullnat.config(every=3)) as site:
        await _traffic(site)
        await _repair(site)
        await site.client.hold(VIP, ECHO, COUNT // 2)
        await site.client.hold(VIP6, ECHO, COUNT // 2)
        downloads = [
            await spawn(
                site.net["client"],
                *("curl", "-sf", "-o", "/dev/null", "-w", "%{size_download}\n"),
                f"http://{VIP}/download?bytes=100000&seconds=20",
            )
            for _ in range(LISTENERS)
        ]
        await site.synced(site.lb2, COUNT + LISTENERS)
        await site.crash(site.lb1, site.lb2)
        assert await site.client.alive(patience=60) == COUNT
        for download in downloads:
            assert await download.wait(within=60) == 0
            assert download.output == ["100000"]


async def _traffic(site: Site) -> None:
    """Over either family and protocol servers see the local address that the hash says, and no timestamps."""
    for address, pool, prefix in ((VIP, POOL, "192.0.2."), (VIP6, POOL6, "2001:db8:1::")):
        clients = [f"{prefix}{n}" for n in range(11, 17)]
        expected = [local(client, pool) for client in clients]
        assert {*expected} == {*pool}
        for port, kind in ((WEB, "http"), (DNS, "udp")):
            answers = [
                await site.client.served(address, port, kind, source=client)  # type: ignore[arg-type]
                for client in clients
            ]
            assert [answer.seen for answer in answers] == expected
        source = local(f"{prefix}10", pool)
        assert "TS val" not in await syn(site.net, site.client, address, source)


async def _repair(site: Site) -> None:
    """Deleted: put right at once, and connections go on. Added to: at the next look. Other tables stay."""
    node = site.net["lb1"]
    before = node.run("nft", "list", "ruleset")
    await site.client.hold(VIP, ECHO, 10)
    mark = await site.lb1.mark()
    node.run("nft", "flush", "ruleset")
    await site.lb1.event("drift.repaired", since=mark, within=10)
    assert await site.client.alive(patience=60) == 10
    await site.client.release()
    assert sorted(node.run("nft", "list", "ruleset").split()) == sorted(before.split())
    node.run("nft", "add", "table", "ip", "other")
    before = node.run("nft", "list", "ruleset")
    mark = await site.lb1.mark()
    node.run("nft", "add", "rule", "ip", "lvsha", "source", "accept")
    assert node.run("nft", "list", "ruleset") != before
    await site.lb1.ask("POST", "/v1/look")
    told = await site.lb1.event("drift.repaired", since=mark)
    assert "source was changed" in told["steps"][0]
    assert sorted(node.run("nft", "list", "ruleset").split()) == sorted(before.split())
