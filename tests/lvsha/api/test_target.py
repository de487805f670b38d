"""Which servers an operator's words mean."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.api.target import Fault, ServerRef, TargetError, resolve, select, unknown
from lvsha.overrides import Selector


def ref(service: str, name: str, address: str, port: int) -> ServerRef:
    """A server, in words."""
    return ServerRef(service, name, ip_address(address), port)


WEB3 = ref("web", "rs3", "10.0.0.3", 80)
WEB4 = ref("web", "rs4", "10.0.0.4", 80)
TLS3 = ref("tls", "rs3", "10.0.0.3", 8443)
MAIL3 = ref("mail", "mx", "10.0.0.3", 25)
SIX = ref("six", "rs6", "2001:db8::3", 80)
POOL_A = ref("pool-a", "worker", "10.0.0.21", 80)
POOL_B = ref("pool-b", "worker", "10.0.0.22", 80)
ALL = [WEB3, WEB4, TLS3, MAIL3, SIX, POOL_A, POOL_B]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("rs3", [WEB3, TLS3]),
        ("web/rs3", [WEB3]),
        ("10.0.0.3", [WEB3, TLS3, MAIL3]),
        ("10.0.0.3:80", [WEB3]),
        ("web/10.0.0.3", [WEB3]),
        ("tls/10.0.0.3:8443", [TLS3]),
        ("2001:db8::3", [SIX]),
        ("2001:0DB8:0::3", [SIX]),
        ("[2001:db8::3]", [SIX]),
        ("[2001:db8::3]:80", [SIX]),
        ("six/[2001:db8::3]:80", [SIX]),
        ("pool-a/worker", [POOL_A]),
    ],
)
def test_means(target: str, expected: list[ServerRef]) -> None:
    """Each form of a target means the servers it says."""
    assert resolve(target, ALL) == expected


def test_selector_keeps_the_words() -> None:
    """A name is kept as a name, so that it also holds for a service that gains the server tomorrow."""
    assert select("rs3", ALL) == Selector(server="rs3")
    assert select("web/10.0.0.3:80", ALL) == Selector("web", None, ip_address("10.0.0.3"), 80)


@pytest.mark.parametrize("which", ALL, ids=str)
def test_exact_means_one(which: ServerRef) -> None:
    """The exact form of a server means that one and no other: it is what candidates are told in."""
    assert resolve(which.exact, ALL) == [which]


@pytest.mark.parametrize(
    ("target", "candidates"),
    [
        ("rs33", ["rs3"]),
        ("web/rs33", ["web/rs3"]),
        ("wob/rs3", ["web"]),
        ("10.0.0.3:81", [MAIL3.exact, TLS3.exact, WEB3.exact]),
    ],
)
def test_unknown_tells_what_is_near(target: str, candidates: list[str]) -> None:
    """A slip of the finger is answered with what may have been meant."""
    with pytest.raises(TargetError) as refusal:
        resolve(target, ALL)
    assert refusal.value.fault is Fault.UNKNOWN
    assert set(candidates) <= set(refusal.value.candidates)
    assert "did you mean" in refusal.value.hint


def test_unknown_without_a_neighbour() -> None:
    """Where nothing is near, what there is is told."""
    with pytest.raises(TargetError) as refusal:
        resolve("zzzzz", ALL)
    assert refusal.value.candidates == ()
    assert refusal.value.hint == "there is mx, rs3, rs4, rs6, worker"


def test_nothing_configured() -> None:
    """Without servers the hint says so."""
    with pytest.raises(TargetError, match="no server 'rs3'") as refusal:
        resolve("rs3", [])
    assert refusal.value.hint == "there is no server at all"


def test_one_name_two_machines() -> None:
    """A name that stands for two machines is refused with both, each usable as it is."""
    with pytest.raises(TargetError, match="stands for 2 machines") as refusal:
        resolve("worker", ALL)
    assert refusal.value.fault is Fault.AMBIGUOUS
    assert refusal.value.candidates == (POOL_A.exact, POOL_B.exact)


@pytest.mark.parametrize(
    "target",
    ["", " rs3", "rs3\n", "rs3\0", "x" * 257, "web/", "\x1b[2J"],
)
def test_malformed(target: str) -> None:
    """What is no target is told so, with the forms there are."""
    with pytest.raises(TargetError) as refusal:
        resolve(target, ALL)
    assert refusal.value.fault is Fault.MALFORMED
    assert refusal.value.hint.startswith("say ")
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "target",
    [
        "10.0.0.3:",
        "10.0.0.3:x",
        "10.0.0.3:800000",
        "10.0.0.3:-80",
        "[10.0.0.3]:80",
        "2001:db8::3:",
        "[::",
        "/rs3",
    ],
)
def test_almost_an_address(target: str) -> None:
    """What is almost an address selects nothing."""
    with pytest.raises(TargetError) as refusal:
        resolve(target, ALL)
    assert refusal.value.fault is Fault.UNKNOWN


def test_name_that_looks_like_an_address() -> None:
    """A word that is both a name and an address is a name: names are what the file says."""
    odd = ref("web", "10.0.0.4", "10.0.0.9", 80)
    assert resolve("10.0.0.4", [WEB4, odd]) == [odd]


def test_name_with_a_slash() -> None:
    """A name with a slash in it is found as a whole."""
    odd = ref("web", "rack/3", "10.0.0.9", 80)
    assert resolve("rack/3", [*ALL, odd]) == [odd]
    assert resolve("web/rack/3", [*ALL, odd]) == [odd]


@settings(deadline=None)
@given(st.text())
def test_any_text(target: str) -> None:
    """Any text is either understood or refused with a TargetError that can be printed."""
    try:
        told = ", ".join(map(str, resolve(target, ALL)))
    except TargetError as error:
        told = str(error)
    assert told.isprintable()
    assert 0 < len(told) < 400


def test_unknown_serves_other_nouns() -> None:
    """The same error serves instances and whatever else has a name."""
    error = unknown("VRRP instance", "pubic", ["public", "inside"])
    assert str(error) == "no VRRP instance 'pubic'"
    assert error.candidates == ("public",)
