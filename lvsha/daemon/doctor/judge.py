"""Every judgement, in the order in which a packet meets what is judged."""

from __future__ import annotations

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon.doctor import (
    claims,
    forward,
    fullnat,
    machine,
    nat,
    serving,
    sync,
    tun,
    unseen,
    vips,
    vrrp,
    ways,
)
from lvsha.daemon.doctor.facts import Facts


def judge(config: Config, facts: Facts) -> list[FindingView]:
    """What is wrong, and what was looked at, for a configuration and what was seen."""
    matters = (machine, vips, claims, vrrp, ways, forward, nat, tun, fullnat, unseen, sync, serving)
    return [finding for matter in matters for finding in matter.judge(config, facts)]
