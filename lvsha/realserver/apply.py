"""One step done, or taken back."""

from __future__ import annotations

import os
import subprocess

from checks.audit import Step
from checks.audit.steps import AddFou, AddLink, ClampMss, LoadModule, SetSysctl, SetUp, shown
from lvsha.errors import KernelError
from lvsha.kernel import sysctl

PATIENCE = 30.0
"""Seconds for one command: a module may have to be loaded."""
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


def do(step: Step) -> None:
    """Make the change. Raises KernelError, with what to do."""
    if isinstance(step, SetSysctl):
        _set(step, step.value)
        return
    try:
        _run(step.command)
    except KernelError as error:
        raise KernelError(f"{error}{_hint(step)}") from error


def take_back(step: Step) -> None:
    """Undo the change. Raises KernelError."""
    if isinstance(step, SetSysctl):
        _set(step, step.before)
    elif step.reverse:
        _run(step.reverse)


def _set(step: SetSysctl, value: int) -> None:
    sysctl.write(step.name, str(value))
    there = sysctl.read(step.name)
    if there != str(value):
        raise KernelError(f"sysctl {step.name}: wrote {value}, and the kernel made {there} of it")


def _run(command: tuple[str, ...]) -> None:
    environment = {
        **os.environ,
        "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SYSTEM}",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"`{shown(command)}`: {error}") from error
    if done.returncode != 0:
        words = " ".join(done.stderr.decode("utf-8", "replace").split()) or f"status {done.returncode}"
        raise KernelError(f"`{shown(command)}`: {words[:300]}")


def _hint(step: Step) -> str:
    match step:
        case LoadModule(name):
            return f": this kernel has no module {name}; its package of further modules may have it"
        case AddLink(kind=kind) | SetUp(name=kind):
            return f": can this kernel do {kind}? its package of further modules may have what is missing"
        case AddFou():
            return ": needs the module fou, and a UDP port that nobody else has"
        case ClampMss():
            return ": can this kernel do nf_tables, with nft_exthdr?"
        case _:
            return ""
