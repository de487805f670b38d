"""What there is."""

from __future__ import annotations

import time
from typing import Any

import click

from lvsha.cli import show
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Session, as_json, complete_target, session
from lvsha.cli.words import age, count, plural, span

SERVERS = ("SERVICE", "SERVER", "ADDRESS", "MODE", "WEIGHT", "STATE", "SINCE", "ACTIVE", "INACTIVE", "NOTE")
FEW = 3
"""Addresses of an instance that a line of the table shows."""


@click.command()
@as_json
@click.option("--check", is_flag=True, help="Exit with 1 when there is a warning.")
@session
def status(asked: Session, check: bool) -> int:
    """The director in one glance."""
    answer = asked.client.get("/v1/status")
    asked.tell(answer, _status)
    return Status.FAILED if check and answer["warnings"] else Status.DONE


@click.command()
@as_json
@session
def services(asked: Session) -> None:
    """The services, with the kernel's counters."""
    asked.tell(asked.client.get("/v1/services"), _services)


@click.command()
@click.argument("target", required=False, shell_complete=complete_target)
@as_json
@session
def servers(asked: Session, target: str | None) -> None:
    """The servers, or those that TARGET means.

    WEIGHT is the one in the kernel (-: it is not there), with the configured one behind it where they differ.
    """
    asked.tell(asked.client.get("/v1/servers", target=target), show_servers)


@click.command()
@as_json
@session
def overrides(asked: Session) -> None:
    """What was said by hand, until when, by whom and why."""
    asked.tell(asked.client.get("/v1/overrides"), _overrides)


@click.command()
@as_json
@session
def plan(asked: Session) -> None:
    """What would be changed in the kernel now; nothing is changed."""
    asked.tell(asked.client.get("/v1/plan"), lambda a: show.lines(a["steps"] or ["nothing to change"]))


@click.command()
@click.argument("instance", required=False)
@as_json
@session
def vrrp(asked: Session, instance: str | None) -> None:
    """The VRRP instances, or INSTANCE in full."""
    answer = asked.client.get("/v1/vrrp")
    if instance is None:
        asked.tell(answer, show_instances)
        return
    found = [v for v in answer if v["name"] == instance]
    if not found:
        there_is = ", ".join(v["name"] for v in answer) or "none"
        raise CommandError(Status.NO_TARGET, f"no VRRP instance {instance!r}", [f"there is {there_is}"])
    asked.tell(found[0], _instance)


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show what was looked at and is well, too.")
@as_json
@session
def doctor(asked: Session, verbose: bool) -> int:
    """What is wrong, or about to be; exits with 1 when something is."""
    answer = asked.client.get("/v1/doctor")
    asked.tell(answer, _all_findings if verbose else _findings)
    return Status.FAILED if any(f["severity"] == "error" for f in answer) else Status.DONE


def show_servers(answer: list[dict[str, Any]]) -> None:
    """Servers as a table."""
    now = time.time()
    show.table(SERVERS, [_server(s, now) for s in answer], empty="no servers")


def show_instances(answer: list[dict[str, Any]]) -> None:
    """VRRP instances as a table."""
    columns = ("INSTANCE", "STATE", "PRIORITY", "INTERFACE", "VRID", "SINCE", "ADDRESSES", "NOTE")
    rows = [
        (
            v["name"],
            v["state"],
            _changed(v["priority"], v["base_priority"]),
            v["interface"],
            v["vrid"],
            age(v["since"]),
            _few(v["addresses"]),
            "; ".join(_notes(v)),
        )
        for v in answer
    ]
    show.table(columns, rows, empty="no VRRP instances")


def _status(s: dict[str, Any]) -> None:
    loaded = f"loaded {age(s['config_loaded_at'])} ago, generation {s['config_generation']}"
    up = f"{s['servers_up']} up, {s['servers_down']} down, {s['servers_unknown']} unknown"
    show.pairs(
        [
            ("node", f"{s['node']}, lvsha {s['version']}, up {age(s['started'])}"),
            ("role", s["role"]),
            ("config", f"{s['config_file']}, {loaded}"),
            ("kernel", s["kernel"]),
            ("services", s["services"]),
            ("servers", f"{up}, {s['servers_drained']} set aside by hand"),
            *(("peer", _peer(p)) for p in s.get("peers", ())),
            *(("sync", _known(sync)) for sync in (s.get("sync"),) if sync is not None),
            *(("warning", w) for w in s["warnings"]),
        ]
    )


def _peer(p: dict[str, Any]) -> str:
    name = f"{p['name']} ({p['address']})"
    if not p["connected"]:
        return f"{name} not connected for {age(p['since'])}"
    config = {True: "the same", False: "another", None: "unknown"}[p["same_config"]]
    return f"{name} connected for {age(p['since'])}, lvsha {p['version'] or '-'}, configuration: {config}"


def _known(sync: dict[str, Any]) -> str:
    """Such as `200 here, 198 on lb2`."""
    counts = {"here": sync["here"], **{f"on {name}": count for name, count in sync["peers"].items()}}
    return ", ".join(f"{'unknown' if n is None else n} {where}" for where, n in counts.items())


def _services(answer: list[dict[str, Any]]) -> None:
    columns = ("SERVICE", "KEY", "MODE", "SCHEDULER", "STATE", "SERVERS", "ACTIVE", "INACTIVE")
    rates = ("CONN/S", "IN", "OUT")
    rows = [
        (
            s["name"],
            s["key"],
            s["mode"],
            s["scheduler"],
            s["state"],
            f"{s['in_service']}/{s['servers']}",
            s["active"],
            s["inactive"],
            count(s["counters"]["connections_rate"]),
            count(s["counters"]["bytes_in_rate"], "B/s"),
            count(s["counters"]["bytes_out_rate"], "B/s"),
        )
        for s in answer
    ]
    show.table((*columns, *rates), rows, empty="no services")


def _server(s: dict[str, Any], now: float) -> tuple[object, ...]:
    address = f"[{s['address']}]" if ":" in s["address"] else s["address"]
    note = _override(s["override"], now) if s["override"] else s["detail"]
    return (
        s["service"],
        s["name"],
        f"{address}:{s['port']}",
        s["mode"],
        _changed("-" if s["weight_now"] is None else s["weight_now"], s["weight"]),
        s["state"],
        age(s["since"], now),
        s["active"],
        s["inactive"] + s["persistent"],
        f"fallback; {note}" if s["fallback"] else note,
    )


def _override(o: dict[str, Any], now: float) -> str:
    what = f"weight {o['weight']}" if o["kind"] == "weight" else o["kind"]
    until = "" if o["expires"] is None else f" for {span(o['expires'] - now)} more"
    return f"{what}{until}" + (f": {o['reason']}" if o["reason"] else "")


def _overrides(answer: list[dict[str, Any]]) -> None:
    now = time.time()
    rows = [
        (
            o["target"],
            f"weight {o['weight']}" if o["kind"] == "weight" else o["kind"],
            age(o["since"], now),
            "-" if o["expires"] is None else span(o["expires"] - now),
            o["by"],
            o["reason"],
        )
        for o in answer
    ]
    show.table(("TARGET", "KIND", "AGE", "LEFT", "BY", "REASON"), rows, empty="no overrides")


def _changed(now: object, configured: object) -> str:
    return str(now) if now == configured else f"{now} ({configured})"


def _few(addresses: list[str]) -> str:
    """So many that a line has room for the rest; one instance by name shows them all."""
    more = len(addresses) - FEW
    return " ".join(addresses[:FEW]) + (f" and {more} more" if more > 0 else "")


def _notes(v: dict[str, Any]) -> list[str]:
    failed = [f"{t['name']}: {t['detail'] or 'failed'}" for t in v["trackers"] if not t["ok"]]
    held = ["held by an operator"] if v["held"] else []
    yields = ["pre-empts nobody until released"] if v["yields"] else []
    known = [v["known"]] if v.get("known") else []
    return [*known, *held, *yields, *failed, v["why"]]


def _instance(v: dict[str, Any]) -> None:
    show.pairs(
        [
            ("instance", v["name"]),
            ("group", v["group"] or "-"),
            ("state", f"{v['state']} for {age(v['since'])}: {v['why']}"),
            ("priority", _changed(v["priority"], v["base_priority"])),
            ("held", "yes" if v["held"] else "no"),
            ("pre-empts", "not before it is released" if v["yields"] else "as configured"),
            ("interface", v["interface"]),
            ("protocol", f"VRRP version {v['version']}, router {v['vrid']}, every {v['interval']:g} s"),
            ("master", _master(v)),
            ("peers", " ".join(v["peers"]) or "multicast"),
            *(("" if n else "addresses", address) for n, address in enumerate(v["addresses"])),
            *((f"timer {name}", f"{value:g} s") for name, value in v["timers"].items()),
            *((f"tracks {t['name']}", _tracker(t)) for t in v["trackers"]),
            *((f"counted {name}", value) for name, value in v["counters"].items()),
        ]
    )


def _master(v: dict[str, Any]) -> str:
    if v["master"] is None or v["master_priority"] is None:
        return v["master"] or "-"
    return f"{v['master']}, priority {v['master_priority']}"


def _tracker(t: dict[str, Any]) -> str:
    effect = f"{t['weight']:+d}" if t["weight"] else "else fault"
    return f"{'ok' if t['ok'] else 'failed'} ({effect}) {t['detail']}".rstrip()


def _all_findings(answer: list[dict[str, Any]]) -> None:
    _tell_findings(answer, answer)


def _findings(answer: list[dict[str, Any]]) -> None:
    _tell_findings([f for f in answer if f["severity"] != "ok"], answer)


def _tell_findings(shown: list[dict[str, Any]], answer: list[dict[str, Any]]) -> None:
    for f in shown:
        show.line(f"{f['severity']:<8} {f['subject']}: {f['finding']}")
        if f["command"]:
            show.line(f"         {f['command']}")
    wrong = sum(f["severity"] in ("warning", "error") for f in answer)
    well = f"all is well: {plural(len(answer) - wrong, 'thing')} looked at"
    show.line(f"{plural(wrong, 'thing')} to look at" if wrong else well)
