"""Which firewall carries the source NAT: nf_tables where the kernel has it, else iptables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat.iptables import Iptables
from lvsha.kernel.sourcenat.nft import Nft
from lvsha.kernel.sourcenat.pool import Share
from lvsha.model import SourceNat, SourceNatState


class Rules(Protocol):
    """A firewall that can do it."""

    @property
    def name(self) -> str:
        """What an operator calls it."""

    @property
    def share(self) -> Share:
        """How it chooses a client's local address."""

    async def observe(self) -> SourceNatState:
        """What is there. Raises KernelError."""

    async def replace(self, entries: Collection[SourceNat]) -> None:
        """Put these in the place of what is there; none: remove it. Raises KernelError."""


async def choose() -> Rules:
    """The firewall of this kernel. Raises KernelError, with what each of them lacks."""
    reasons = []
    for kind in (Nft, Iptables):
        if not (reason := await kind.refusal()):
            return kind()
        reasons.append(reason)
    raise KernelError(f"mode fullnat needs source NAT, and there is none: {'; '.join(reasons)}")
