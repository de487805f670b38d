"""Tests of `lvsha.config.settings.services`."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lvsha.config import PersistenceConfig, ServerConfig, ServiceConfig
from lvsha.model import (
    AddressKey,
    Family,
    FwmarkKey,
    Method,
    Mode,
    Protocol,
    Server,
    Service,
    ServiceFlag,
    Tunnel,
    TunnelKind,
)

ADDRESS = ip_address("192.0.2.100")


def service(**settings: object) -> ServiceConfig:
    """A service with these settings."""
    own: dict[str, object] = {
        "name": "web",
        "family": Family.IPV4,
        "address": ADDRESS,
        "port": 80,
        "protocol": Protocol.TCP,
        "fwmark": None,
        "mode": Mode.NAT,
    }
    return ServiceConfig(**{**own, **settings})  # type: ignore[arg-type]


def test_keys_of_services() -> None:
    """A service is found by its address, port and protocol, or by its mark."""
    assert service().key == AddressKey(Protocol.TCP, ADDRESS, 80)
    assert service(address=None, port=0, fwmark=7).key == FwmarkKey(Family.IPV4, 7)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Service("wlc")),
        ({"one_packet": True}, Service("wlc", ServiceFlag.ONE_PACKET)),
        (
            {"scheduler": "sh", "flags": ("sh-port", "sh-fallback")},
            Service("sh", ServiceFlag.SCHEDULER_2 | ServiceFlag.SCHEDULER_1),
        ),
        (
            {"scheduler": "mh", "flags": ("mh-port", "mh-fallback", "flag-3")},
            Service("mh", ServiceFlag.SCHEDULER_2 | ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_3),
        ),
        (
            {"persistence": PersistenceConfig(360, 24, "sip")},
            Service("wlc", ServiceFlag.PERSISTENT, 360, 24, "sip"),
        ),
        ({"persistence": PersistenceConfig(netmask=32)}, Service("wlc", ServiceFlag.PERSISTENT, 300)),
        (
            {"family": Family.IPV6, "persistence": PersistenceConfig(netmask=128)},
            Service("wlc", ServiceFlag.PERSISTENT, 300),
        ),
        (
            {"family": Family.IPV6, "persistence": PersistenceConfig(netmask=32)},
            Service("wlc", ServiceFlag.PERSISTENT, 300, 32),
        ),
    ],
)
def test_settings_of_services(settings: dict[str, object], expected: Service) -> None:
    """Words become the kernel's flags, and a mask of all bits is no mask, so that a diff sees none."""
    assert service(**settings).service == expected


@pytest.mark.parametrize(
    ("mode", "method"),
    [
        (Mode.NAT, Method.MASQUERADE),
        (Mode.FULLNAT, Method.MASQUERADE),
        (Mode.DR, Method.ROUTE),
        (Mode.TUN, Method.TUNNEL),
    ],
)
def test_settings_of_servers(mode: Mode, method: Method) -> None:
    """Each mode is one of the kernel's methods."""
    tunnel = Tunnel(TunnelKind.GUE, 6080)
    server = ServerConfig("rs1", ADDRESS, 80, mode, 10, 20, 5, tunnel)
    assert server.server == Server(method, 10, 20, 5, tunnel)
    assert str(server.key) == "192.0.2.100:80"
