"""Twenty thousand random histories, and those that hypothesis thinks of.

Each of them is judged at every moment by `network` and at its end by `histories`: addresses are
all of a group's or none, masters that hear each other soon are one, nobody takes over from a
master that it hears, and a network that is whole has one master within the bound, the best.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lvsha.vrrp.histories import KINDS, Step, befall, draw_setups, draw_steps, play
from tests.lvsha.vrrp.network import Network

CHUNK = 500
NETWORKS = [
    *((2, 1, chunk) for chunk in range(14)),
    *((2, 2, chunk) for chunk in range(8)),
    *((3, 1, chunk) for chunk in range(8)),
    *((3, 2, chunk) for chunk in range(6)),
    *((2, 3, chunk) for chunk in range(4)),
]
"""(nodes, members of the group, chunk): 40 chunks of 500."""


def told(nodes: int, members: int, seed: int) -> Network:
    """The history of a seed."""
    rng = random.Random(f"{nodes} nodes, {members} members, history {seed}")
    setups = draw_setups(rng, nodes, members)
    return play(setups, draw_steps(rng, nodes, rng.randrange(1, 14)), rng)


@pytest.mark.parametrize(("nodes", "members", "chunk"), NETWORKS)
def test_one_master_is_left(nodes: int, members: int, chunk: int) -> None:
    """Five hundred histories end with one master which holds all addresses of its group."""
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        network = told(nodes, members, seed)
        holders = [node.holding for node in network.nodes if node.holding]
        assert holders == [frozenset(f"m{k}" for k in range(members))]


def test_a_history_can_be_told_again() -> None:
    """The same seed is the same history, to the last transition; another is another."""
    assert told(3, 2, 7).story == told(3, 2, 7).story
    assert told(3, 2, 7).story != told(3, 2, 8).story


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_everything_befalls(kind: str) -> None:
    """Each kind of step does something to a network at some moment; none is a name only."""
    rng = random.Random(kind)
    for _ in range(20):
        setups = draw_setups(rng, 2, 2)
        network = Network(setups, rng)
        for index in range(2):
            network.call(index, "start")
        network.loss = 0.5
        network.run(5 * network.interval)
        before = _facts(network)
        befall(network, Step(0.0, kind, rng.randrange(2), rng.randrange(2), rng.randrange(1000), 1.0))
        network.run(5.2 * network.interval)
        if _facts(network) != before:
            return
    raise AssertionError(f"{kind} changes nothing")


def _facts(network: Network) -> object:
    """What a step may change."""
    nodes = [(n.alive, n.frozen, n.witness) for n in network.nodes]
    groups = [
        (g.state, g.gate_open, g.priority, g.deadline, g._preemption, tuple(g.holds), tuple(g.faults))
        for g in (n.group for n in network.nodes)
    ]
    return nodes, groups, set(network.cut), network.loss, network.repeat


def steps(nodes: int) -> st.SearchStrategy[list[Step]]:
    """Histories that shrink."""
    one = st.builds(
        Step,
        wait=st.floats(0, 6),
        kind=st.sampled_from(sorted(set(KINDS))),
        node=st.integers(0, nodes - 1),
        other=st.integers(0, nodes - 1),
        number=st.integers(0, 999),
        length=st.floats(0, 10),
    )
    return st.lists(one, max_size=12)


@pytest.mark.parametrize(("nodes", "members"), [(2, 1), (2, 2), (3, 1), (3, 2)])
@settings(max_examples=150)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_no_history_is_found_that_breaks_a_rule(
    nodes: int, members: int, data: st.DataObject, seed: int
) -> None:
    """Hypothesis, which looks for the shortest, finds none either."""
    rng = random.Random(seed)
    play(draw_setups(rng, nodes, members), data.draw(steps(nodes)), rng)
