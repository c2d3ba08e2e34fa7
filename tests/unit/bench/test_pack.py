"""Packing is counted in nodes and moves, the same on every machine: at most twice what is aimed at."""

from __future__ import annotations

import numpy as np
import pytest

from bench import bounds
from bench.mixes import MIXES, fleet, mix
from bench.pack import arrivals, least, ours, waste

#: Twice the aim of a whole batch, in percent; and one node, which is more than that on a small fleet.
WASTE_MAX, NODES_MORE = 2.0, 1


@pytest.mark.parametrize("name", sorted(MIXES))
def test_a_whole_batch_takes_hardly_more_nodes_than_it_must(name: str) -> None:
    drawn = mix(name, 200, seed=1)
    bound = least(drawn, mixed=False)
    nodes = ours(drawn, bound, mixed=False)
    assert nodes <= bound + NODES_MORE or waste(nodes, bound) <= WASTE_MAX


def test_moves_for_room_are_few() -> None:
    drawn = mix("trace", 130, seed=1)
    assert arrivals(drawn, fleet(2, 60, mixed=False)).moves <= 5.0


def test_a_mix_is_drawn_the_same_each_time() -> None:
    one, other = mix("trace", 50, seed=3), mix("trace", 50, seed=3)
    assert np.array_equal(one.sizes, other.sizes) and np.array_equal(one.counts, other.counts)
    assert not np.array_equal(one.counts[:20], mix("trace", 50, seed=4).counts[:20])


def test_the_bounds_hold_for_a_batch_that_is_known() -> None:
    """Tasks of six of ten units: one to a node, whatever their sum."""
    sizes, counts, node = np.array([[6]]), np.array([5]), np.array([[10]])
    assert bounds.continuous(sizes, counts, node) == pytest.approx(3.0)
    assert bounds.configurations(sizes, counts, node) == pytest.approx(5.0)
    kinds = np.array([[10], [12]])  # the second takes two: three tasks to two nodes
    assert bounds.configurations(sizes, counts, kinds) == pytest.approx(10 / 3)
