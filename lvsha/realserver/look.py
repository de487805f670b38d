"""The machine it runs on, as facts: the audit's own script, run here."""

from __future__ import annotations

import subprocess

from checks.audit import LARGEST, SCRIPT, AuditError, Facts, parse
from lvsha.errors import KernelError

PATIENCE = 60.0
"""Seconds for the script."""


def look() -> Facts:
    """What this machine is like, in the network namespace of the caller. Raises KernelError."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-s"], input=SCRIPT.encode(), capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"this machine cannot be looked at: {error}") from error
    if len(done.stdout) > LARGEST:
        raise KernelError(f"this machine has more interfaces than fit into {LARGEST} bytes")
    try:
        return parse(done.stdout)
    except AuditError as error:
        raise KernelError(f"this machine cannot be looked at: {error}") from error
