"""Pouring tasks like water: whole steps, equally high where there is room, never more than there is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.decide import pouring


def ints(*values: int) -> pouring.Ints:
    return np.array(values, np.int64)


def poured(levels: list[int], room: list[int], groups: list[int], amounts: list[int]) -> list[int]:
    return pouring.poured(ints(*levels), ints(*room), ints(*groups), ints(*amounts)).tolist()


def test_the_lowest_rise_first() -> None:
    assert poured([0, 2, 5], [9, 9, 9], [0, 0, 0], [4]) == [3, 1, 0]


def test_less_than_a_step_is_left_over() -> None:
    assert poured([1, 1, 1], [9, 9, 9], [0, 0, 0], [5]) == [1, 1, 1]
    assert poured([1, 1, 1], [9, 9, 9], [0, 0, 0], [2]) == [0, 0, 0]


def test_what_is_full_leaves_more_to_the_others() -> None:
    assert poured([0, 0, 0], [1, 9, 9], [0, 0, 0], [9]) == [1, 4, 4]
    assert poured([0, 0], [1, 2], [0, 0], [9]) == [1, 2]


def test_vessels_that_stand_equally_high_rise_alike_until_one_is_full() -> None:
    assert poured([2, 2, 2], [3, 3, 3], [0, 0, 0], [8]) == [2, 2, 2]
    assert poured([0, 0], [1, 5], [0, 0], [3]) == [1, 2]
    assert poured([0, 0, 0, 0, 0], [9, 9, 9, 9, 9], [0, 0, 1, 1, 1], [5, 6]) == [2, 2, 2, 2, 2]
    assert poured([0, 0, 0, 0], [1, 5, 9, 9], [0, 0, 1, 1], [3, 6]) == [1, 2, 3, 3]


def test_groups_are_filled_side_by_side() -> None:
    assert poured([0, 1, 0, 0], [9, 9, 9, 1], [0, 0, 1, 1], [3, 5]) == [2, 1, 4, 1]


def test_one_after_the_other_the_first_is_filled_up() -> None:
    taken = pouring.from_the_first(ints(2, 3, 4, 1, 5), ints(0, 0, 0, 1, 1), ints(4, 2))
    assert taken.tolist() == [2, 2, 0, 1, 1]


def test_the_first_of_each_group_are_so_many() -> None:
    assert pouring.first_in_groups(ints(0, 0, 0, 2), ints(2, 5, 1)).tolist() == [True, True, False, True]


vessels = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30
)


@given(vessels, st.lists(st.integers(0, 100), min_size=4, max_size=4))
def test_it_comes_out_as_if_each_drop_went_to_the_lowest(
    drawn: list[tuple[int, int, int]], each_amount: list[int]
) -> None:
    drawn = sorted(drawn)
    names = sorted({group for group, _, _ in drawn})
    groups = [names.index(group) for group, _, _ in drawn]
    levels, room = [level for _, level, _ in drawn], [space for _, _, space in drawn]
    amounts = each_amount[: len(names)]
    steps = poured(levels, room, groups, amounts)
    for number, amount in enumerate(amounts):
        mine = [at for at, group in enumerate(groups) if group == number]
        now, left = dict.fromkeys(mine, 0), amount
        while True:  # a step at a time: all that stand lowest and have room, if there is enough for all
            free = [at for at in mine if now[at] < room[at]]
            low = [at for at in free if levels[at] + now[at] == min(levels[i] + now[i] for i in free)]
            if not low or len(low) > left:
                break
            left -= len(low)
            now.update({at: now[at] + 1 for at in low})
        assert [steps[at] for at in mine] == [now[at] for at in mine]
