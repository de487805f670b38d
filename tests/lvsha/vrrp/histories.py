"""Histories: what may befall a few nodes, drawn from a seed or from hypothesis, and then healed.

A `Step` is plain data, so that a failing history shrinks and can be read. Times are parts of the
interval that the nodes advertise with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from lvsha.vrrp.member import Spec
from tests.lvsha.vrrp.network import DRIFT, BrokenRuleError, Network, Setup

KINDS = (
    "cut",
    "cut",
    "mend",
    "loss",
    "repeat",
    "freeze",
    "pause",
    "kill",
    "reboot",
    "restart",
    "fault",
    "priority",
    "hold",
    "step_down",
    "witness",
    "preemption",
    "gate",
    "reconfigure",
)
SOURCES = tuple(IPv4Address(f"192.0.2.{number}") for number in range(5))
PRIORITIES = (1, 50, 100, 100, 100, 150, 254)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that befalls `node` (and where it takes two, `other`) after `wait` intervals."""

    wait: float
    kind: str
    node: int
    other: int
    number: int
    length: float
    """How many intervals it lasts, where it ends by itself."""


def draw_steps(rng: random.Random, nodes: int, count: int) -> list[Step]:
    """Random steps."""
    return [
        Step(
            rng.choice((0.0, 0.3, 1.0, 2.5, 5.0)) * rng.random(),
            rng.choice(KINDS),
            rng.randrange(nodes),
            rng.randrange(nodes),
            rng.randrange(1000),
            rng.choice((0.5, 2, 4, 5, 8)) * rng.random(),
        )
        for _ in range(count)
    ]


def draw_setups(rng: random.Random, nodes: int, members: int) -> list[Setup]:
    """Nodes whose priorities often tie and whose addresses rank differently on each link."""
    version = rng.choice((2, 3, 3))
    interval = 1.0 if version == 2 else rng.choice((0.1, 1.0))
    ranks = [rng.sample(range(1, nodes + 1), nodes) for _ in range(members)]
    preempt, witness = rng.random() < 0.7, rng.random() < 0.15
    delay = rng.choice((0.0, 0.0, 3 * interval))
    return [
        Setup(
            tuple(
                Spec(
                    name=f"m{k}",
                    vrid=k + 1,
                    source=SOURCES[ranks[k][i]],
                    priority=rng.choice(PRIORITIES),
                    addresses=(IPv4Address(f"198.51.100.{k + 1}"),),
                    version=version,
                    interval=interval if version == 2 else interval * rng.choice((1, 1, 1, 0.5)),
                    preempt=preempt,
                    preempt_delay=delay,
                    witness=witness,
                )
                for k in range(members)
            ),
            offset=rng.uniform(-1000, 1000),
            rate=1 + rng.uniform(-DRIFT, DRIFT) / 2,
            gated=rng.random() < 0.2,
        )
        for i in range(nodes)
    ]


def befall(network: Network, step: Step) -> None:
    """Do one step to the network, and arrange for its end."""
    i, j, n = step.node, step.other, step.number
    node = network.nodes[i]
    member = list(node.group.members)[n % len(node.group.members)]
    end = network.now + step.length * network.interval
    network.tell(f"{step}")
    match step.kind:
        case "cut":
            network.cut.add((member, i, j))
            if n % 3 == 0:
                network.cut.add((member, j, i))
        case "mend":
            network.cut.clear()
            network.loss = 0.0
        case "loss":
            network.loss = n % 100 / 100
        case "repeat":
            network.repeat = n % 100 / 100
        case "freeze" | "pause":
            network.freeze(i, paused=step.kind == "pause")
            network.at(end, network.thaw, i)
        case "kill" | "reboot":
            network.kill(i)
            network.at(end, lambda: network.revive(i, reboot=step.kind == "reboot"))
        case "restart":
            network.call(i, "stop")
            network.at(end, network.call, i, "start")
        case "fault":
            network.call(i, "fault", f"fault {n}")
            network.at(end, network.call, i, "clear", f"fault {n}")
        case "priority":
            network.call(i, "reprioritise", member, PRIORITIES[n % len(PRIORITIES)])
        case "hold":
            network.call(i, "hold", f"hold {n}")
            network.at(end, network.call, i, "release", f"hold {n}")
        case "step_down":
            network.call(i, "step_down", step.length * network.interval)
        case "witness":
            node.witness = n % 2 == 0
        case "preemption":
            network.call(i, "preemption", n % 2 == 0)
        case "gate":
            network.call(i, "open_gate")
        case "reconfigure":
            network.call(i, "reconfigure", node.setup.specs)


def play(setups: Sequence[Setup], steps: Sequence[Step], rng: random.Random) -> Network:
    """Let a history happen, heal everything, and see that one master is left. Raises BrokenRuleError."""
    network = Network(setups, rng, delay=setups[0].specs[0].interval / 20)
    for index in range(len(setups)):
        network.at(rng.random() * network.interval, network.call, index, "start")
    when = 0.0
    for step in steps:
        when += step.wait * network.interval
        network.at(when, befall, network, step)
    network.run(when + max((s.length for s in steps), default=0.0) * network.interval * (1 + DRIFT) + 0.01)
    network.heal()
    for index in range(len(setups)):
        network.call(index, "preemption", True)
    network.run(network.now + network.bound)
    network.settled = True
    network.run(network.now + 4 * network.interval)
    _the_best(network)
    return network


def _the_best(network: Network) -> None:
    """Where all pre-empt, the master is the one whose priority is highest."""
    groups = [node.group for node in network.nodes]
    if not all(m.spec.preempt for group in groups for m in group.members.values()):
        return
    best = max(group.priority for group in groups)
    master = groups[network.masters()[0]]
    if master.priority != best:
        raise BrokenRuleError(f"the master's priority is {master.priority}, there is {best}\n{network}")
