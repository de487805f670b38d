"""What a check is, and how one is run.

A check is a frozen value: its settings, and one coroutine that tries them on a target. It owns
its conversation and nothing else; whoever calls it owns the schedule, the deadline and what the
outcome means. Settings are hashable, so two services that ask the same of one server can share
one check.

A probe says what it is about to do before it does it (`trying`). When the deadline cuts it off,
or the network answers with an error, `run` puts that sentence before the reason, so the detail
always tells what was tried and how far it got:

    connected to 10.0.0.5:22, waiting for an SSH identification: no answer within 1 s
"""

from __future__ import annotations

import errno
import os
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from checks.lag import patience

TELLING = 0.1
"""Seconds that a deadline was put off for the detail to tell of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe found."""

    ok: bool
    detail: str
    """What was tried and what came back, in one line, for a person."""


@runtime_checkable
class Check(Protocol):
    """Settings that can be tried on a target."""

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once. May raise OSError; may be cancelled at any await, and leaves nothing open."""
        ...


class ProbeError(Exception):
    """The target answered, and not as its protocol demands; the message says what came."""


class _Trail:
    """The last thing a probe said it was trying."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""


_trail: ContextVar[_Trail | None] = ContextVar("_trail", default=None)


def trying(what: str) -> None:
    """Remember what the running probe is about to do, for the detail of a failure."""
    trail = _trail.get()
    if trail is not None:
        trail.text = what


async def run(check: Check, address: str, port: int, timeout: float) -> Outcome:  # noqa: ASYNC109 - a setting
    """Probe the target once within `timeout` seconds. Never raises but CancelledError.

    Seconds in which this process did not get to its sockets are not held against the target (`lag`).
    An unforeseen exception is a failed probe too, and says its type: one server's strange answer
    must not end the checks of all the others.
    """
    trail = _Trail()
    trail.text = f"{type(check).__name__.lower()} check of {endpoint(address, port)}"
    token = _trail.set(trail)
    deadline = patience(timeout)
    try:
        async with deadline:
            return await check.probe(address, port)
    except TimeoutError as error:
        # ETIMEDOUT, the kernel's own patience, is a TimeoutError as well.
        why = _too_late(timeout, deadline.granted) if deadline.expired else reason(error)
        return Outcome(ok=False, detail=f"{trail.text}: {why}")
    except ProbeError as error:
        return Outcome(ok=False, detail=f"{trail.text}: {error}")
    except OSError as error:
        return Outcome(ok=False, detail=f"{trail.text}: {reason(error)}")
    except Exception as error:  # noqa: BLE001 (the docstring says why)
        return Outcome(ok=False, detail=f"{trail.text}: {type(error).__name__}: {quote(str(error))}")
    finally:
        _trail.reset(token)


def _too_late(timeout: float, granted: float) -> str:
    more = f" and {granted:.1f} s more, for this machine was busy" if granted > TELLING else ""
    return f"no answer within {timeout:g} s{more}"


_REASONS = {
    errno.ECONNREFUSED: "refused (RST: nothing listens there)",
    errno.ECONNRESET: "reset by the peer (RST)",
    errno.EPIPE: "the peer has closed the connection",
    errno.ETIMEDOUT: "no answer (the kernel gave up)",
    errno.EHOSTUNREACH: "host unreachable (no ARP or neighbour answer, or an ICMP error)",
    errno.ENETUNREACH: "network unreachable (no route)",
    errno.EADDRNOTAVAIL: "no such source address here, or no free local port",
}


def reason(error: OSError) -> str:
    """What an error of the network means, in an operator's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {getattr(error, 'verify_message', error)}"
    if isinstance(error, ssl.SSLError):
        symbol = getattr(error, "reason", None) or str(error)  # such as WRONG_VERSION_NUMBER
        return f"TLS failed: {symbol.lower().replace('_', ' ')}"
    number = error.errno or 0
    if number in _REASONS:
        return _REASONS[number]
    if number in errno.errorcode:
        what = f"{os.strerror(number)} ({errno.errorcode[number]})"
        return f"{error.filename}: {what}" if error.filename else what
    return str(error) or type(error).__name__


def endpoint(address: str, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80`, as an operator writes it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def quote(data: bytes | str, most: int = 60) -> str:
    """What a peer sent, safe to print: quoted, escaped, and cut after `most` characters."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return ascii(text[:most]) + ("..." if len(text) > most else "")
