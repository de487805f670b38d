"""Which servers an operator's words mean.

    rs3                     the server of that name, in every service that uses it
    web/rs3                 only in service web
    10.0.0.3                every server at that address
    10.0.0.3:80             ... and port; IPv6 as [2001:db8::3]:80
    web/10.0.0.3:80         only in service web

A bare name means the machine, wherever it is used: that is what maintenance wants. So a name that
stands for different machines in different services is refused, and the candidates are told: setting
aside one too many is worse than asking once more. A word that is both a name and an address is a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from ipaddress import ip_address

from lvsha.errors import InputError
from lvsha.model import Address, endpoint
from lvsha.overrides import Selector

LONGEST = 256
"""Characters of a target: more is nonsense."""


class Fault(Enum):
    """What is wrong with a target."""

    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"


class TargetError(InputError):
    """A target that does not say which object is meant."""

    def __init__(self, fault: Fault, message: str, *, hint: str = "", candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.fault = fault
        self.hint = hint
        """What to do."""
        self.candidates = tuple(candidates)
        """What may have been meant, each usable as it is."""


@dataclass(frozen=True, slots=True)
class ServerRef:
    """A real server of one service, as far as a target can name it."""

    service: str
    name: str
    address: Address
    port: int

    def __str__(self) -> str:
        return f"{self.service}/{self.name}"

    @property
    def exact(self) -> str:
        """The target that means this one and no other."""
        return f"{self.service}/{endpoint(self.address, self.port)}"


def resolve(target: str, servers: Iterable[ServerRef]) -> list[ServerRef]:
    """The servers that a target means, at least one; raises TargetError."""
    known = list(servers)
    selector = select(target, known)
    return [s for s in known if selector.matches(s.service, s.name, s.address, s.port)]


def select(target: str, servers: Iterable[ServerRef]) -> Selector:
    """The selector a target stands for, checked against the servers there are; raises TargetError."""
    _check_text(target)
    known = list(servers)
    service, place = _split(target, known)
    within = [s for s in known if service in (None, s.service)]
    if named := [s for s in within if s.name == place]:
        _check_one_machine(target, named)
        return Selector(service=service, server=place)
    located = _location(place)
    if located is None:
        raise unknown("server", target, _words(within, service), among="in the configuration")
    address, port = located
    at = [s for s in within if s.address == address and port in (None, s.port)]
    if not at:
        near = [s.exact for s in within if s.address == address]
        raise unknown("server", target, near or _words(within, service), close=not near)
    return Selector(service=service, address=address, port=port)


def unknown(
    noun: str, word: str, there_are: Iterable[str], *, among: str = "", close: bool = True
) -> TargetError:
    """The error for a word that names nothing, with the nearest of what there is.

    `close=False` takes `there_are` for candidates as they are.
    """
    words = sorted(set(there_are))
    candidates = get_close_matches(word, words, n=5, cutoff=0.6) if close else words[:10]
    where = f" {among}" if among else ""
    hint = f"did you mean {' or '.join(candidates)}?" if candidates else _listing(noun, words)
    return TargetError(Fault.UNKNOWN, f"no {noun} {_quoted(word)}{where}", hint=hint, candidates=candidates)


def _listing(noun: str, words: Sequence[str]) -> str:
    if not words:
        return f"there is no {noun} at all"
    short = [word for word in words if "/" not in word] or words
    more = ", ..." if len(short) > 10 else ""
    return f"there is {', '.join(short[:10])}{more}"


def _check_text(target: str) -> None:
    if not target or len(target) > LONGEST or not target.isprintable() or target != target.strip():
        raise TargetError(
            Fault.MALFORMED,
            f"{_quoted(target)} is not a target",
            hint="say NAME, SERVICE/NAME, ADDRESS, ADDRESS:PORT or SERVICE/ADDRESS:PORT",
        )


def _split(target: str, known: Sequence[ServerRef]) -> tuple[str | None, str]:
    """The service and the rest; a target without a service has None."""
    if any(s.name == target for s in known) or "/" not in target:
        return None, target
    service, _, place = target.partition("/")
    services = {s.service for s in known}
    if service not in services:
        raise unknown("service", service, services)
    if not place:
        hint = f"say {service}/NAME or {service}/ADDRESS:PORT"
        raise TargetError(Fault.MALFORMED, f"{_quoted(target)} names no server", hint=hint)
    return service, place


def _location(place: str) -> tuple[Address, int | None] | None:
    """Address and port of `10.0.0.3`, `10.0.0.3:80`, `2001:db8::3`, `[2001:db8::3]:80`; None: neither."""
    address = _address(place)
    if address is not None:
        return address, None
    host, colon, digits = place.rpartition(":")
    if place.startswith("[") and place.endswith("]"):
        host, colon, digits = place, "", ""
    bracketed = host.startswith("[") and host.endswith("]")
    address = _address(host[1:-1] if bracketed else host)
    if address is None or bracketed is not (address.version == 6):
        return None
    if not colon:
        return address, None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        return None
    return address, int(digits)


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _check_one_machine(target: str, named: Sequence[ServerRef]) -> None:
    if len({s.address for s in named}) == 1:
        return
    candidates = sorted({s.exact for s in named})
    raise TargetError(
        Fault.AMBIGUOUS,
        f"{_quoted(target)} stands for {len({s.address for s in named})} machines",
        hint=f"say which: {', '.join(candidates[:10])}",
        candidates=candidates,
    )


def _words(servers: Iterable[ServerRef], service: str | None) -> list[str]:
    """What could have been said instead."""
    if service is not None:
        return [str(s) for s in servers]
    return [word for s in servers for word in (s.name, str(s))]


def _quoted(word: str) -> str:
    return repr(word if len(word) <= 64 else word[:61] + "...")
