"""Anything the kernel's table can hold, for hypothesis to draw."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from lvsha.model import (
    Address,
    AddressKey,
    Counters,
    Family,
    FwmarkKey,
    Method,
    Protocol,
    Server,
    ServerKey,
    Service,
    ServiceFlag,
    SyncDaemon,
    SyncRole,
    Timeouts,
    Tunnel,
    TunnelFlag,
    TunnelKind,
)

ports = st.integers(0, 0xFFFF)
numbers = st.integers(0, 0xFFFFFFFF)
names = st.from_regex(r"[a-z][a-z0-9_]{0,14}", fullmatch=True)
addresses: st.SearchStrategy[Address] = st.builds(IPv4Address, numbers) | st.builds(
    IPv6Address, st.integers(0, 2**128 - 1)
)
keys = st.builds(AddressKey, st.sampled_from(Protocol), addresses, ports) | st.builds(
    FwmarkKey, st.sampled_from(Family), st.integers(1, 0xFFFFFFFF)
)
# Every combination of the named flags, and one that a newer kernel may have.
flags = st.integers(0, 0xFF).map(lambda bits: ServiceFlag(bits & ~0x2))
server_keys = st.builds(ServerKey, addresses, ports)
tunnels = st.builds(Tunnel, st.sampled_from(TunnelKind), ports, st.integers(0, 3).map(TunnelFlag))
servers = st.builds(Server, st.sampled_from(Method), numbers, numbers, numbers, tunnels)
counters = st.builds(Counters, *[st.integers(0, 2**64 - 1)] * 10)
timeouts = st.builds(Timeouts, numbers, numbers, numbers)
groups = st.integers(0xE0000000, 0xEFFFFFFF).map(IPv4Address) | st.integers(0, 2**120 - 1).map(
    lambda low: IPv6Address((0xFF << 120) | low)
)
daemons = st.builds(
    SyncDaemon,
    st.sampled_from(SyncRole),
    names,
    st.integers(0, 255),
    ports,
    ports,
    st.integers(0, 255),
    st.none() | groups,
)


def services(family: Family) -> st.SearchStrategy[Service]:
    """Settings of a service of this family; a whole address is the prefix None."""
    least = 1 if family is Family.IPV6 else 0
    prefixes = st.none() | st.integers(least, family.bits - 1)
    return st.builds(Service, names, flags, numbers, prefixes, st.none() | names)
