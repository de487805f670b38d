"""Any dataclass in, the same out; anything else refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.errors import InputError
from lvsha.speaker import codec


class Colour(StrEnum):
    """One of a few."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Apple:
    """Has a number."""

    kind: ClassVar[str] = "apple"
    weight: float


@dataclass(frozen=True)
class Pear:
    """Has a default."""

    kind: ClassVar[str] = "pear"
    count: int = 1


@dataclass(frozen=True)
class Basket:
    """Has everything."""

    name: str
    colour: Colour
    fruit: tuple[Apple | Pear, ...]
    at: IPv4Address | IPv6Address | None = None
    numbers: Mapping[int, str] | None = None
    open: bool = False


baskets = st.builds(
    Basket,
    name=st.text(),
    colour=st.sampled_from(Colour),
    fruit=st.lists(
        st.builds(Apple, weight=st.floats(allow_nan=False, allow_infinity=False))
        | st.builds(Pear, count=st.integers())
    ).map(tuple),
    at=st.none() | st.ip_addresses(),
    numbers=st.none() | st.dictionaries(st.integers(0, 255), st.text()),
    open=st.booleans(),
)


@given(baskets)
def test_a_value_comes_back(basket: Basket) -> None:
    """Decoding what was encoded gives an equal value, whatever is in it."""
    assert codec.decode(Basket, codec.loads(codec.dumps(basket), "basket")) == basket


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["name", "fruit"]), inner),
)


@given(json_values)
def test_anything_else_is_an_input_error(data: object) -> None:
    """No JSON makes the decoder raise anything but an InputError."""
    with pytest.raises(InputError):
        codec.decode(Basket, data)


def test_the_place_is_told() -> None:
    """An error deep inside names its way there."""
    data = {
        "name": "b",
        "colour": "red",
        "fruit": [{"kind": "apple", "weight": 1}, {"kind": "pear", "count": 1.5}],
    }
    with pytest.raises(InputError, match=r"fruit\[1\]\.count: 1\.5 is not a whole number"):
        codec.decode(Basket, data)


def test_an_address_is_parsed() -> None:
    """An address is an address inside and text outside."""
    basket = Basket("b", Colour.RED, (), at=ip_address("2001:db8::1"))
    assert b'"at":"2001:db8::1"' in codec.dumps(basket)
