"""Tests of lvsha.daemon.doctor.machine."""

from __future__ import annotations

from dataclasses import replace

from lvsha.config import IpvsConfig, PersistenceConfig
from lvsha.daemon.doctor.machine import judge, modules
from lvsha.daemon.record import Entry
from lvsha.kernel.modules import Presence
from lvsha.model import AddressKey, Observed, ServiceState
from tests.lab.facts import bad, facts
from tests.lab.services import config, server, service

WEB = service(server(1), server(2))
CFG = config(WEB)


def test_forwarding_that_is_off_is_an_error_with_its_command() -> None:
    """NAT without forwarding: the setting, both values, and what sets it."""
    well = facts(CFG)
    spoiled = replace(well, sysctls={**well.sysctls, "net.ipv4.ip_forward": "0"})
    (found,) = bad(judge(CFG, spoiled))
    assert (found.severity, found.subject) == ("error", "net.ipv4.ip_forward")
    assert found.finding == "is 0, needed is 1"
    assert found.command == "sysctl -w net.ipv4.ip_forward=1"


def test_what_lvsha_has_set_is_told_with_what_it_was() -> None:
    """What somebody has changed since, and what a write left as it was, is not lvsha's."""
    name = "net.ipv4.ip_forward"
    entries = [Entry(name, "0", "1", name), Entry("net.x", "5", "6", "net.x"), Entry("net.y", "1", "1", name)]
    well = facts(CFG, changed=tuple(entries))
    seen = replace(well, sysctls={**well.sysctls, "net.x": "7", "net.y": "1"})
    (found,) = [f for f in judge(CFG, seen) if f.subject == "settings"]
    assert found.severity == "info"
    assert found.finding.endswith(": net.ipv4.ip_forward = 1 (was 0)")
    assert "settings" not in {f.subject for f in judge(CFG, facts(CFG))}


def test_two_numbers_are_quoted_in_the_command() -> None:
    """`sysctl -w net.ipv4.vs.sync_threshold='0 1'` is one word to a shell."""
    cfg = replace(CFG, ipvs=IpvsConfig(sysctl={"sync_threshold": "0 1"}))
    well = facts(cfg)
    (found,) = bad(judge(cfg, replace(well, sysctls={**well.sysctls, "net.ipv4.vs.sync_threshold": "3 50"})))
    assert found.command == "sysctl -w net.ipv4.vs.sync_threshold='0 1'"


def test_a_setting_that_the_kernel_has_not_is_an_error() -> None:
    """An older kernel without it says nothing by itself."""
    cfg = replace(CFG, ipvs=IpvsConfig(sysctl={"conn_max": 5}))
    well = facts(cfg)
    without = {n: v for n, v in well.sysctls.items() if not n.endswith("conn_max")}
    assert [f.subject for f in bad(judge(cfg, replace(well, sysctls=without)))] == ["net.ipv4.vs.conn_max"]


def test_a_kernel_without_ipvs_is_told_once() -> None:
    """Its settings and its table cannot be there either, and are not told beside it."""
    found = bad(judge(CFG, facts(CFG, trouble="the kernel has no IPVS", sysctls={}, observed=Observed())))
    assert [(f.subject, f.command) for f in found] == [("kernel", "modprobe ip_vs")]


def test_a_scheduler_that_the_kernel_has_not() -> None:
    """Missing is an error; loaded when needed, in use, and not to be told are none."""
    gone = {"ip_vs_wlc": Presence.MISSING}
    (found,) = bad(judge(CFG, facts(CFG, modules=gone, observed=Observed())))[:1]
    assert (found.severity, found.subject) == ("error", "module ip_vs_wlc")
    assert not [f for f in bad(judge(CFG, facts(CFG, modules=gone))) if f.subject.startswith("module")]
    unknown = {"ip_vs_wlc": Presence.UNKNOWN}
    assert bad(judge(CFG, facts(CFG, modules=unknown))) == []


def test_the_modules_of_a_configuration() -> None:
    """Schedulers and persistence engines."""
    sip = replace(WEB, scheduler="mh", persistence=PersistenceConfig(engine="sip"))
    assert set(modules(config(sip))) == {"ip_vs_mh", "ip_vs_pe_sip"}


def test_a_service_that_is_not_in_the_table() -> None:
    """The key is named, and what puts it there."""
    (found,) = bad(judge(CFG, facts(CFG, observed=Observed())))
    assert (found.severity, found.command) == ("error", "lvsha-cli look")
    assert "tcp 192.0.2.100:80" in found.finding


def test_a_service_without_a_server_in_service() -> None:
    """In the table, and every client is refused."""
    observed = Observed({WEB.key: ServiceState(WEB.service)})
    (found,) = bad(judge(CFG, facts(CFG, observed=observed)))
    assert found.finding == "none of its 2 servers takes new connections"


def test_what_somebody_else_put_there_is_worth_knowing() -> None:
    """A service that is not in the configuration is no fault, and is named."""
    well = facts(CFG)
    other = AddressKey(WEB.protocol, WEB.key.address, 99)  # type: ignore[union-attr]  # it has an address
    observed = Observed({**well.observed.services, other: ServiceState(WEB.service)})
    (found,) = bad(judge(CFG, replace(well, observed=observed)))
    assert (found.severity, found.subject) == ("info", "table")
    assert "192.0.2.100:99" in found.finding


def test_a_step_that_was_refused() -> None:
    """The kernel's reason is shown."""
    (found,) = bad(judge(CFG, facts(CFG, refused=("add server 10.0.0.1:8080: EINVAL",))))
    assert (found.severity, found.finding) == ("error", "refused: add server 10.0.0.1:8080: EINVAL")


def test_another_writer_of_the_table() -> None:
    """A keepalived beside a director of services is a warning, beside a pure VRRP node it is not."""
    programs = frozenset({"keepalived"})
    (found,) = bad(judge(CFG, facts(CFG, programs=programs)))
    assert (found.severity, found.subject) == ("warning", "program keepalived")
    assert list(judge(config(), facts(config(), programs=programs))) == []
