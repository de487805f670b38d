"""Tells the operator's programs (`[notify]`) what becomes of instances, groups and this director.

    change.py      one change, as a program is told of it
    standing.py    from the instances' changes to those of groups and of the director          pure
    herald.py      one program: runs in order, never twice at once, the latest state never lost
    heralds.py     all of them, as the configuration has them

The speaker knows nothing of it: what it tells the director is passed on here, so no program is ever
in the way of an advert, and one that fails or hangs is an event and nothing else. A director that is away
tells when it is back.
"""

from __future__ import annotations

from lvsha.daemon.heralds.heralds import Heralds

__all__ = ["Heralds"]
