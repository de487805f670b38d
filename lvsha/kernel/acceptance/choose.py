"""Which firewall drops the packets: nf_tables where the kernel has it, else iptables."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Protocol

from lvsha.errors import KernelError
from lvsha.kernel.acceptance.iptables import Iptables
from lvsha.kernel.acceptance.nft import Nft
from lvsha.model import Unaccepted, UnacceptedState

_KINDS = (Nft, Iptables)


class Rules(Protocol):
    """A firewall that can do it."""

    async def observe(self) -> UnacceptedState:
        """What is there. Raises KernelError."""

    async def replace(self, entries: Collection[Unaccepted]) -> None:
        """Put these in the place of what is there; none: remove it. Raises KernelError."""


async def choose() -> Rules:
    """The firewall of this kernel. Raises KernelError, with what each of them lacks."""
    reasons = []
    for kind in _KINDS:
        if not (reason := await kind.refusal()):
            return kind()
        reasons.append(reason)
    raise KernelError(f"accept = false needs a firewall, and there is none: {'; '.join(reasons)}")


async def holder() -> Rules | None:
    """The firewall that has rules of lvsha's already; None: neither. Brings nothing into use."""
    for kind in _KINDS:
        rules: Rules = kind()
        # A firewall that cannot be asked holds nothing.
        with contextlib.suppress(KernelError):
            if await rules.observe() != UnacceptedState():
                return rules
    return None
