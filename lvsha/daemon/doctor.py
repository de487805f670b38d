"""What is wrong, or about to be, with this director: each finding with the command that mends it."""

from __future__ import annotations

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon import settings
from lvsha.kernel.sysctl import SysctlError, read
from lvsha.model import Observed


def examine(config: Config, observed: Observed) -> list[FindingView]:
    """Every finding about the kernel's settings and table; `ok` findings say what was looked at."""
    return [*_settings(config), *_services(config, observed)]


def _settings(config: Config) -> list[FindingView]:
    return [_setting(name, str(value)) for name, value in settings.wanted(config).items()]


def _setting(name: str, value: str) -> FindingView:
    try:
        there = read(name)
    except SysctlError as error:
        return FindingView("error", name, str(error))
    if there == value:
        return FindingView("ok", name, f"is {value}")
    return FindingView("error", name, f"is {there}, needed is {value}", f"sysctl -w {name}={value}")


def _services(config: Config, observed: Observed) -> list[FindingView]:
    known = {s.key for s in config.services.values()}
    missing = [
        FindingView("error", f"service {name}", f"{s.key} is not in the kernel's table", "lvsha-cli plan")
        for name, s in config.services.items()
        if s.key not in observed.services
    ]
    foreign = [
        FindingView("info", str(key), "is in the kernel's table but not in the configuration")
        for key in observed.services
        if key not in known
    ]
    return [*missing, *foreign]
