"""The speaker, its instances, and what they refuse to hear."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import error, info, listed, ok, warning
from lvsha.speaker.messages import InstanceStatus, State, StatusReport
from lvsha.vrrp.packet import Reason

_FORGED = {r.value for r in Reason if r.value.startswith("auth_")} | {Reason.PASSWORD.value}


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about VRRP."""
    if not config.vrrp:
        return
    if facts.report is None:
        yield error("speaker", "does not answer: nobody here moves the addresses", "lvsha-cli events")
        return
    yield from _speaker(config, facts.report)
    for sentence in facts.alarms:
        yield error("pair", sentence, "lvsha-cli events --alerts")
    for name in config.vrrp:
        status = facts.instance(name)
        if status is not None:
            yield from _instance(name, status)
    yield from _alone(config)


def _speaker(config: Config, report: StatusReport) -> Iterator[FindingView]:
    if config.speaker.realtime and not (report.realtime and report.locked):
        lacking = [
            w
            for w, has in (("real-time priority", report.realtime), ("locked memory", report.locked))
            if not has
        ]
        words = f"runs without {' and '.join(lacking)}: under load its adverts may be late"
        yield info("speaker", words, "grant CAP_SYS_NICE and CAP_IPC_LOCK, LimitRTPRIO and LimitMEMLOCK")
    else:
        yield ok("speaker", "answers")


def _instance(name: str, status: InstanceStatus) -> Iterator[FindingView]:
    subject = f"vrrp.{name}"
    for fault, why in status.faults.items():
        yield error(subject, f"may not be master: {fault}: {why}", f"lvsha-cli vrrp {name}")
    if status.held:
        yield warning(subject, "is held back from being master by hand", f"lvsha-cli release {name}")
    skewed = status.dropped.get(Reason.AUTH_WINDOW.value, 0)
    if skewed:
        words = f"refused {skewed} adverts because of their time: the clocks of the directors differ"
        yield error(subject, words, "timedatectl timesync-status")
    forged = {r: n for r, n in status.dropped.items() if r in _FORGED and r != Reason.AUTH_WINDOW.value}
    others = {r: n for r, n in status.dropped.items() if r not in _FORGED}
    if forged:
        words = f"refused adverts that do not prove who sent them: {_counts(forged)}"
        yield error(subject, words, f"compare [vrrp.{name}] auth of the directors")
    if others:
        yield warning(subject, f"refused adverts: {_counts(others)}", f"lvsha-cli vrrp {name}")
    if not status.faults and status.state is not State.INIT:
        yield ok(subject, f"is {status.state.value}: {status.why}")


def _counts(dropped: dict[str, int]) -> str:
    return listed(f"{count} of reason {reason}" for reason, count in dropped.items())


def _alone(config: Config) -> Iterator[FindingView]:
    if len(config.nodes) == 1:
        yield info("pair", "[nodes] names this node alone: nobody takes over when it fails")
