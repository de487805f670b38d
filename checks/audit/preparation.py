"""What a real server is to be prepared for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from checks import settings

Address = IPv4Address | IPv6Address

MODES = ("dr", "tun")
KINDS = ("ipip", "gue", "gre")
CHECKSUMS = ("none", "checksum", "remote")

INTERFACE = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:@+-]{1,15}", re.ASCII)
"""Names of interfaces that may stand in a command; the kernel allows almost any byte."""


def _port_problems(tunnel: Encapsulation) -> list[str]:
    if tunnel.kind == "gue" and not tunnel.port:
        return ["port: missing: gue travels over UDP"]
    if tunnel.kind != "gue" and tunnel.port:
        return [f"port: {tunnel.kind} has none; only gue travels over UDP"]
    if tunnel.kind == "ipip" and tunnel.checksum != "none":
        return ["checksum: ipip has no header that one could stand in"]
    return ["checksum: remote is of gue only"] if (tunnel.kind, tunnel.checksum) == ("gre", "remote") else []


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """How packets of mode `tun` are wrapped: the director's `tunnel`, in the same words."""

    kind: str = "ipip"
    """`ipip`, `gue` or `gre`."""
    port: int = 0
    """UDP port of `gue`."""
    checksum: str = "none"
    """`none`, `checksum` or `remote`, as the director has it: gre unwraps only what agrees."""

    def __post_init__(self) -> None:
        settings.require(
            settings.one_of("kind", self.kind, KINDS),
            settings.one_of("checksum", self.checksum, CHECKSUMS),
            settings.within("port", self.port, 0, 65535),
            _port_problems(self),
        )


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a real server must be ready for; everything that `examine` judges by."""

    mode: str
    """`dr` or `tun`."""
    vips: tuple[str, ...]
    """The services' addresses."""
    tunnel: Encapsulation = Encapsulation()
    """How packets come in mode `tun`."""
    local: str = ""
    """The server's own address that tunnels end at. Empty: found by the way to the director."""
    device: str = ""
    """A tunnel device that is there, such as `tunl0`. Empty: whichever fits, else one of lvsha's own."""
    interfaces: tuple[str, ...] = ()
    """Interfaces that must keep still. Empty: all."""
    directors: tuple[str, ...] = ()
    """Addresses of the directors, as far as known."""

    def __post_init__(self) -> None:
        settings.require(
            settings.one_of("mode", self.mode, MODES),
            [] if self.vips else ["vips: missing"],
            problems(self.vips, self.local, self.device, self.interfaces, self.directors),
            _mode_problems(self),
        )

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The services' addresses, each once."""
        return tuple(dict.fromkeys(ip_address(vip) for vip in self.vips))

    def of(self, version: int) -> tuple[Address, ...]:
        """Those of IP version 4 or 6."""
        return tuple(vip for vip in self.addresses if vip.version == version)

    @property
    def routers(self) -> frozenset[Address]:
        """The directors' addresses: not the way to the clients, but perhaps the server's own."""
        return frozenset(ip_address(director) for director in self.directors)


def problems(
    vips: Iterable[str],
    local: str,
    device: str,
    interfaces: Iterable[str],
    directors: Iterable[str],
) -> list[str]:
    """What is wrong with the texts of a preparation, each problem beginning with its field."""
    found = [problem for vip in vips for problem in _vip(vip)]
    found += [f"local: {local!r} is not an IP address"] if local and not settings.is_address(local) else []
    found += [
        f"directors: {text!r} is not an IP address" for text in directors if not settings.is_address(text)
    ]
    found += [f"device: {device!r} is no name"] if device and not INTERFACE.fullmatch(device) else []
    return found + [
        f"interfaces: {name!r} is no name" for name in interfaces if not INTERFACE.fullmatch(name)
    ]


def _vip(text: str) -> list[str]:
    if not settings.is_address(text) or "%" in text:
        return [f"vips: {text!r} is not an IP address"]
    vip = ip_address(text)
    if vip.is_unspecified or vip.is_multicast or vip.is_loopback or vip.is_link_local:
        return [f"vips: {text} is no address that clients could use"]
    return []


def _mode_problems(wanted: Preparation) -> list[str]:
    if wanted.mode == "tun":
        return []
    of_tun = (
        ("tunnel", wanted.tunnel != Encapsulation()),
        ("local", wanted.local),
        ("device", wanted.device),
    )
    return [f"{field}: is of mode tun only" for field, given in of_tun if given]
