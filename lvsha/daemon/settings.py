"""The kernel settings that a configuration needs, written and told.

A setting that is right already is not written, and settings outside a mode that is in use are
left alone. They are looked at when the daemon starts and at each reload.
"""

from __future__ import annotations

from collections.abc import Mapping

from lvsha.config import Config
from lvsha.kernel.sysctl import Sysctl
from lvsha.log import emit
from lvsha.model import Family, Mode

FORWARDING = {Family.IPV4: "net.ipv4.ip_forward", Family.IPV6: "net.ipv6.conf.all.forwarding"}


def wanted(config: Config) -> Mapping[str, str | int]:
    """Every setting that the configuration needs, by its name for sysctl(8)."""
    settings: dict[str, str | int] = {
        f"net.ipv4.vs.{name}": value for name, value in config.ipvs.sysctl.items()
    }
    for service in config.services.values():
        modes = {s.mode for s in (*service.servers, *service.fallback)} | {service.mode}
        # What NAT sends back to a client is forwarded by the ordinary routing code.
        if modes & {Mode.NAT, Mode.FULLNAT}:
            settings[FORWARDING[service.family]] = 1
    return settings


class Settings:
    """The settings of this namespace that lvsha has a hand in."""

    def __init__(self) -> None:
        self._sysctl = Sysctl()

    def apply(self, config: Config) -> None:
        """Write what is not as it should be; a failure is told and stops nothing."""
        settled = self._sysctl.settle(wanted(config))
        for change in settled.changes:
            emit("sysctl.changed", name=change.name, before=change.before, after=change.after)
        for failure in settled.failures:
            emit("sysctl.failed", name=failure.name, value=wanted(config)[failure.name], error=str(failure))
