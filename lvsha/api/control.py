"""What the director promises to whoever controls it.

The API is written against this protocol and knows nothing of the director; the director imports the
values from here and nothing of HTTP. Errors are raised, by whose fault they are:

    TargetError        a target names nothing, too much, or is no target       404, 409, 422
    InputError         a value makes no sense                                  422
    KernelError        the kernel refused                                      502
    UnavailableError   the speaker does not answer, or not in this role        503
    StateError         the state directory cannot be written                   500, told as it is
    TimeoutError       what was waited for did not come about                  504
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, Protocol

from lvsha.api.views import (
    FindingView,
    OverrideView,
    ReloadView,
    ServerView,
    ServiceView,
    StatusView,
    VrrpView,
)
from lvsha.overrides import Kind


class Control(Protocol):
    """A running director."""

    async def status(self) -> StatusView:
        """The director in one glance."""

    async def services(self) -> list[ServiceView]:
        """The services, in the configuration's order."""

    async def servers(self) -> list[ServerView]:
        """The servers of every service, in the configuration's order."""

    async def overrides(self) -> list[OverrideView]:
        """What is in force that was said by hand."""

    async def override(
        self,
        target: str,
        kind: Kind,
        *,
        weight: int | None,
        reason: str,
        expires_in: float | None,
        by: str,
    ) -> list[ServerView]:
        """Set servers aside, or give them a weight, and reconcile; the servers it concerns.

        `weight` goes with Kind.WEIGHT and no other. `expires_in` is in seconds.
        """

    async def clear(self, target: str, kinds: Collection[Kind], *, by: str) -> list[ServerView]:
        """Take overrides of these kinds back, and reconcile; the servers it concerns.

        Nothing to take back is not an error.
        """

    async def plan(self) -> list[str]:
        """The steps that would be applied now; nothing is changed."""

    async def look(self) -> list[str]:
        """Compare with the kernel now; the steps that were applied."""

    async def reload(self, *, by: str) -> ReloadView:
        """Read the configuration again. Problems are an answer, not an error."""

    async def config(self) -> dict[str, Any]:
        """The configuration in force as plain values, secrets left out."""

    async def vrrp(self) -> list[VrrpView]:
        """The VRRP instances."""

    async def failover(
        self, instance: str | None, *, wait: float | None, force: bool, by: str
    ) -> list[VrrpView]:
        """Hand over an instance (None: all that are master here), and wait until a peer has taken it.

        `wait`: at most so many seconds; None: as long as a living peer needs. `force`: also to a peer that
        does not know the connections. Raises TargetError for an unknown instance, UnavailableError where
        this node is not master or the peer lacks connections, TimeoutError when no peer took over: then
        this node has taken it back.
        """

    async def hold(self, instance: str | None, *, by: str) -> list[VrrpView]:
        """Keep an instance (None: all) from being master until it is released."""

    async def release(self, instance: str | None, *, by: str) -> list[VrrpView]:
        """Let an instance (None: all) be master again."""

    async def doctor(self) -> list[FindingView]:
        """What is wrong, or about to be, with this director and its kernel."""

    def events(self, since: int | None) -> AsyncIterator[dict[str, Any]]:
        """Events as `lvsha.log.Journal.subscribe` has them, without end."""

    async def metrics(self) -> str:
        """The metrics in Prometheus' text format; see `lvsha.api.metrics.render`."""
