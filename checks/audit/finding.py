"""One thing that was looked at: what is, what is needed, why, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from checks.audit.steps import Step, shown


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Traffic flows, perhaps not all of it."""
    ERROR = "error"
    """The server would steal the address, or serve nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one setting is, and what it should be."""

    setting: str
    """A sysctl by its name, or an address, a device, a port."""
    found: str
    needed: str
    severity: Severity = Severity.OK
    why: str = ""
    """What comes of it as it is."""
    mend: tuple[Step, ...] = ()
    """What sets it right. Empty where only a person can decide that."""
    advice: str = ""
    """Then: what that person may do."""
    stops: bool = False
    """No set-up goes on over it."""

    @property
    def ok(self) -> bool:
        """Nothing to be done."""
        return self.severity is Severity.OK

    @property
    def commands(self) -> list[str]:
        """The commands that mend it."""
        return [shown(step.command) for step in self.mend] or ([self.advice] if self.advice else [])

    def __str__(self) -> str:
        """For a log: what is wrong, and with what."""
        if self.ok:
            return f"{self.setting} is {self.found}"
        mend = "; ".join(self.commands)
        return f"{self.setting} is {self.found}, needed is {self.needed}: {self.why}" + (
            f" ({mend})" if mend else ""
        )


def stop(setting: str, found: str, needed: str, why: str, advice: str) -> Finding:
    """An error that only a person can set right, and that no set-up goes on over."""
    return Finding(setting, found, needed, Severity.ERROR, why, (), advice, stops=True)
