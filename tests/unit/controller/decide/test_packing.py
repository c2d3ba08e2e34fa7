"""The plan of a whole batch: never over capacity, where it may go, few nodes, evenly over the zones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from controller.decide.dealing import level
from controller.decide.packing import UNLIMITED, Want, pack

Ints = npt.NDArray[np.int64]


def nodes(*sizes: tuple[int, ...]) -> list[Ints]:
    """Columns of nodes of these sizes."""
    return [np.array(column, np.int64) for column in zip(*sizes, strict=True)]


def used(rows: list[npt.NDArray[np.intp]]) -> int:
    return len(np.unique(np.concatenate(rows)))


def test_a_batch_fills_few_nodes_to_the_brim() -> None:
    whole = nodes(*[(16, 64)] * 10)
    rows = pack(whole, whole, [Want((8, 8), 4), Want((8, 56), 4)])
    assert [len(each) for each in rows] == [4, 4]
    assert used(rows) == 4


def test_large_and_small_are_planned_together() -> None:
    """One after the other, the fullest node first, the small ones would take the room of the large ones."""
    whole = nodes(*[(10,)] * 3)
    rows = pack(whole, whole, [Want((1,), 9), Want((7,), 3)])
    assert [len(each) for each in rows] == [9, 3]
    assert sorted(rows[1]) == [0, 1, 2]


def test_nodes_in_use_are_filled_before_empty_ones_the_fullest_first() -> None:
    whole = nodes(*[(10,)] * 4)
    (rows,) = pack(nodes((10,), (3,), (6,), (10,)), whole, [Want((2,), 4)])
    assert sorted(rows) == [1, 2, 2, 2]
    (rows,) = pack(nodes((10,), (3,), (6,), (10,)), whole, [Want((2,), 1)])
    assert list(rows) == [1]


def test_of_several_kinds_of_nodes_those_are_opened_that_fit_what_is_asked() -> None:
    whole = nodes(*[(8, 64), (32, 16)] * 4)
    (rows,) = pack(whole, whole, [Want((4, 2), 16)])
    assert set(rows % 2) == {1}
    (rows,) = pack(whole, whole, [Want((1, 8), 16)])
    assert set(rows % 2) == {0}


def test_no_node_gets_more_of_a_want_than_its_limit_which_counts_what_is_there() -> None:
    whole = nodes(*[(100,)] * 3)
    alike = [Want((1,), 6, per_node=2), Want((1,), 6, per_node=2)]
    rows = pack(whole, whole, alike)
    assert [np.bincount(each).tolist() for each in rows] == [[2, 2, 2], [2, 2, 2]]
    (rows_held,) = pack(whole, whole, [Want((1,), 6, per_node=2, held=np.array([2, 1, 0]))])
    assert sorted(rows_held) == [1, 2, 2]


def test_wants_with_few_nodes_are_served_first() -> None:
    whole = nodes((4,), (4,))
    only = np.array([True, False])
    rows = pack(whole, whole, [Want((2,), 2), Want((1,), 4, fits=only)])
    assert [sorted(each) for each in rows] == [[1, 1], [0, 0, 0, 0]]


def test_each_want_is_spread_over_the_zones() -> None:
    whole, zones = nodes(*[(16, 16)] * 30), np.arange(30) // 10
    wants = [Want((size, 1), 3, per_node=1) for size in (1, 2, 3) for _ in range(5)]
    for rows in pack(whole, whole, wants, zones):
        assert sorted(zones[rows]) == [0, 1, 2]


def test_what_takes_nothing_goes_also_where_more_is_taken_than_there_is() -> None:
    (rows,) = pack([np.array([-5])], [np.array([10])], [Want((0,), 2)])
    assert list(rows) == [0, 0]
    (rows,) = pack([np.array([-5])], [np.array([10])], [Want((1,), 2)])
    assert not rows.size


def test_nothing_to_place_and_nowhere_to_place_it() -> None:
    assert pack(nodes((1,)), nodes((1,)), []) == []
    none = [np.zeros(0, np.int64)]
    assert [each.size for each in pack(none, none, [Want((1,), 3)])] == [0]
    assert [each.size for each in pack(nodes((2,)), nodes((2,)), [Want((1,), 0), Want((1,), 1)])] == [0, 1]


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(0, 60))
def test_a_count_is_levelled_as_room_allows(room: list[int], count: int) -> None:
    shares = level(np.array(room), count)
    assert shares.sum() == min(count, sum(room))
    lower = [share for share, most in zip(shares, room, strict=True) if share < most]
    assert all(share <= most for share, most in zip(shares, room, strict=True))
    assert not lower or max(shares) - min(lower) <= 1


batches = st.lists(
    st.builds(
        Want,
        size=st.tuples(st.integers(0, 6), st.integers(0, 6)),
        tasks=st.integers(0, 12),
        fits=st.none() | st.lists(st.booleans(), min_size=5, max_size=5).map(np.array),
        per_node=st.just(UNLIMITED) | st.integers(1, 4),
        held=st.none() | st.lists(st.integers(0, 3), min_size=5, max_size=5).map(np.array),
    ),
    max_size=8,
)
fleets = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=5, max_size=5)


@settings(max_examples=300, deadline=None)
@given(fleets, batches, st.none() | st.just(np.array([0, 0, 1, 1, 2])))
def test_a_plan_keeps_to_capacity_to_nodes_and_to_limits_and_is_always_the_same(
    free: list[tuple[int, int]], wants: list[Want], zones: Ints | None
) -> None:
    columns, whole = nodes(*free), nodes(*[(20, 20)] * 5)
    rows = pack(columns, whole, wants, zones)
    counts = [np.bincount(each, minlength=5) for each in rows]
    for want, count in zip(wants, counts, strict=True):
        assert count.sum() <= want.tasks
        there = 0 if want.held is None else want.held
        assert (count[count > 0] + (there + 0 * count)[count > 0] <= want.per_node).all()
        assert want.fits is None or not count[~want.fits].any()
    for dimension, column in enumerate(columns):
        taken = sum(want.size[dimension] * count for want, count in zip(wants, counts, strict=True))
        assert (np.asarray(taken) <= column).all()
    for want, count in zip(wants, counts, strict=True):
        if count.sum() < want.tasks:
            _assert_no_room_is_left(want, count, wants, counts, columns)
    again = pack(columns, whole, wants, zones)
    assert all(np.array_equal(one, other) for one, other in zip(rows, again, strict=True))


def _assert_no_room_is_left(
    want: Want, count: Ints, wants: list[Want], counts: list[Ints], columns: list[Ints]
) -> None:
    able = np.ones(5, bool) if want.fits is None else want.fits.copy()
    able &= count + (0 if want.held is None else want.held) < want.per_node
    for dimension, column in enumerate(columns):
        taken = sum(each.size[dimension] * n for each, n in zip(wants, counts, strict=True))
        able &= (column - taken >= want.size[dimension]) | (want.size[dimension] == 0)
    assert not able.any()


def fewest(sizes: list[tuple[int, int]], counts: list[int], capacity: tuple[int, int], most: int) -> int:
    """The least number of equal nodes that take a batch: the exact optimum."""
    classes = len(sizes)
    width = most * (classes + 1)  # x[node, class], then y[node]
    cost = np.zeros(width)
    cost[most * classes :] = 1
    everything = np.zeros((classes, width))
    for index in range(classes):
        everything[index, [node * classes + index for node in range(most)]] = 1
    room = np.zeros((most * 2, width))
    for node in range(most):
        for dimension in range(2):
            row = node * 2 + dimension
            room[row, node * classes : (node + 1) * classes] = [size[dimension] for size in sizes]
            room[row, most * classes + node] = -capacity[dimension]
    found = milp(
        cost,
        constraints=[LinearConstraint(everything, counts, counts), LinearConstraint(room, -np.inf, 0)],
        integrality=np.ones(width),
        bounds=Bounds(0, [max(counts)] * (most * classes) + [1] * most),
    )
    assert found.success
    return round(found.fun)


@pytest.mark.parametrize("seed", range(12))
def test_small_batches_take_at_most_one_node_more_than_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [(int(a), int(b)) for a, b in rng.integers(1, 10, (4, 2))]
    counts = [int(each) for each in rng.integers(1, 6, 4)]
    whole = nodes(*[(16, 16)] * 24)
    rows = pack(whole, whole, [Want(size, count) for size, count in zip(sizes, counts, strict=True)])
    assert sum(len(each) for each in rows) == sum(counts)
    assert used(rows) <= fewest(sizes, counts, (16, 16), used(rows)) + 1
