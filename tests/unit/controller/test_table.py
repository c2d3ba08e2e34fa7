"""Rows of the table: found by id without an index, used again late, kept by service and node."""

from __future__ import annotations

import numpy as np

from bayplan import ids
from controller.table import ROW_BITS, ROWS_MIN, Names, Table


def test_an_id_names_its_row() -> None:
    table = Table()
    rows = table.free_rows(100)
    numbers = (np.arange(100, dtype=np.int64) << ROW_BITS) | rows
    table.take_many(rows, numbers)
    assert [table.row(task_id) for task_id in ids.encode(numbers)] == rows.tolist()
    assert table.rows(numbers).tolist() == rows.tolist()
    assert table.ids_of(rows) == ids.encode(numbers)


def test_an_id_that_names_another_row_is_found_all_the_same() -> None:
    table = Table()
    first = table.take(ids.to_id(1 << ROW_BITS | 5))
    second = table.take(ids.to_id(2 << ROW_BITS | 5))
    assert first == 5 != second
    assert table.row(ids.to_id(2 << ROW_BITS | 5)) == second
    assert table.id_of(second) == ids.to_id(2 << ROW_BITS | 5)
    table.free(np.array([second]))
    assert table.row(ids.to_id(2 << ROW_BITS | 5)) == -1


def test_what_is_no_id_has_no_row() -> None:
    table = Table()
    assert table.row("") == table.row("nonsense") == -1
    assert table.rows(np.array([-1, 7], np.int64)).tolist() == [-1, -1]


def test_a_row_is_used_again_as_late_as_possible() -> None:
    table, seen = Table(), set[int]()
    for number in range(ROWS_MIN // 100):
        rows = table.free_rows(100)
        assert not seen & set(rows.tolist()), number
        seen.update(rows.tolist())
        table.take_many(rows, (np.int64(number) << ROW_BITS) | rows)
        table.free(rows)
    assert table.count == 0


def test_the_table_grows_with_its_tasks() -> None:
    table = Table()
    rows = table.free_rows(3 * ROWS_MIN)
    table.take_many(rows, rows.astype(np.int64) + (1 << ROW_BITS))
    assert table.count == len(np.unique(rows)) == 3 * ROWS_MIN
    assert (table.number[table.used()] >= 0).all()


def test_a_hundred_thousand_tasks_take_eighty_bytes_each() -> None:
    table, count = Table(), 100_000
    for _ in range(100):
        rows = table.free_rows(count // 100)
        table.take_many(rows, (np.int64(1) << ROW_BITS) | rows)
        for column in ("service", "node"):
            getattr(table, column)[rows] = rows % 1_000
            table.enter(rows, column)
    columns = sum(column.nbytes for column in vars(table).values() if isinstance(column, np.ndarray))
    table.services.number("a"), table.nodes.number("b")
    assert len(table.of_service("a")) == len(table.on_node("b")) == 100
    groups = (*table._by_service.values(), *table._by_node.values())
    listed = sum(each.nbytes for group in groups for each in (group.rows, *group.added))
    assert columns / count <= 72
    assert listed / count <= 16


def test_free_rows_are_found_wherever_they_are() -> None:
    table, dice = Table(), np.random.default_rng(1)
    rows = table.free_rows(60_000)
    table.take_many(rows, (np.int64(1) << ROW_BITS) | rows)
    for _ in range(20):
        gone = dice.choice(table.used(), 500, replace=False)
        table.free(gone)
        found = table.free_rows(500)
        assert len(np.unique(found)) == 500
        assert (table.number[found] < 0).all()
        table.take_many(found, (np.int64(2) << ROW_BITS) | found)
    assert table.count == 60_000


def test_a_forgotten_name_makes_room_for_another() -> None:
    names = Names()
    first = names.number("a")
    names.forget("a")
    assert names.known("a") == -1
    assert names.number("b") == first
    names.forget("nobody")


def test_a_node_that_tasks_still_name_keeps_its_number() -> None:
    table = Table()
    row = table.take("own-1")
    table.node[row] = table.nodes.number("n1")
    table.enter(np.array([row]), "node")
    table.forget_node("n1")
    assert table.nodes.number("n2") != table.node[row]
