"""Small configurations, as values, for tests that need a service and its servers."""

from __future__ import annotations

from ipaddress import ip_address

from checks.tcp import Tcp
from lvsha.config import CheckConfig, Config, NodeConfig, ServerConfig, ServiceConfig
from lvsha.model import Family, Mode, Protocol

CHECK = CheckConfig("tcp", Tcp())


def server(number: int, *, check: CheckConfig | None = CHECK, weight: int = 10) -> ServerConfig:
    """Server rs<number> at 10.0.0.<number>:8080."""
    address = ip_address(f"10.0.0.{number}")
    return ServerConfig(f"rs{number}", address, 8080, Mode.NAT, weight, check=check)


def service(*servers: ServerConfig, name: str = "web", port: int = 80) -> ServiceConfig:
    """A NAT service at 192.0.2.100."""
    vip = ip_address("192.0.2.100")
    return ServiceConfig(name, Family.IPV4, vip, port, Protocol.TCP, None, Mode.NAT, servers=servers)


def config(*services: ServiceConfig) -> Config:
    """A configuration of these services."""
    return Config(NodeConfig("lb1"), services={s.name: s for s in services})
