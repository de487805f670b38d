"""The catalogue of events: everything lvsha ever says, as data.

An event has a short constant name (`server.down`), so that it can be searched for, counted and
asserted; what happened is in its fields, never in the name. `severity` says how bad it is,
`alert` whether a person should be called: the two are not the same. A master that changes is
only a warning, and somebody should know; a problem in a file its author is just editing is an
error that need not wake anybody.

A field has one meaning in every event that carries it (`FIELDS`), so that one search finds all
that befell a server. `docs/events.md` is `reference()` written to a file, and a test holds the
two together. A name that is not here cannot be emitted (`lvsha.log.emit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType


class Severity(StrEnum):
    """How bad it is; the names are those of the standard library's logging."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event."""

    name: str
    severity: Severity
    alert: bool
    """A person should be told now."""
    text: str
    """When it is said, and what to make of it."""
    fields: tuple[str, ...]
    """The names of its fields, each explained in `FIELDS`."""


FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "action": "what is done about it",
        "active": "true: they took over; false: they gave back",
        "about": "whose role has changed: `instance NAME`, `group NAME` or `director NAME`",
        "address": "IP address, or where something listens",
        "after": "the value now",
        "before": "the value before",
        "by": "who asked for it: user and process",
        "changed": "what differs from before, a list",
        "check": "kind of the check",
        "config": "path of the configuration file",
        "connections": "how many connections",
        "count": "how many times, or how many events, since it was last said",
        "detail": "what was seen",
        "error": "what was answered, or what it died of",
        "exception": "the traceback",
        "expires": "Unix time when it ends by itself (null: never)",
        "file": "path of a file, with the line where there is one",
        "floor": "least number of servers to keep in service",
        "generation": "counts the configurations loaded since the start",
        "grace": "seconds until the speaker resigns",
        "in_service": "servers that take new connections",
        "instance": "name of the VRRP instance",
        "interface": "network interface",
        "interval": "seconds from one probe of a server to the next, as it is wanted",
        "joined": "changes before this one that came and went untold",
        "kernel": "release of the kernel",
        "key": "protocol, address and port of a service, or its mark",
        "kind": "of an override: drain, disable or weight",
        "limit": "how many there may be",
        "lines": "log lines",
        "local": "local address of mode fullnat",
        "logger": "name of the library's logger",
        "mac": "link-layer address of the other machine",
        "master": "address of the master, where another is (null: unknown)",
        "message": "what the library said",
        "method": "HTTP method",
        "name": "of the kernel setting",
        "node": "name of this node",
        "notify": "name in `[notify]`",
        "path": "path of the request",
        "peer": "the other director: name, or address",
        "peer_connections": "those that the other director's knows (null: it does not say)",
        "pid": "process id",
        "port": "port number",
        "priority": "effective VRRP priority",
        "probes": "how many servers and checks are probed",
        "problem": "what is wrong, with the path of the key",
        "problems": "every problem found, a list",
        "process": "speaker, director or parent",
        "reason": "why; of an override: what the operator gave as reason",
        "restart_in": "seconds until it is started again",
        "role": "of a director: master, backup, fault or alone; of the sync daemon: master or backup",
        "seconds": "how long, as the event says",
        "server": "name of the server",
        "servers": "how many servers",
        "service": "name of the service",
        "services": "how many services",
        "source": "address that sent it",
        "state": "of an instance: master, backup, fault or init (to programs of `[notify]`: stop)",
        "status": "exit status, or the signal's name",
        "signal": "its name",
        "step": "one change in the kernel",
        "steps": "changes in the kernel, a list",
        "sync_id": "id of the connection-sync group",
        "target": "what an override means, as it can be typed again",
        "task": "name of the task",
        "tracker": "what the instance depends on",
        "used": "how many are in use",
        "value": "the value wanted",
        "version": "of lvsha, or of IPVS",
        "weight": "of a server; of a tracker, taken off the priority (0: the instance goes to fault)",
        "why": "what decided it",
    }
)

_SERVER = "service server address port"
_CONTENT = "service in_service servers floor"
_OVERRIDE = "target kind weight reason by servers"
_INSTANCE = "instance interface"


def _event(name: str, severity: Severity, fields: str, text: str, *, alert: bool = False) -> Event:
    return Event(name, severity, alert, text, tuple(fields.split()))


def _alert(name: str, severity: Severity, fields: str, text: str) -> Event:
    return _event(name, severity, fields, text, alert=True)


_INFO, _WARNING, _ERROR, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL

_EVENTS = (
    _event("daemon.started", _INFO, "process node version config pid", "A process of the daemon begins."),
    _event(
        "daemon.ready",
        _INFO,
        "seconds services servers why",
        "IPVS is programmed and first verdicts are in, so many seconds after the start.",
    ),
    _event("daemon.stopping", _INFO, "why", "An orderly stop begins."),
    _event("daemon.stopped", _INFO, "seconds", "The orderly stop is complete, and took so long."),
    _alert(
        "daemon.failed",
        _CRITICAL,
        "task error exception",
        "Something that must run for ever ended; the process ends and is started again.",
    ),
    _event("process.started", _INFO, "process pid", "The parent has started a process."),
    _alert(
        "process.exited",
        _ERROR,
        "process pid status restart_in",
        "A process ended by itself and is started again.",
    ),
    _event(
        "process.signalled",
        _WARNING,
        "signal",
        "The parent was sent a signal that means nothing to it; nothing came of it.",
    ),
    _alert(
        "process.hung",
        _CRITICAL,
        "process pid seconds",
        "A process has not beaten for so long and is killed.",
    ),
    _event(
        "config.loaded", _INFO, "file generation services servers", "The configuration was read at start."
    ),
    _event("config.problem", _ERROR, "file problem", "One problem in a configuration that was refused."),
    _event("reload.done", _INFO, "file generation changed by", "A new configuration is in force."),
    _alert(
        "reload.refused",
        _ERROR,
        "file problems by",
        "A new configuration has problems; the one before stays in force.",
    ),
    _event(
        "server.up",
        _INFO,
        f"{_SERVER} before detail seconds",
        "A server passed its check often enough after so many seconds down: in service.",
    ),
    _alert(
        "server.down",
        _ERROR,
        f"{_SERVER} before detail seconds",
        "A server failed its check often enough after so many seconds up: out of service.",
    ),
    _event("server.added", _INFO, _SERVER, "The configuration has a new server."),
    _event("server.removed", _INFO, _SERVER, "The configuration no longer has this server."),
    _event(
        "server.weight",
        _INFO,
        f"{_SERVER} before after why",
        "A server's weight in the kernel changed (null: it is not there).",
    ),
    _event("service.ok", _INFO, _CONTENT, "Every server of a service is in service again."),
    _alert("service.degraded", _WARNING, _CONTENT, "Some servers of a service are down."),
    _alert(
        "service.down",
        _CRITICAL,
        _CONTENT,
        "No server of a service takes connections: its clients are refused.",
    ),
    _alert(
        "service.fail_open",
        _CRITICAL,
        _CONTENT,
        "Fewer servers than the floor are healthy: unhealthy ones are kept in service.",
    ),
    _alert(
        "service.fallback",
        _WARNING,
        f"{_CONTENT} active",
        "The fallback servers of a service took over, or gave back.",
    ),
    _event(
        "service.unknown",
        _WARNING,
        "key action",
        "The kernel holds a service that the configuration does not know.",
    ),
    _alert(
        "checks.late",
        _WARNING,
        "seconds interval probes",
        "This machine has no time for all its probes: one began so late, and servers are judged that much "
        "later.",
    ),
    _event("checks.on_time", _INFO, "probes", "Probes begin when they are due again."),
    _alert(
        "check.broken",
        _ERROR,
        f"{_SERVER} check error exception",
        "A check failed by a fault of its own, which counts as a failed probe.",
    ),
    _event("override.set", _INFO, f"{_OVERRIDE} expires", "An operator set a server aside by hand."),
    _event("override.cleared", _INFO, _OVERRIDE, "An operator took an override back."),
    _event("override.expired", _INFO, _OVERRIDE, "An override reached its end."),
    _event(
        "override.orphaned",
        _WARNING,
        _OVERRIDE,
        "An override names a server that the configuration no longer has; it is kept for its return.",
    ),
    _event("override.synced", _INFO, "peer changed", "The other director's overrides were taken over."),
    _event(
        "drain.finished",
        _INFO,
        f"{_SERVER} seconds",
        "The last connection of a drained server ended so long after the drain began: it may be worked on.",
    ),
    _event("step.applied", _INFO, "step", "One change was made in the kernel."),
    _alert(
        "step.failed",
        _ERROR,
        "step error",
        "The kernel refused a change; it is tried again at the next look.",
    ),
    _alert(
        "drift.repaired",
        _WARNING,
        "count steps",
        "Somebody else had changed IPVS; it is as configured again.",
    ),
    _alert(
        "reconcile.failed",
        _ERROR,
        "error exception",
        "The kernel could not be read or compared; tried again at the next look.",
    ),
    _event("reconcile.slow", _WARNING, "seconds count", "A look at the kernel and its repair took long."),
    _event("kernel.ready", _INFO, "version kernel", "The kernel's IPVS answers."),
    _alert(
        "kernel.lost",
        _CRITICAL,
        "error",
        "The kernel's IPVS does not answer; packets may still be directed, changes are not made.",
    ),
    _event(
        "kernel.adopted",
        _INFO,
        "services servers",
        "So much was in the kernel's table already: it stays as it is until verdicts are in.",
    ),
    _event("kernel.back", _INFO, "seconds", "The kernel's IPVS answers again, after so long."),
    _event(
        "connections.taken_up",
        _INFO,
        "connections seconds",
        "This node became master, and made entries of connection tracking for connections of mode fullnat "
        "that came to it.",
    ),
    _alert(
        "connections.lost",
        _ERROR,
        "error",
        "Connections of mode fullnat could not be counted, or taken up at a failover: those whose server "
        "speaks first may hang.",
    ),
    _alert(
        "collisions.lost",
        _WARNING,
        "error",
        "Connections of mode fullnat that were given another port than their client's cannot be followed, "
        "nor told to the other director: they would break at a failover.",
    ),
    _alert(
        "localports.filling",
        _WARNING,
        "local address port used limit",
        "A local address has few ports left for one server's port (`address` and `port`): more connections "
        "would be dropped. Add local addresses or servers.",
    ),
    _alert(
        "conntrack.filling",
        _WARNING,
        "used limit",
        "Connection tracking is nearly full: more connections would be dropped. Raise "
        "net.netfilter.nf_conntrack_max.",
    ),
    _event("sysctl.changed", _INFO, "name before after", "A kernel setting was written."),
    _event(
        "sysctl.restored",
        _INFO,
        "name before after",
        "A kernel setting that nothing in the configuration needs any more was put back to what it was.",
    ),
    _alert("sysctl.failed", _ERROR, "name value error", "A kernel setting could not be written."),
    _event(
        "sync.started", _INFO, "role interface sync_id", "A role of the connection-sync daemon was started."
    ),
    _event(
        "sync.stopped", _INFO, "role interface sync_id", "A role of the connection-sync daemon was stopped."
    ),
    _alert(
        "sync.failed",
        _ERROR,
        "role interface error",
        "Connections are not kept in step: a failover would break them.",
    ),
    _event(
        "sync.catching_up",
        _INFO,
        "connections seconds",
        "Before this node takes over from a living master it waits for its connections, at most so long.",
    ),
    _event(
        "sync.caught_up",
        _INFO,
        "connections peer_connections seconds why",
        "This node knows the connections now, so long after it began to wait.",
    ),
    _event(
        "sync.behind",
        _WARNING,
        "connections peer_connections seconds why",
        "The time to wait is over and connections are lacking: those without traffic, or sync does not work. "
        "What is not known here breaks when this node takes over.",
    ),
    _alert("role.changed", _WARNING, "role before why", "This director's role changed."),
    _alert(
        "vrrp.state",
        _WARNING,
        f"{_INSTANCE} state before priority why master",
        "A VRRP instance changed its state. That it begins as backup is info and no alert.",
    ),
    _event(
        "vrrp.priority",
        _INFO,
        f"{_INSTANCE} priority before why",
        "The effective priority of a VRRP instance changed.",
    ),
    _alert(
        "vrrp.split_brain",
        _CRITICAL,
        f"{_INSTANCE} peer priority seconds",
        "Two directors are master of one instance, for so long already.",
    ),
    _event(
        "vrrp.refused",
        _WARNING,
        f"{_INSTANCE} reason source detail count",
        "Adverts are refused; told once a reason and source, then counted.",
    ),
    _alert(
        "vrrp.forged",
        _ERROR,
        f"{_INSTANCE} reason source detail count",
        "Adverts fail authentication: wrong key, wrong clock, or an attack.",
    ),
    _alert("vrrp.mismatch", _WARNING, f"{_INSTANCE} source detail", "The peer's settings differ from ours."),
    _alert(
        "vrrp.late",
        _WARNING,
        f"{_INSTANCE} seconds",
        "An advert went out so much late: the speaker did not get the processor.",
    ),
    _alert(
        "vrrp.unsent",
        _ERROR,
        f"{_INSTANCE} error count",
        "Adverts could not be sent; told once, then counted.",
    ),
    _event(
        "vrrp.settling",
        _INFO,
        f"{_INSTANCE} seconds",
        "An interface that an instance depends on has got its carrier, which counts only after so long "
        "(`carrier_delay`): until then the instance stands as without it.",
    ),
    _alert(
        "vrrp.link_lost",
        _WARNING,
        f"{_INSTANCE} detail count",
        "An interface that need have no carrier (`needs_carrier`) has none: the directors do not hear each "
        "other by it, and both may be master. Said again every 10 s.",
    ),
    _event("vrrp.link_back", _INFO, _INSTANCE, "An interface that need have no carrier has one again."),
    _event("vrrp.failover", _WARNING, f"{_INSTANCE} by", "An operator asked a master to hand over."),
    _event("vrrp.held", _WARNING, f"{_INSTANCE} by", "An operator keeps an instance from being master."),
    _event("vrrp.released", _INFO, f"{_INSTANCE} by", "An operator lets an instance be master again."),
    _alert(
        "tracker.failed",
        _WARNING,
        f"{_INSTANCE} tracker weight detail",
        "Something an instance depends on failed.",
    ),
    _event(
        "tracker.recovered",
        _INFO,
        f"{_INSTANCE} tracker weight detail",
        "Something an instance depends on is well again.",
    ),
    _event(
        "notify.done",
        _INFO,
        "notify about state joined seconds detail",
        "A program of `[notify]` was told of a change, and ended with 0.",
    ),
    _alert(
        "notify.failed",
        _WARNING,
        "notify about state joined seconds detail",
        "A program of `[notify]` could not be run, failed, or did not end in time; nothing else follows.",
    ),
    _event("vip.added", _INFO, "address interface", "A virtual address was added here."),
    _event("vip.removed", _INFO, "address interface", "A virtual address was removed here."),
    _alert("vip.failed", _CRITICAL, "address interface error", "The kernel refused a virtual address."),
    _alert(
        "vip.lost",
        _ERROR,
        "address interface",
        "A virtual address held here was removed by somebody else; it is added again.",
    ),
    _alert(
        "vip.foreign",
        _ERROR,
        "address interface",
        "A virtual address is on its interface here, put there by somebody else, while this node is not "
        "master: two machines answer for it.",
    ),
    _alert(
        "vip.conflict",
        _CRITICAL,
        "address interface mac",
        "Another machine answers for a virtual address held here.",
    ),
    _event("speaker.connected", _INFO, "pid", "The director reached the speaker."),
    _alert(
        "speaker.lost",
        _CRITICAL,
        "error",
        "The director does not reach the speaker; the instances go on for the grace.",
    ),
    _event(
        "speaker.hindered",
        _WARNING,
        "interface error",
        "The speaker goes on without something it asked the machine for, such as real-time priority.",
    ),
    _alert("speaker.refused", _ERROR, "error", "The speaker refused what the director sent."),
    _alert(
        "director.lost",
        _ERROR,
        "grace",
        "The speaker does not hear the director, and resigns when the grace ends.",
    ),
    _event("director.back", _INFO, "seconds", "The speaker hears the director again, after so long."),
    _event("peer.connected", _INFO, "peer address", "The other director answers."),
    _alert("peer.lost", _WARNING, "peer address error", "The other director does not answer."),
    _event(
        "peer.refused",
        _WARNING,
        "source reason detail count",
        "Somebody who came as the other director, or the other director itself, is not listened to; "
        "told once a minute and reason, with the count.",
    ),
    _alert(
        "peer.unavailable",
        _ERROR,
        "address error",
        "The port for the other director cannot be listened on; it is tried again.",
    ),
    _alert(
        "state.discarded",
        _ERROR,
        "file error",
        "A state file was torn or foreign and is not used; it was kept aside.",
    ),
    _alert(
        "state.unwritable",
        _CRITICAL,
        "file error",
        "State cannot be saved: overrides would not survive a restart.",
    ),
    _event("api.listening", _INFO, "address", "The control API, or the metrics, are served."),
    _alert(
        "api.unavailable",
        _ERROR,
        "address error",
        "The control API, or the metrics, cannot be served; directing goes on.",
    ),
    _alert(
        "api.failed",
        _ERROR,
        "method path by error exception",
        "A request met a fault of lvsha's own and was answered with 500.",
    ),
    _event(
        "log.dropped",
        _WARNING,
        "lines",
        "Standard output was not read for a while: so many lines are missing here.",
    ),
    _event(
        "log.library",
        _WARNING,
        "logger message exception",
        "A library said something; the severity is the library's own.",
    ),
    _event(
        "events.missed",
        _WARNING,
        "count",
        "Said to a subscriber that was too slow: so many events are missing here.",
    ),
)

CATALOGUE: Mapping[str, Event] = MappingProxyType({event.name: event for event in _EVENTS})

_HEAD = """\
# Events

Everything the daemon says: one JSON object a line on standard output, and as a stream from
`lvsha-cli events -f`. Each has `event` (the name below), `timestamp` (ISO 8601, UTC), `severity`, `alert`
(a person should be told now) and the fields listed. Names and fields are an interface: new ones may be added,
none changes its meaning.

This page is written by `python -m lvsha.events`; a test compares the two.
"""


def reference() -> str:
    """The catalogue as the Markdown page `docs/events.md`."""
    areas = groupby(_EVENTS, key=lambda event: event.name.partition(".")[0])
    tables = [_area(area, list(events)) for area, events in areas]
    fields = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items())
    return "\n".join([_HEAD, *tables, "## Fields\n", "| field | meaning |\n|---|---|", fields, ""])


def _area(area: str, events: list[Event]) -> str:
    rows = "\n".join(_row(event) for event in events)
    return f"## {area}\n\n| event | severity | alert | when | fields |\n|---|---|---|---|---|\n{rows}\n"


def _row(event: Event) -> str:
    fields = ", ".join(f"`{name}`" for name in event.fields)
    alert = "yes" if event.alert else ""
    return f"| `{event.name}` | {event.severity} | {alert} | {event.text} | {fields} |"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201 -- the page itself
