"""The kernel settings that a configuration needs, written and told.

A setting that is right already is not written, and settings outside a mode that is in use are
left alone. They are looked at when IPVS has been found, before anything is put into it, and at each
reload.
"""

from __future__ import annotations

from collections.abc import Mapping

from lvsha.config import Config
from lvsha.kernel.sysctl import Sysctl
from lvsha.log import emit
from lvsha.model import Family, Mode

FORWARDING = {Family.IPV4: "net.ipv4.ip_forward", Family.IPV6: "net.ipv6.conf.all.forwarding"}


FULLNAT: Mapping[str, int] = {
    # A connection that a failover brings is taken up in its midst.
    "net.netfilter.nf_conntrack_tcp_loose": 1,
    # A director that has its connections back, after another one had them, knows only where their sequence
    # numbers were: what is beyond its window is no less theirs.
    "net.netfilter.nf_conntrack_tcp_be_liberal": 1,
}
"""What source NAT needs of connection tracking (Documentation/networking/nf_conntrack-sysctl.rst)."""


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
        if Mode.FULLNAT in modes:
            settings.update(FULLNAT)
    return settings


class Settings:
    """The settings of this namespace that lvsha has a hand in."""

    def __init__(self) -> None:
        self._sysctl = Sysctl()
        self._told: frozenset[str] = frozenset()
        """Failures of the latest time."""

    def apply(self, config: Config) -> None:
        """Write what is not as it should be; a failure is told and stops nothing."""
        settled = self._sysctl.settle(wanted(config))
        for change in settled.changes:
            emit("sysctl.changed", name=change.name, before=change.before, after=change.after)
        for failure in settled.failures:
            if str(failure) not in self._told:
                value = wanted(config)[failure.name]
                emit("sysctl.failed", name=failure.name, value=value, error=str(failure))
        self._told = frozenset(str(failure) for failure in settled.failures)
