"""What IPVS says of itself, and the timeouts of its connections."""

from __future__ import annotations

from dataclasses import dataclass

from lvsha.kernel.attributes import number, pack_u32, unpack
from lvsha.kernel.ipvs import abi
from lvsha.model import Timeouts


@dataclass(frozen=True, slots=True)
class Info:
    """The kernel's IPVS."""

    version: str
    """Such as `1.2.1`."""
    table_size: int
    """Buckets of the connection table (the module's conn_tab_bits)."""


def pack_timeouts(timeouts: Timeouts) -> bytes:
    """The timeouts to be set, in whole seconds; one of 0 is left as it is."""
    pairs = (
        (abi.TIMEOUT_TCP, timeouts.tcp),
        (abi.TIMEOUT_TCP_FIN, timeouts.tcp_fin),
        (abi.TIMEOUT_UDP, timeouts.udp),
    )
    return b"".join(pack_u32(kind, seconds) for kind, seconds in pairs if seconds)


def unpack_timeouts(attributes: bytes) -> Timeouts:
    """The timeouts in force; a kernel built without one of the protocols does not send its."""
    found = unpack(attributes)
    return Timeouts(
        number(found, abi.TIMEOUT_TCP, 0),
        number(found, abi.TIMEOUT_TCP_FIN, 0),
        number(found, abi.TIMEOUT_UDP, 0),
    )


def unpack_info(attributes: bytes) -> Info:
    """The answer to GET_INFO; raises MalformedError."""
    found = unpack(attributes)
    # NVERSION: one byte for each of the three numbers.
    version = number(found, abi.INFO_VERSION)
    return Info(
        f"{version >> 16 & 0xFF}.{version >> 8 & 0xFF}.{version & 0xFF}",
        number(found, abi.INFO_CONN_TAB_SIZE),
    )
