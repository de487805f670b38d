"""What an earlier set-up was for: in its own file where it was to last, else by what it did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from checks.audit.steps import AddAddress, AddLink
from lvsha.errors import InputError
from lvsha.realserver import file, persist
from lvsha.realserver.record import Record


@dataclass(frozen=True, slots=True)
class Earlier:
    """Mode and addresses."""

    mode: str
    """Empty where what was done does not tell."""
    vips: frozenset[str]
    whole: bool
    """Whether it can have been for no other addresses; one that was there already is in no record."""

    def __str__(self) -> str:
        """In the words of the options."""
        mode = [f"--mode {self.mode}"] if self.mode else []
        return " ".join([*mode, *(f"--vip {vip}" for vip in sorted(self.vips))])

    def differs(self, mode: str, vips: frozenset[str]) -> bool:
        """Whether it was for another mode, or other addresses; empty ones are any."""
        if mode and self.mode and mode != self.mode:
            return True
        return bool(vips) and (vips != self.vips if self.whole else not vips >= self.vips)


def earlier(root: Path, known: Record) -> Earlier | None:
    """What is set up now; None: nothing."""
    if not known:
        return None
    if str(persist.WANTED) in known.files and (root / persist.WANTED).exists():
        try:
            wanted = file.read(root / persist.WANTED)
            return Earlier(wanted.mode, frozenset(map(str, wanted.addresses)), whole=True)
        except InputError:
            pass  # a person has changed it; what was done is known all the same
    added = [step for step in known.steps if isinstance(step, AddAddress)]
    made = any(isinstance(step, AddLink) for step in known.steps)
    mode = "tun" if made or any(a.device != "lo" for a in added) else "dr" if added else ""
    return Earlier(mode, frozenset(step.address for step in added), whole=False)
