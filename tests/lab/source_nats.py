"""Source NAT to test with: one entry of each kind, and any that hypothesis may think of."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import strategies as st

from lvsha.model import AddressKey, Family, FwmarkKey, Protocol, ServerKey, ServiceKey, SourceNat, source_nat

LOCAL, LOCAL6 = ("10.0.1.100", "10.0.1.101"), ("2001:db8:2::100", "2001:db8:2::101")


def tcp(address: str, port: int) -> AddressKey:
    """A TCP service."""
    return AddressKey(Protocol.TCP, ip_address(address), port)


def entry(
    key: ServiceKey, local: tuple[str, ...], *servers: tuple[str, int], strip: bool = True
) -> SourceNat:
    """Source NAT in texts."""
    keys = [ServerKey(ip_address(address), port) for address, port in servers]
    return source_nat(key, map(ip_address, local), keys, strip_timestamps=strip)


WEB = entry(tcp("192.0.2.100", 80), LOCAL, ("10.0.1.11", 8080), ("10.0.1.12", 8080))
DNS = entry(
    AddressKey(Protocol.UDP, ip_address("192.0.2.100"), 53), LOCAL[:1], ("10.0.1.11", 53), strip=False
)
EVERY = entry(tcp("192.0.2.101", 0), LOCAL[:1], ("10.0.1.11", 0))
MARK = entry(FwmarkKey(Family.IPV4, 7), LOCAL, ("10.0.1.11", 0), ("10.0.1.13", 8443))
SIX = entry(tcp("2001:db8:1::100", 80), LOCAL6, ("2001:db8:2::11", 8080))
MARK6 = entry(FwmarkKey(Family.IPV6, 7), LOCAL6[:1], ("2001:db8:2::11", 0), strip=False)
ENTRIES = frozenset({WEB, DNS, EVERY, MARK, SIX, MARK6})


def _of(family: Family) -> st.SearchStrategy[SourceNat]:
    vip, near = ("192.0.2.", "10.0.1.") if family is Family.IPV4 else ("2001:db8:1::", "2001:db8:2::")
    addresses = st.integers(1, 4).map(lambda n: ip_address(f"{near}{n}"))
    services = st.builds(
        AddressKey,
        st.sampled_from([Protocol.TCP, Protocol.UDP]),
        st.integers(1, 3).map(lambda n: ip_address(f"{vip}{n}")),
        st.sampled_from([0, 53, 80]),
    )
    keys = services | st.builds(FwmarkKey, st.just(family), st.sampled_from([1, 2**32 - 1]))

    def with_servers(key: ServiceKey) -> st.SearchStrategy[SourceNat]:
        ports = st.just(0) if getattr(key, "port", 1) == 0 else st.sampled_from([80, 8080])
        ports = ports | st.just(0) if isinstance(key, FwmarkKey) else ports
        return st.builds(
            lambda pool, servers, strip: source_nat(key, pool, servers, strip_timestamps=strip),
            st.lists(addresses, min_size=1, max_size=4),
            st.lists(st.builds(ServerKey, addresses, ports), min_size=1, max_size=3),
            st.booleans(),
        )

    return keys.flatmap(with_servers)


def entries() -> st.SearchStrategy[frozenset[SourceNat]]:
    """Any source NAT of either family, one entry a service."""
    one = st.sampled_from(Family).flatmap(_of)
    return st.lists(one, max_size=4, unique_by=lambda e: e.service).map(frozenset)
