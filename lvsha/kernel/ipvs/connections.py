"""IPVS's table of connections, as /proc/net/ip_vs_conn shows it (net/netfilter/ipvs/ip_vs_conn.c).

    Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
    TCP C000020A C5A6 C0000264 0007 0A00010C 1B5F ESTABLISHED     898

There is no other way to it: netlink knows services and servers only. Addresses of IPv4 are hexadecimal,
those of IPv6 in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from lvsha.errors import KernelError
from lvsha.model import Address, Protocol

PATH = Path("/proc/thread-self/net/ip_vs_conn")
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP}


class Connection(NamedTuple):
    """One connection. A tuple, for there are many."""

    protocol: Protocol
    client: Address
    client_port: int
    address: Address
    """The service's."""
    port: int
    server: Address
    server_port: int
    state: str
    """In the kernel's words, such as ESTABLISHED."""
    expires: int
    """Whole seconds until it is forgotten, unless something passes over it."""


def connections(path: Path = PATH) -> Iterator[Connection]:
    """The TCP and UDP connections of this thread's namespace.

    Not a snapshot: what comes and goes meanwhile may be seen or not. Raises KernelError.
    """
    try:
        with path.open() as lines:
            yield from parse(lines)
    except FileNotFoundError:
        return  # no IPVS, no connections
    except (OSError, UnicodeDecodeError) as error:
        raise KernelError(f"the connections of IPVS cannot be read from {path}: {error}") from error


def parse(lines: Iterable[str]) -> Iterator[Connection]:
    """The connections of the file's lines; what is no connection, or cut short, is left out."""
    known: dict[str, Address] = {}
    for line in lines:
        words = line.split()
        protocol = _PROTOCOLS.get(words[0]) if len(words) >= len(Connection._fields) else None
        if protocol is None:
            continue
        try:
            client, address, server = (_address(text, known) for text in (words[1], words[3], words[5]))
            ports = (int(words[2], 16), int(words[4], 16), int(words[6], 16))
            expires = int(words[8])
        except ValueError:
            continue
        yield Connection(protocol, client, ports[0], address, ports[1], server, ports[2], words[7], expires)


def _address(text: str, known: dict[str, Address]) -> Address:
    """An address; most come many times."""
    address = known.get(text)
    if address is None:
        address = known[text] = IPv6Address(text) if ":" in text else IPv4Address(int(text, 16))
    return address
