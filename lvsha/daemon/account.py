"""What a look did, as events.

What was done is told as the steps of a change, or as a repair where nobody here had asked for a
difference. What was refused is tried again every few seconds, perhaps for days; so each refusal is
told when it is new, and again only after it had gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from lvsha.kernel.ipvs import Failure
from lvsha.log import emit
from lvsha.model import SyncDaemon
from lvsha.plan import StartSync, Step, StopSync

SHOWN = 20
"""Steps that one look spells out; the rest is counted."""


class Account:
    """Tells, and remembers which refusals were told."""

    def __init__(self) -> None:
        self._refused: set[tuple[Step, str]] = set()
        self._silence = ""

    def give(
        self, steps: Sequence[Step], drift: Collection[int], failures: Sequence[Failure], *, whole: bool
    ) -> None:
        """One look that came about: its steps, which of them (by number) were repairs, what was refused."""
        self._silence = ""
        self._tell_refused(failures, whole=whole)
        refused = {id(f.step) for f in failures}
        done = [(n in drift, s) for n, s in enumerate(steps) if id(s) not in refused]
        repaired = [s for repair, s in done if repair]
        if repaired:
            emit("drift.repaired", steps=[str(s) for s in repaired[:SHOWN]], count=len(repaired))
        own = [s for repair, s in done if not repair]
        for step in own[:SHOWN]:
            emit("step.applied", step=str(step))
        if len(own) > SHOWN:
            emit("step.applied", step=f"... and {len(own) - SHOWN} more like these")
        for _, step in done:
            if isinstance(step, StartSync | StopSync):
                emit("sync.started" if isinstance(step, StartSync) else "sync.stopped", **_role(step.daemon))

    def give_up(self, error: str) -> None:
        """A look that did not come about."""
        if error != self._silence:
            self._silence = error
            emit("reconcile.failed", error=error)

    def _tell_refused(self, failures: Sequence[Failure], *, whole: bool) -> None:
        refused = {(f.step, str(f.error)): None for f in failures}
        for step, why in [key for key in refused if key not in self._refused][:SHOWN]:
            if isinstance(step, StartSync):
                role = _role(step.daemon)
                emit("sync.failed", error=why, role=role["role"], interface=role["interface"])
            else:
                emit("step.failed", step=str(step), error=why)
        # Only a whole look knows that a refusal has gone.
        self._refused = {*refused} if whole else self._refused | refused.keys()


def _role(daemon: SyncDaemon) -> dict[str, Any]:
    return {
        "role": daemon.role.name.lower(),
        "interface": daemon.interface,
        "sync_id": daemon.sync_id,
    }
