"""From how the instances stand to how groups and the director do.

A group is of one state, but its members' news arrive one by one: until all agree it stands as before.
A director is master of all its instances or it is backup, and a fault anywhere is a fault (as in `status`);
while some have stopped and others have not, or some are not known yet, it stands as before too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lvsha.config import VrrpConfig
from lvsha.daemon.heralds.change import Change, Kind, Subject
from lvsha.speaker.messages import RoleChange, State


class Standings:
    """How everybody stands, and what has changed."""

    def __init__(self) -> None:
        self._node = ""
        self._instances: Mapping[str, VrrpConfig] = {}
        self._known: dict[str, RoleChange] = {}
        self._told: dict[Subject, Change] = {}

    def reconfigure(self, node: str, instances: Mapping[str, VrrpConfig]) -> list[Change]:
        """These are the instances now; what is gone is forgotten."""
        self._node, self._instances = node, instances
        self._known = {name: role for name, role in self._known.items() if name in instances}
        subjects = set(self._subjects())
        self._told = {subject: told for subject, told in self._told.items() if subject in subjects}
        return self._changes()

    def moved(self, role: RoleChange) -> list[Change]:
        """An instance stands so; whose changes that makes, its own first."""
        if role.instance not in self._instances:
            return []
        if role.state is State.INIT and role.instance not in self._known:
            return []  # it has not begun yet, and so has not stopped
        self._known[role.instance] = role
        return self._changes(role)

    def now(self, subjects: Iterable[Subject]) -> list[Change]:
        """How these stand, for who has been told nothing yet."""
        return [told for subject in subjects if (told := self._told.get(subject)) is not None]

    def _subjects(self) -> Iterator[Subject]:
        for name in self._instances:
            yield Subject(Kind.INSTANCE, name)
        for group in dict.fromkeys(i.group for i in self._instances.values() if i.group is not None):
            yield Subject(Kind.GROUP, group)
        yield Subject(Kind.DIRECTOR, self._node)

    def _changes(self, role: RoleChange | None = None) -> list[Change]:
        found = []
        for subject in self._subjects():
            state, told = self._state(subject), self._told.get(subject)
            if state is None or (told is not None and told.state is state):
                continue
            cause = self._cause(subject, role)
            change = Change(
                subject=subject,
                state=state,
                before=told.state if told is not None else None,
                priority=0 if subject.kind is Kind.DIRECTOR or cause is None else cause.priority,
                why=cause.why if cause is not None else "the configuration has changed",
                node=self._node,
            )
            # Who is told later is told how it stands, and not what it came from.
            self._told[subject] = replace(change, before=None)
            found.append(change)
        return found

    def _members(self, subject: Subject) -> list[str]:
        match subject.kind:
            case Kind.INSTANCE:
                return [subject.name]
            case Kind.GROUP:
                return [name for name, i in self._instances.items() if i.group == subject.name]
            case _:
                return list(self._instances)

    def _cause(self, subject: Subject, role: RoleChange | None) -> RoleChange | None:
        if role is not None and role.instance in self._members(subject):
            return role
        return None

    def _state(self, subject: Subject) -> State | None:
        """How it stands; None where that is not certain (yet)."""
        known = [self._known.get(name) for name in self._members(subject)]
        states = {role.state for role in known if role is not None}
        if not known and subject in self._told:
            return State.INIT  # of a director whose last instance was taken away
        if None in known or not states:
            return None
        if len(states) == 1:
            return states.pop()
        if subject.kind is not Kind.DIRECTOR or State.INIT in states:
            return None
        return State.FAULT if State.FAULT in states else State.BACKUP
