"""Accept mode as the reconciler uses it: which firewall drops the packets, and whether any needs asking.

It is asked while an instance says `accept = false`, and until nothing of it is left. Where it cannot be put
in place the look goes on and says so: a master that takes too much is better than none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lvsha.errors import KernelError
from lvsha.kernel.acceptance import Rules, choose, holder
from lvsha.kernel.ipvs import Failure, StepError
from lvsha.model import UnacceptedState
from lvsha.plan import SetAcceptance


class Acceptance:
    """The addresses of this namespace whose packets are dropped."""

    def __init__(
        self,
        wanted: Callable[[], bool],
        find: Callable[[], Awaitable[Rules]] = choose,
        left: Callable[[], Awaitable[Rules | None]] = holder,
    ) -> None:
        self._wanted = wanted
        self._find = find
        self._left = left
        self._rules: Rules | None = None
        self._clean = False
        """Nothing is there, and nothing is wanted."""

    async def observe(self) -> UnacceptedState:
        """What is there. A firewall that cannot be asked is a state that has to be put right."""
        wanted = self._wanted()
        if self._clean and not wanted:
            return UnacceptedState()
        try:
            state = await self._observe(wanted=wanted)
        except KernelError as error:
            self._rules = None
            return UnacceptedState(altered=str(error)) if wanted else UnacceptedState()
        self._clean = not wanted and state == UnacceptedState()
        return state

    async def _observe(self, *, wanted: bool) -> UnacceptedState:
        if self._rules is None:
            self._rules = await (self._find() if wanted else self._left())
        return await self._rules.observe() if self._rules is not None else UnacceptedState()

    async def apply(self, step: SetAcceptance) -> Failure | None:
        """Carry out a step, or say why not."""
        try:
            self._rules = self._rules or await self._find()
            await self._rules.replace(step.entries)
        except KernelError as error:
            self._rules = None
            return Failure(step, StepError(f"{step}: {error}", number=0, text=str(error), drift=False))
        return None
