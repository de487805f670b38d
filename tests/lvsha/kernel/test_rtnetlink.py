"""Conversations by way of pyroute2 with the running kernel."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.netlink import RefusedError
from lvsha.kernel.rtnetlink import Rtnetlink
from tests.lab.network import Node

pytestmark = pytest.mark.net


@pytest.fixture
async def rtnetlink(lb1: Node) -> AsyncIterator[Rtnetlink]:
    """Short conversations on that node; everything is imported."""
    with lb1.entered():
        opened = Rtnetlink(timeout=0.2)
    with closing(opened):
        await opened.ask(names)
        yield opened


async def names(iproute: Any) -> set[str]:
    """The interfaces that there are."""
    return {link.get("ifname") async for link in await iproute.get_links()}


async def test_a_conversation_stays_in_its_namespace(rtnetlink: Rtnetlink) -> None:
    """It is with the namespace in which it was opened, not with the one that the caller is in by then."""
    assert "front" in await rtnetlink.ask(names)


async def test_a_refusal_has_the_kernels_own_words(rtnetlink: Rtnetlink) -> None:
    """The number and what the kernel says beyond it; the next question is answered."""
    with pytest.raises(RefusedError, match="invalid gateway") as refused:
        await rtnetlink.ask(lambda iproute: iproute.route("add", dst="10.0.0.0/8", gateway="198.51.100.1"))
    assert refused.value.refusal.words == "Nexthop has invalid gateway"
    assert "front" in await rtnetlink.ask(names)


async def test_a_refusal_without_words_is_a_number(rtnetlink: Rtnetlink) -> None:
    """What pyroute2 adds to a number is not the kernel's."""
    with pytest.raises(RefusedError) as refused:
        await rtnetlink.ask(lambda iproute: iproute.link("get", index=9999))
    assert str(refused.value.refusal) == "ENODEV: No such device"


async def test_an_answer_that_never_comes_is_waited_for_only_so_long(rtnetlink: Rtnetlink) -> None:
    """It is told, and the thread is free for the next question."""
    with pytest.raises(KernelError, match=r"not answered on netlink for 0\.2 s"):
        await rtnetlink.ask(lambda _: asyncio.Event().wait())
    assert "front" in await rtnetlink.ask(names)


async def test_a_kernel_that_sleeps_holds_up_nobody_else(rtnetlink: Rtnetlink) -> None:
    """While the thread is stuck the event loop turns, and who asked is told."""
    awake = threading.Event()

    async def stuck(_: Any) -> bool:
        return awake.wait(10)

    with pytest.raises(KernelError, match="not answered"):
        await rtnetlink.ask(stuck)
    awake.set()


async def test_what_is_no_answer_is_told(rtnetlink: Rtnetlink) -> None:
    """A message without what it must have."""

    async def wrong(iproute: Any) -> object:
        (link,) = await iproute.link("get", index=1)
        return link["no such field"]

    with pytest.raises(MalformedError, match="no such field"):
        await rtnetlink.ask(wrong)


def test_it_is_imported_where_it_is_used() -> None:
    """A director starts without pyroute2, which takes a quarter of a second."""
    code = "import sys, lvsha.daemon.supervisor; print('pyroute2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
