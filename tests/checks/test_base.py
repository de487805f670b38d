"""Running a check: deadlines, errors and what the detail says."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from dataclasses import dataclass

import pytest

from checks import Check, Outcome, ProbeError, run
from checks.base import endpoint, quote, reason, trying
from tests.lab.virtual import in_virtual_time, spend


@dataclass(frozen=True)
class Scripted:
    """A check that says something and then ends in a given way."""

    end: object
    said: str = ""

    async def probe(self, _address: str, _port: int) -> Outcome:
        """Do as scripted."""
        if self.said:
            trying(self.said)
        if isinstance(self.end, Outcome):
            return self.end
        if isinstance(self.end, BaseException):
            raise self.end
        await asyncio.Event().wait()
        raise AssertionError


async def once(end: object, said: str = "step two") -> str:
    """The detail of a check that fails in the given way."""
    outcome = await run(Scripted(end, said), "192.0.2.1", 80, 0.05)
    assert not outcome.ok
    return outcome.detail


async def test_outcome_is_passed_on() -> None:
    """What a probe returns is what the caller gets."""
    outcome = Outcome(ok=True, detail="fine")
    assert await run(Scripted(outcome), "192.0.2.1", 80, 1) is outcome


async def test_deadline() -> None:
    """A deadline that cuts a probe off is told together with the last step."""
    assert await once(None) == "step two: no answer within 0.05 s"


@in_virtual_time
async def test_a_busy_machine_is_told() -> None:
    """A deadline that was put off because nothing could run says so: the reader may mistrust the verdict."""

    class Busy:
        """Keeps the loop for itself, and is not answered."""

        async def probe(self, _address: str, _port: int) -> Outcome:
            """Never ends."""
            spend(2.0)
            await asyncio.Event().wait()
            raise AssertionError

    outcome = await run(Busy(), "192.0.2.1", 80, 1)
    assert outcome.detail.endswith(": no answer within 1 s and 2.0 s more, for this machine was busy")


async def test_deadline_before_any_step() -> None:
    """A probe that said nothing is still named."""
    assert await once(None, said="") == "scripted check of 192.0.2.1:80: no answer within 0.05 s"


async def test_kernel_timeout() -> None:
    """The kernel's own timeout is told apart from the deadline."""
    error = OSError(errno.ETIMEDOUT, "")
    assert isinstance(error, TimeoutError)
    assert await once(error) == "step two: no answer (the kernel gave up)"


async def test_network_error() -> None:
    """An error of the network comes in an operator's words."""
    assert await once(OSError(errno.ECONNREFUSED, "")) == "step two: refused (RST: nothing listens there)"


async def test_protocol_error() -> None:
    """A probe's own complaint follows the step."""
    assert await once(ProbeError("not HTTP")) == "step two: not HTTP"


async def test_unforeseen_exception() -> None:
    """Any other exception is a failure of that one probe, and printable."""
    assert await once(KeyError("x\ny")) == "step two: KeyError: \"'x\\\\ny'\""


async def test_cancellation_is_not_an_outcome() -> None:
    """A caller that is cancelled is not told that the server failed."""
    task = asyncio.create_task(run(Scripted(None), "192.0.2.1", 80, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_concurrent_probes_do_not_mix() -> None:
    """Each probe has its own last step."""
    runs = [run(Scripted(None, f"step {n}"), "192.0.2.1", 80, 0.05) for n in range(5)]
    details = [outcome.detail for outcome in await asyncio.gather(*runs)]
    assert details == [f"step {n}: no answer within 0.05 s" for n in range(5)]


async def test_probe_without_run() -> None:
    """A probe may be called by itself; what it is trying is then nobody's business."""
    outcome = Outcome(ok=True, detail="fine")
    assert await Scripted(outcome, "said").probe("192.0.2.1", 80) is outcome


def test_reasons() -> None:
    """Errors without words of ours keep the system's, with the symbol and the file."""
    assert reason(OSError(errno.EACCES, "")) == "Permission denied (EACCES)"
    assert reason(FileNotFoundError(errno.ENOENT, "", "/x")) == "/x: No such file or directory (ENOENT)"
    assert reason(OSError("own words")) == "own words"
    assert reason(OSError()) == "OSError"
    assert reason(OSError(99999, os.strerror(99999))) == "[Errno 99999] Unknown error 99999"
    assert reason(ssl.SSLError(1, "x")).startswith("TLS failed: ")


def test_endpoint() -> None:
    """IPv6 addresses are bracketed."""
    assert endpoint("192.0.2.1", 80) == "192.0.2.1:80"
    assert endpoint("2001:db8::1", 80) == "[2001:db8::1]:80"


def test_quote() -> None:
    """What a peer sent cannot break a line, a terminal or a log."""
    assert quote(b"a\x1b[31m\n\xff") == r"'a\x1b[31m\n\ufffd'"
    assert quote("x" * 100, 3) == "'xxx'..."


def test_kinds_are_checks() -> None:
    """A dataclass with a probe is a check."""
    assert isinstance(Scripted(None), Check)
