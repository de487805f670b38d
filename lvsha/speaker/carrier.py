"""How long an interface has had its carrier, where that decides whether an instance takes part.

A switch that runs spanning tree lets nothing through a port for a while after it has got a carrier
(IEEE 802.1D: listening and learning, 15 s each). Who took part at once would hear no master there, and
become one. So an instance may wait (`carrier_delay`), and waits in FAULT: then its silence begins to count
only when the time is over, and a master that can be heard by then is. An interface that is tracked stands
as without a carrier for so long.

The kernel counts how often an interface has got its carrier. By that count one is noticed that came back
sooner than anybody looked.
"""

from __future__ import annotations

from dataclasses import dataclass

from lvsha.kernel.links import Link


@dataclass(slots=True)
class Carrier:
    """What is known of the carrier of one interface. Times are seconds of one clock."""

    _known: tuple[int, int] | None = None
    """The interface's index and its count, when it was seen last."""
    _lost: bool = False
    _since: float = float("-inf")
    """Since when it is well; the beginning of time where it was when it was seen first."""

    def see(self, link: Link | None, now: float) -> bool:
        """The interface is so now; whether it is well only since this look."""
        if link is None or not link.usable:
            self._known, self._lost = None, True
            return False
        seen = (link.index, link.carriers)
        new = self._lost or (self._known is not None and self._known != seen)
        self._known, self._lost = seen, False
        if new:
            self._since = now
        return new

    def settled_at(self, delay: float) -> float:
        """When it has been well for so long."""
        return self._since + delay
