"""Packing is counted in nodes and moves, the same on every machine: at most twice what is aimed at."""

from __future__ import annotations

import numpy as np
import pytest

from bench import bounds
from bench.mixes import MIXES, fleet, mix
from bench.pack import arrivals, least, ours, rolled, waste

#: Twice the aim of a whole batch, in percent; and one node, which is more than that on a small fleet.
WASTE_MAX, NODES_MORE = 2.0, 1
#: Twice the floor after two rolling updates of everything, in percent, since a node is one percent here; and
#: moves per 100 placements, with those that there are at the start.
ROLLED_MAX, MOVES_MAX = 10.0, 6.0
#: The floor of use at the first refusal, in percent.
USE_MIN = 95.0


@pytest.mark.parametrize("name", sorted(MIXES))
def test_a_whole_batch_takes_hardly_more_nodes_than_it_must(name: str) -> None:
    drawn = mix(name, 200, seed=1)
    bound = least(drawn, mixed=False)
    nodes = ours(drawn, bound, mixed=False)
    assert nodes <= bound + NODES_MORE or waste(nodes, bound) <= WASTE_MAX


def test_moves_for_room_are_few() -> None:
    drawn = mix("trace", 130, seed=1)
    assert arrivals(drawn, fleet(2, 60, mixed=False)).moves <= 5.0


@pytest.mark.parametrize(("seed", "mixed"), [(1, False), (2, False), (2, True), (3, False)])
def test_four_goods_are_used_well_at_the_first_refusal(seed: int, *, mixed: bool) -> None:
    drawn = mix("four", 220, seed)
    found = arrivals(drawn, fleet(4, 100, mixed=mixed))
    assert found.use >= USE_MIN and found.moves <= 5.0


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


def test_the_bound_of_what_arrives_is_where_the_next_has_no_room_even_in_pieces() -> None:
    """Ten of one good and ten of another; what comes second takes of the first good alone."""
    sizes, capacity = np.array([[1, 1], [3, 0]]), np.array([[5, 5], [5, 5]])
    assert bounds.arriving(sizes, np.array([4, 3]), capacity) == pytest.approx(1.0)  # the third in part
    assert bounds.arriving(sizes, np.array([4, 1]), capacity) == pytest.approx(0.7)  # all have room
    too_large = np.array([[1, 1], [6, 0]])  # for each node
    assert bounds.arriving(too_large, np.array([4, 3]), capacity) == pytest.approx(0.4)


@pytest.mark.parametrize("mixed", [False, True])
def test_no_arrivals_use_more_than_their_bound(*, mixed: bool) -> None:
    drawn, capacity = mix("trace", 130, seed=2), fleet(2, 60, mixed=mixed)
    assert arrivals(drawn, capacity).use <= 100 * bounds.arriving(drawn.sizes, drawn.counts, capacity) + 1e-6


@pytest.mark.parametrize("name", ["trace", "vm", "four"])
def test_rolling_updates_of_everything_hardly_take_more_nodes(name: str) -> None:
    drawn = mix(name, 100, seed=1)
    capacity = fleet(drawn.sizes.shape[1], 120, mixed=False)
    before, after = rolled(drawn, capacity, 0), rolled(drawn, capacity, 2)
    assert after.nodes <= before.nodes * (1 + ROLLED_MAX / 100)
    assert after.moves <= MOVES_MAX
