"""Who gives way to a task that is more important."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.decide.preempt import PRIORITY_GAP_MIN, Holder, Room, best, chosen


def holder(name: str, priority: int = 20, cpu: int = 1, **fields: Any) -> Holder:
    return Holder(name, priority, {"cpu": cpu}, **fields)


def room(*holders: Holder, free: int = 0, name: str = "n1") -> Room:
    return Room(f"id-{name}", name, {"cpu": free}, holders)


@pytest.mark.parametrize(
    ("wanted", "there", "gone"),
    [
        (1, room(holder("a"), holder("b", 10)), ["b"]),  # the least important
        (2, room(holder("a", 10), holder("b", 20, 2)), ["b"]),  # the fewest come before that
        (3, room(holder("a", 10), holder("b", 20, 2)), ["a", "b"]),
        (2, room(holder("a", 10), holder("b", 11), free=1), ["a"]),
        (1, room(holder("a", 10, 1), holder("b", 10, 5)), ["a"]),
        (4, room(holder("a", 10), holder("b", 20, 2)), None),  # not even with all
        (1, room(holder("a", 41)), None),  # within the gap
        (1, room(holder("a", 40)), ["a"]),
        (1, room(holder("a", 0, keeps="fenced")), None),
        (1, room(holder("a", 90, leaving=True), holder("b", 0)), []),  # room is coming
        (2, room(holder("a", 90, leaving=True), holder("b", 0)), ["b"]),
        (1, room(free=1), []),
    ],
)
def test_the_fewest_and_least_important_give_way(wanted: int, there: Room, gone: list[str] | None) -> None:
    found = chosen({"cpu": wanted}, 50, there)
    assert (None if found is None else sorted(each.task_id for each in found)) == gone


def test_of_several_nodes_the_one_that_costs_least() -> None:
    rooms = [
        room(holder("a", 10), holder("b", 10), name="n1"),
        room(holder("c", 30, 2), name="n2"),
        room(holder("d", 20, 2), name="n3"),
        room(holder("e", 20, 2), name="n4"),
    ]
    found = best({"cpu": 2}, 50, rooms)
    assert found is not None
    assert [each.task_id for each in found.holders] == ["d"]
    assert best({"cpu": 3}, 50, rooms) is None


HOLDERS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans()),
    max_size=6,
)


@given(HOLDERS, st.integers(0, 6), st.integers(0, 6), st.integers(0, 100))
def test_it_is_enough_none_is_spared_in_vain_and_nobody_important_goes(
    rows: list[tuple[int, int, int, bool, bool]], cpu: int, memory: int, priority: int
) -> None:
    holders = tuple(
        Holder(str(n), p, {"cpu": c, "memory": m}, leaving=leaving, keeps="" if yields else "fenced")
        for n, (p, c, m, leaving, yields) in enumerate(rows)
    )
    wanted = {"cpu": cpu, "memory": memory}

    def enough(gone: tuple[Holder, ...]) -> bool:
        freed = [*gone, *(each for each in holders if each.leaving)]
        return all(sum(each.amounts[name] for each in freed) >= amount for name, amount in wanted.items())

    willing = [
        h for h in holders if not h.keeps and not h.leaving and h.priority + PRIORITY_GAP_MIN <= priority
    ]
    found = chosen(wanted, priority, Room("id", "n", {}, holders))
    if found is None:
        assert not enough(tuple(willing))
        return
    assert enough(found)
    assert {each.task_id for each in found} <= {each.task_id for each in willing}
    assert not found or not any(enough(some) for some in combinations(found, len(found) - 1))
