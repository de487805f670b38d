"""From the configuration's VRRP instances to what the speaker is told.

A translation and nothing else: the speaker's spec holds no defaults that depend on a file, no
names to look up, and its keys as text that can be kept over a crash.
"""

from __future__ import annotations

import shlex

from lvsha.config import (
    Config,
    KeyAuth,
    PasswordAuth,
    Track,
    TrackFile,
    TrackGateway,
    TrackInterface,
    TrackProcess,
    TrackScript,
    TrackService,
    VipConfig,
    VrrpConfig,
)
from lvsha.speaker.spec import (
    Checksum,
    FileTracker,
    Garp,
    GatewayTracker,
    Hmac,
    HmacMode,
    InstanceSpec,
    InterfaceTracker,
    Password,
    ProcessTracker,
    ScriptTracker,
    ServiceTracker,
    Tracker,
    VirtualAddress,
)


def specs(config: Config) -> list[InstanceSpec]:
    """Every instance of this node, in the order of the configuration."""
    return [spec(vrrp) for vrrp in config.vrrp.values()]


def spec(vrrp: VrrpConfig) -> InstanceSpec:
    """One instance as the speaker takes it."""
    garp = vrrp.garp
    return InstanceSpec(
        name=vrrp.name,
        interface=vrrp.interface,
        vrid=vrrp.vrid,
        version=vrrp.version,
        priority=vrrp.priority,
        interval=vrrp.interval,
        addresses=_addresses(vrrp.addresses),
        excluded=_addresses(vrrp.excluded),
        preempt=vrrp.preempt,
        preempt_delay=vrrp.preempt_delay,
        start_delay=vrrp.start_delay,
        carrier_delay=vrrp.carrier_delay,
        needs_carrier=vrrp.needs_carrier,
        accept=vrrp.accept,
        checksum=Checksum(vrrp.checksum),
        peers=vrrp.peers if vrrp.unicast else (),
        source=vrrp.address,
        ttl_min=vrrp.ttl_min,
        auth=_auth(vrrp.auth),
        group=vrrp.group,
        virtual_mac=vrrp.virtual_mac,
        lease=vrrp.lease,
        garp=Garp(repeat=garp.repeat, delay=garp.delay, refresh=garp.refresh, interval=garp.interval),
        trackers=tuple(_tracker(t) for t in vrrp.track),
        witness=vrrp.witness,
    )


def tracker_name(track: Track) -> str:
    """What a tracker is called in events and in `vrrp` status."""
    match track:
        case TrackInterface(interface):
            return f"interface {interface}"
        case TrackScript(script):
            return f"script {shlex.join(script)}"
        case TrackFile(file):
            return f"file {file}"
        case TrackProcess(process):
            return f"process {process}"
        case TrackGateway(gateway):
            return f"gateway {gateway}"
        case TrackService(service):
            return f"service {service}"


def _addresses(vips: tuple[VipConfig, ...]) -> tuple[VirtualAddress, ...]:
    return tuple(VirtualAddress(v.address, v.interface) for v in vips)


def _auth(auth: PasswordAuth | KeyAuth | None) -> Password | Hmac | None:
    match auth:
        case PasswordAuth(password):
            return Password(password=password)
        case KeyAuth():
            keys = {number: key.hex() for number, key in auth.keys.items()}
            return Hmac(keys=keys, active=auth.active, mode=HmacMode(auth.mode), window=auth.window)
        case None:
            return None


def _tracker(track: Track) -> Tracker:
    name = tracker_name(track)
    match track:
        case TrackInterface():
            return InterfaceTracker(name=name, interface=track.interface, weight=track.weight)
        case TrackScript():
            return ScriptTracker(
                name=name,
                command=track.script,
                interval=track.interval,
                timeout=track.timeout,
                rise=track.rise,
                fall=track.fall,
                user=track.user,
                weight=track.weight,
            )
        case TrackFile():
            return FileTracker(name=name, file=str(track.file), weight=track.weight)
        case TrackProcess():
            return ProcessTracker(name=name, process=track.process, weight=track.weight)
        case TrackGateway():
            return GatewayTracker(
                name=name,
                gateway=track.gateway,
                interval=track.interval,
                timeout=track.timeout,
                rise=track.rise,
                fall=track.fall,
                weight=track.weight,
            )
        case TrackService():
            return ServiceTracker(name=name, weight=track.weight)
