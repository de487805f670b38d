"""The devices that unwrap what the director sends, and the ports of gue.

Which device it takes depends on what is outside and what is inside (what IPVS sends:
ip_vs_tunnel_xmit() in net/netfilter/ipvs/ip_vs_xmit.c):

                 outside IPv4                outside IPv6
    ipip, gue    ipip for IPv4 inside,       ip6tnl of mode any
                 sit for IPv6 inside
    gre          gre                         ip6gre

gue is ipip within UDP: the port (`ip fou add port N gue`) takes the UDP off, a device does the rest. A device
takes packets for its own `local` address, or for any; one of remote `any` takes them from everywhere. The
kernel's own fallback devices (tunl0, gre0 ...) do as well as one that was made, once they are up, except that
ip6tnl0 takes IPv6 alone and gre0 no checksum. gre with a checksum is unwrapped only by a device that expects
one, and the other way round (ip_tunnel_rcv() in net/ipv4/ip_tunnel.c).

The MTU of such a device limits what is sent into it, which is nothing. What counts is the way from the
director: a packet of 1500 bytes does not fit into a wire of 1500 bytes once it is wrapped. Then the director
asks the client by ICMP for smaller ones; a client that does not hear that hangs. So clients are asked for
smaller ones from the first: by the MSS that the server names in its SYN-ACK, which passes no director.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from checks.audit.facts import Facts, Link
from checks.audit.finding import Finding, Severity, stop
from checks.audit.preparation import Address, Preparation
from checks.audit.steps import AddFou, AddLink, ClampMss, LoadModule, SetMtu, SetUp, Step, shown

_FALLBACK = {"tunl0": "ipip", "sit0": "sit", "gre0": "gre", "ip6tnl0": "ip6tnl", "ip6gre0": "ip6gre"}
"""Devices that come with a module (net.core.fb_tunnels_only_for_init_net), and its kind."""
_MODULES = {"gre": "ip_gre", "ip6tnl": "ip6_tunnel", "ip6gre": "ip6_gre"}
_PAYLOADS = {"ip6ip6": (6,), "ipip6": (4,), "ip4ip6": (4,), "ip6ip": (6,)}
"""What a device takes that does not take any."""

_TCP = 20


@dataclass(frozen=True, slots=True)
class Device:
    """The device that a family of services' addresses belongs on."""

    name: str
    findings: tuple[Finding, ...]


def local(wanted: Preparation, facts: Facts) -> Address | Finding:
    """The server's own address to which the director sends, or why it is not known."""
    own = {held.address.ip: held for held in facts.addresses}
    if wanted.local:
        given = ip_address(wanted.local)
        if given in own:
            return given
        return stop(f"address {given}", "on no interface", "this server's own", "tunnels end at it", "")
    found = next((address for address in _near(wanted, facts)), None)
    if found is None:
        advice = "lvsha-cli realserver setup --local ADDRESS"
        why = "neither a director's network nor a default route leads to an address"
        return stop("the tunnels' end", "not known", "an address of this server", why, advice)
    return found


def _near(wanted: Preparation, facts: Facts) -> Iterator[Address]:
    """Addresses of this server on the way to a director, then on the way out."""
    loud = {link.name for link in facts.loud()}
    held = [h for h in facts.addresses if h.device in loud and h.scope == "global"]
    held = [h for h in held if h.address.ip not in wanted.addresses]
    for router in wanted.routers:
        yield from (h.address.ip for h in held if router in h.address.network)
    versions = {router.version for router in wanted.routers} or {4, 6}
    for version in sorted(versions):
        for route in facts.routes:
            if route.via.version == version:
                yield from (
                    h.address.ip for h in held if h.device == route.device and h.address.version == version
                )


def devices(wanted: Preparation, facts: Facts, end: Address) -> dict[int, Device]:
    """The device for the services' addresses of either IP version, by version."""
    return {version: _device(wanted, facts, end, version) for version in (4, 6) if wanted.of(version)}


def port(wanted: Preparation, facts: Facts, end: Address) -> Iterator[Finding]:
    """The UDP port of gue."""
    if wanted.tunnel.kind != "gue":
        return
    number, version = wanted.tunnel.port, end.version
    setting, needed = f"udp port {number} (IPv{version})", "gue"
    open_ = {gue for there, family, gue in facts.fou or () if (there, family) == (number, version)}
    if True in open_:
        yield Finding(setting, "gue", needed)
    elif open_:
        why, advice = "gue is not understood there", shown(AddFou(number, version).reverse)
        yield stop(setting, "another encapsulation", needed, why, advice)
    else:
        steps: tuple[Step, ...] = (AddFou(number, version),)
        steps = (LoadModule("fou"), *steps) if facts.fou is None else steps
        why = "nothing takes the UDP off what the director sends"
        yield Finding(setting, "closed", needed, Severity.ERROR, why, steps)


def mss(wanted: Preparation, facts: Facts, end: Address) -> Iterator[Finding]:
    """Clients are told to send no more than fits once it is wrapped. Only who is told of rules can see it."""
    for version, vips in ((version, wanted.of(version)) for version in (4, 6)):
        if not vips or facts.nft is None:
            continue
        most = _fit(wanted, facts, end) - (40 if version == 6 else 20) - _TCP
        setting, needed = f"MSS (IPv{version})", f"at most {most}"
        open_ = [vip for vip in vips if not any(at == vip and size <= most for at, size in facts.clamps)]
        if not open_:
            yield Finding(setting, needed, needed)
            continue
        found = f"as the way out has it, from {', '.join(map(str, open_))}"
        why = "a client that no ICMP reaches hangs at its first full packet, too long once it is wrapped"
        step = ClampMss(version, ", ".join(map(str, sorted(vips))), most)
        mend: tuple[Step, ...] = (step,) if facts.nft else ()
        advice = "" if facts.nft else _by_iptables(step)
        yield Finding(setting, found, needed, Severity.WARNING, why, mend, advice)


def _by_iptables(clamp: ClampMss) -> str:
    program = "ip6tables" if clamp.version == 6 else "iptables"
    what = f"-p tcp -s {clamp.addresses.replace(' ', '')} --tcp-flags SYN,RST SYN"
    return f"{program} -t mangle -A OUTPUT {what} -j TCPMSS --set-mss {clamp.mss}"


def kind(wanted: Preparation, end: Address, inner: int) -> str:
    """The kind of device for what is wrapped in which way."""
    if wanted.tunnel.kind == "gre":
        return "gre" if end.version == 4 else "ip6gre"
    if end.version == 6:
        return "ip6tnl"
    return "ipip" if inner == 4 else "sit"


def overhead(wanted: Preparation, end: Address) -> int:
    """Bytes that the wrapping adds (ip_vs_gue_encap(), ip_vs_gre_encap())."""
    outer = 20 if end.version == 4 else 40
    match wanted.tunnel.kind, wanted.tunnel.checksum:
        case "gue", "remote":
            return outer + 8 + 4 + 8
        case "gue", _:
            return outer + 8 + 4
        case "gre", "checksum":
            return outer + 8
        case "gre", _:
            return outer + 4
    return outer


def _device(wanted: Preparation, facts: Facts, end: Address, inner: int) -> Device:
    need = kind(wanted, end, inner)
    needed = f"one that unwraps {wanted.tunnel.kind} for {end}"
    fitting = [link for link in facts.links.values() if _fits(link, wanted, end, inner)]
    chosen = _best(fitting, wanted, need)
    if chosen is None:
        return _missing(wanted, facts, end, need, needed)
    mtu = _mtu(chosen, wanted, facts, end)
    if chosen.up:
        return Device(chosen.name, (Finding(f"device {chosen.name}", f"up ({need})", needed), *mtu))
    why = "a device that is down unwraps nothing"
    down = Finding(
        f"device {chosen.name}", "down", f"{needed}, up", Severity.ERROR, why, (SetUp(chosen.name),)
    )
    return Device(chosen.name, (down, *mtu))


def _fits(link: Link, wanted: Preparation, end: Address, inner: int) -> bool:
    """Whether a device unwraps what comes for `end`."""
    return (
        link.kind == kind(wanted, end, inner)
        and link.local in (None, end)
        and (link.remote is None or link.remote in wanted.routers)
        and (wanted.tunnel.kind != "gre" or link.checksum == (wanted.tunnel.checksum == "checksum"))
        and inner in _PAYLOADS.get(link.payload, (4, 6))
    )


def _best(fitting: list[Link], wanted: Preparation, need: str) -> Link | None:
    """The one that was asked for; else one of lvsha's own, one that is up, one that was made."""
    if wanted.device:
        return next((link for link in fitting if link.name == wanted.device), None)
    # A fallback device that nobody brought up is left in peace: it would unwrap for any address.
    usable = [link for link in fitting if link.up or link.name not in _FALLBACK]
    return min(usable, key=lambda link: (link.name != _own(need), not link.up), default=None)


def _own(need: str) -> str:
    return f"lvsha-{need}"


def _missing(wanted: Preparation, facts: Facts, end: Address, need: str, needed: str) -> Device:
    """No device fits: make one, unless that is not for us to do."""
    name = wanted.device or _own(need)
    setting, why = f"device {name}", "nothing unwraps what the director sends"
    if name in facts.links:
        found = _told(facts.links[name])
        advice = "choose another with --device" if wanted.device else f"ip link del dev {name}"
        return Device(name, (stop(setting, found, needed, why, advice),))
    if name in _FALLBACK:
        mend: tuple[Step, ...] = (LoadModule(_MODULES.get(need, need)), SetUp(name))
        if _FALLBACK[name] != need:
            return Device(name, (stop(setting, _FALLBACK[name], needed, why, "choose another device"),))
        return Device(name, (Finding(setting, "missing", needed, Severity.ERROR, why, mend),))
    if wanted.device:
        return Device(name, (stop(setting, "missing", needed, why, "leave --device out"),))
    checksum = wanted.tunnel == type(wanted.tunnel)("gre", checksum="checksum")
    add = AddLink(name, need, str(end), _fit(wanted, facts, end), checksum)
    return Device(name, (Finding(setting, "missing", needed, Severity.ERROR, why, (add, SetUp(name))),))


def _told(link: Link) -> str:
    """A device that does not fit, in words."""
    ends = f"from {link.remote or 'any'} to {link.local or 'any'}"
    return f"{link.kind or 'no tunnel'} {ends}{', with checksum' if link.checksum else ''}"


def _fit(wanted: Preparation, facts: Facts, end: Address) -> int:
    """What fits through the interface that the tunnels come in by, once it is wrapped."""
    by = next((facts.links[h.device] for h in facts.holders(end) if h.device in facts.links), None)
    return (by.mtu if by is not None else 1500) - overhead(wanted, end)


def _mtu(link: Link, wanted: Preparation, facts: Facts, end: Address) -> list[Finding]:
    """The device's MTU tells what fits: no more than that."""
    fit = _fit(wanted, facts, end)
    if link.mtu <= fit:
        return [Finding(f"device {link.name} mtu", str(link.mtu), f"at most {fit}")]
    why = f"{link.mtu} bytes do not fit through the wire once they are wrapped"
    mend = (SetMtu(link.name, fit, link.mtu),)
    return [Finding(f"device {link.name} mtu", str(link.mtu), f"at most {fit}", Severity.WARNING, why, mend)]
