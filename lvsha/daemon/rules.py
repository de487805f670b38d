"""Looks at the firewall's rules as soon as somebody has taken some away.

`nft flush ruleset`, which is also what a reload of Debian's nftables does, takes lvsha's with the rest, and
without them connections of mode fullnat break.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from lvsha.kernel.rules_watch import RulesWatch


async def watch(look: Callable[[], None]) -> None:
    """Call `look` at every such news, for ever; where nobody tells, the next look finds out."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    try:
        rules = RulesWatch()
    except OSError:
        await loop.create_future()
        return
    with contextlib.closing(rules):
        loop.add_reader(rules.fileno(), news.set)
        try:
            while True:
                await news.wait()
                news.clear()
                if rules.receive():
                    look()
        finally:
            loop.remove_reader(rules.fileno())
