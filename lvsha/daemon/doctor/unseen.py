"""What nobody looks at: faults of a server that its own port does not show, and no check of it either.

From a director it cannot be seen whether a server's gateway is right, its address is on `lo` and kept still,
its tunnel unwraps. A check that goes the clients' way finds most of it, and one of kind `realserver` the
rest. Where there is neither, a server that serves nobody counts as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lvsha.api.views import FindingView
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import info, listed
from lvsha.model import Mode

FAULTS: Mapping[Mode, str] = {
    Mode.NAT: "a gateway that leads elsewhere",
    Mode.DR: "an address that is missing on lo",
    Mode.TUN: "a tunnel that is down",
}
"""Of mode fullnat a plain check goes the clients' way already."""


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """One finding a service and mode; what was seen does not matter."""
    del facts
    for service in config.services.values():
        for mode, fault in FAULTS.items():
            servers = [s for s in (*service.servers, *service.fallback) if s.mode is mode and not _seen(s)]
            if servers and service.fwmark is None:
                yield _unseen(service, servers, fault)


def _seen(server: ServerConfig) -> bool:
    check = server.check
    return check is not None and (check.through == "vip" or check.kind == "realserver")


def _unseen(service: ServiceConfig, servers: list[ServerConfig], fault: str) -> FindingView:
    names = listed(server.name for server in servers)
    words = f"no check of {names} goes the clients' way: {fault} would not be noticed"
    return info(f"service {service.name}", words, 'give their check through = "vip"')
