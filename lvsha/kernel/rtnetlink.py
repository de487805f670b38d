"""Questions about routes and neighbours, put to the kernel by means of pyroute2.

pyroute2 knows the messages of rtnetlink, and what is asked in passing goes through it. What cannot wait for
it is `lvsha.kernel.netlink`'s: the speaker's addresses and interfaces.

Three things are seen to here. pyroute2 waits for an answer as long as it takes, also for one that was
lost: so a conversation has its time. The kernel answers inside send() and may sleep there until somebody
else's change is through, and uvloop cannot drive pyroute2's sockets, for it knows no netlink: so a
conversation is held in a thread, on a loop of its own. The import takes a quarter of a second: it happens
there as well, and only when there is a question.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, TypeVar

from lvsha.errors import KernelError
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.netlink import Refusal, RefusedError

T = TypeVar("T")

Question = Callable[[Any], Awaitable[T]]
"""What to do with a `pyroute2.AsyncIPRoute`."""


class Rtnetlink:
    """Conversations in the network namespace in which this was opened.

    `timeout`: seconds that one may take.
    """

    def __init__(self, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rtnetlink")
        # It stays in the namespace in which it is started, so that has to be now.
        self._thread.submit(int)

    def close(self) -> None:
        """Hold no other conversation."""
        self._thread.shutdown(wait=False)

    async def ask(self, question: Question[T]) -> T:
        """What comes of a question. Raises KernelError: RefusedError, where the kernel refuses it."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, import_module, "pyroute2")
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._thread, self._converse, question)
        except TimeoutError:
            raise KernelError(f"the kernel has not answered on netlink for {self._timeout:g} s") from None

    def _converse(self, question: Question[T]) -> T:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(self._bounded(question))

    async def _bounded(self, question: Question[T]) -> T:
        from pyroute2 import AsyncIPRoute, NetlinkError

        try:
            async with asyncio.timeout(self._timeout), AsyncIPRoute(ext_ack=True) as iproute:
                return await question(iproute)
        except TimeoutError:
            raise
        except NetlinkError as error:
            raise RefusedError("the kernel gives no answer on netlink", refusal(error)) from error
        except OSError as error:
            raise KernelError(f"no conversation on netlink: {Refusal(error.errno or 0)}") from error
        except (LookupError, TypeError, ValueError, struct.error) as error:
            raise MalformedError(f"an answer on netlink that is no such message: {error!r}") from error


def refusal(error: Any) -> Refusal:
    """What a `NetlinkError` says; where the kernel had no words of its own, it has those of the number."""
    number, words = error.args
    return Refusal(number, "" if words == os.strerror(number) else words)
