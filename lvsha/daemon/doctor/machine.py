"""The machine: kernel settings, modules, the table as a whole, and who else writes it."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, ServiceConfig
from lvsha.daemon import settings
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import error, info, listed, ok, sysctl, warning
from lvsha.desired import Knowledge, desired
from lvsha.kernel.modules import Presence


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about the machine."""
    if config.services or config.sync:
        yield from _kernel(facts)
    yield from _settings(config, facts)
    yield from _changed(facts)
    yield from _modules(config, facts)
    if not facts.trouble:
        yield from _services(config, facts)
        yield from _strangers(config, facts)
    yield from _programs(config, facts)


def modules(config: Config) -> dict[str, str]:
    """The modules that a configuration needs, and what for."""
    wanted = {f"ip_vs_{s.scheduler}": f"scheduler {s.scheduler}" for s in config.services.values()}
    for service in config.services.values():
        if service.persistence is not None and service.persistence.engine:
            engine = service.persistence.engine
            wanted[f"ip_vs_pe_{engine}"] = f"persistence engine {engine}"
    return wanted


def _kernel(facts: Facts) -> Iterator[FindingView]:
    if facts.trouble:
        yield error("kernel", facts.trouble, "modprobe ip_vs")
    else:
        yield ok("kernel", "IPVS answers")


def _settings(config: Config, facts: Facts) -> Iterator[FindingView]:
    for name, value in settings.wanted(config).items():
        there = facts.sysctls.get(name)
        if there == str(value):
            yield ok(name, f"is {value}")
        elif there is not None:
            yield error(name, f"is {there}, needed is {value}", sysctl((name, value)))
        elif not facts.trouble:
            yield error(name, f"is needed to be {value}, and this kernel has no such setting")


def _changed(facts: Facts) -> Iterator[FindingView]:
    """What lvsha has set, and from what; what has other values by now is somebody else's."""
    changed = [e for e in facts.changed if e.before != e.after and facts.sysctls.get(e.name) == e.after]
    if changed:
        words = listed((f"{e.name} = {e.after} (was {e.before})" for e in changed), most=len(changed))
        yield info("settings", f"changed by lvsha, and put back when nothing needs them: {words}")


def _modules(config: Config, facts: Facts) -> Iterator[FindingView]:
    used = {_scheduler(key.scheduler) for key in (s.service for s in facts.observed.services.values())}
    for module, what in modules(config).items():
        presence = facts.modules.get(module, Presence.UNKNOWN)
        if module in used or presence in (Presence.IN, Presence.AT_HAND):
            yield ok(f"module {module}", f"{what} is there")
        elif presence is Presence.MISSING:
            hint = "another kernel package has it, or another choice does without"
            yield error(f"module {module}", f"this kernel has no {what}; {hint}")


def _scheduler(name: str) -> str:
    return f"ip_vs_{name}"


def _services(config: Config, facts: Facts) -> Iterator[FindingView]:
    for name, service in config.services.items():
        yield _service(name, service, facts)
    for refused in facts.refused:
        yield error("kernel", f"refused: {refused}", "lvsha-cli look")


def _service(name: str, service: ServiceConfig, facts: Facts) -> FindingView:
    there = facts.observed.services.get(service.key)
    if there is None:
        return error(f"service {name}", f"{service.key} is not in the kernel's table", "lvsha-cli look")
    serving = sum(1 for state in there.servers.values() if state.server.weight)
    if not serving:
        servers = f"none of its {len(service.servers)} servers takes new connections"
        return error(f"service {name}", servers, f"lvsha-cli servers {name}")
    return ok(
        f"service {name}", f"{service.key} is in the table, with {serving} servers that take connections"
    )


def _strangers(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Services that are not lvsha's."""
    wanted = desired(config, Knowledge({})).services
    strangers = [key for key in facts.observed.services if key not in wanted]
    if strangers:
        words = f"not in the configuration, but in the kernel's table: {listed(strangers)}"
        yield info("table", words, '[ipvs] unknown_services = "remove" takes them out')


def _programs(config: Config, facts: Facts) -> Iterator[FindingView]:
    for program in sorted(facts.programs):
        if config.services:
            words = "runs here too: if it writes IPVS, each of the two undoes what the other does"
            yield warning(f"program {program}", words, f"systemctl disable --now {program}")
