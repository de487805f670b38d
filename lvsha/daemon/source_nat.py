"""The source NAT of mode fullnat as the reconciler uses it: which firewall, and who still waits for it.

It is looked at while a service of that mode is configured, and until nothing of it is left. Where it
cannot be put in place no new server of that mode is added: the server would see its client's own
address, and answer past the director.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lvsha.errors import KernelError
from lvsha.kernel.ipvs import Failure, StepError
from lvsha.kernel.sourcenat import Rules, choose
from lvsha.kernel.sourcenat.pool import Share, by_nft
from lvsha.model import ServerKey, ServiceKey, SourceNatState
from lvsha.plan import AddServer, SetSourceNat, Step


class SourceNatTable:
    """The source NAT of this namespace, and which servers still wait for theirs."""

    def __init__(self, wanted: Callable[[], bool], find: Callable[[], Awaitable[Rules]] = choose) -> None:
        self._wanted = wanted
        self._find = find
        self._rules: Rules | None = None
        self._clean = False
        """Nothing is there, and nothing is wanted."""
        self._waiting: dict[tuple[ServiceKey, ServerKey], str] = {}
        """Servers whose source NAT could not be put in place, and why."""

    @property
    def share(self) -> Share:
        """How the firewall chooses a client's local address."""
        return self._rules.share if self._rules is not None else by_nft

    async def observe(self) -> SourceNatState:
        """What is there. A firewall that cannot be asked is a state that has to be put right."""
        wanted = self._wanted()
        if not wanted and self._clean:
            return SourceNatState()
        try:
            self._rules = self._rules or await self._find()
            state = await self._rules.observe()
        except KernelError as error:
            # Where none is wanted, a machine without a firewall has none that could be left over.
            self._clean = not wanted and self._rules is None
            self._rules = None
            return SourceNatState(altered=str(error)) if wanted else SourceNatState()
        self._clean = not wanted and state == SourceNatState()
        if not wanted:
            self._waiting.clear()
        elif not state.altered:
            self._arrived(state)
        return state

    async def apply(self, step: SetSourceNat) -> Failure | None:
        """Carry out a step, or say why not."""
        try:
            self._rules = self._rules or await self._find()
            await self._rules.replace(step.entries)
        except KernelError as error:
            self._rules = None
            self._waiting = {(e.service, s): str(error) for e in step.entries for s in e.servers}
            return Failure(step, StepError(f"{step}: {error}", number=0, text=str(error), drift=False))
        self._waiting.clear()
        return None

    def bars(self, step: Step) -> Failure | None:
        """Why a server may not be added yet; None: it may."""
        if not isinstance(step, AddServer) or (step.service, step.key) not in self._waiting:
            return None
        why = f"it has no source NAT yet: {self._waiting[step.service, step.key]}"
        return Failure(step, StepError(f"{step}: {why}", number=0, text=why, drift=False))

    def _arrived(self, state: SourceNatState) -> None:
        for entry in state.entries:
            for server in entry.servers:
                self._waiting.pop((entry.service, server), None)
