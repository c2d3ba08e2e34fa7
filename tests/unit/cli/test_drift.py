"""Which copies are told to be behind: those that lack what was there a look ago, once each."""

from __future__ import annotations

from bayplan.cli.drift import Drift
from bayplan.client import CopiesNow, Copy
from bayplan.directory import first_number


def now(index: int, *, silent: str = "", **copies: int) -> CopiesNow:
    return CopiesNow(index, tuple(Copy(node, at, node == silent) for node, at in copies.items()))


def said(drift: Drift, copies: CopiesNow) -> list[str]:
    return [str(each) for each in drift.look(copies)]


def test_what_is_only_on_its_way_is_not_told() -> None:
    drift = Drift()
    assert said(drift, now(10, n1=10, n2=7)) == []
    assert said(drift, now(20, n1=20, n2=10)) == []
    assert said(drift, now(30, n1=29, n2=25)) == []


def test_a_copy_that_falls_behind_is_told_once_and_then_that_it_has_caught_up() -> None:
    drift = Drift()
    said(drift, now(10, n1=10, n2=10))
    said(drift, now(12, n1=12, n2=10))
    assert said(drift, now(12, n1=12, n2=10)) == ["the copy on n2 is 2 changes behind"]
    assert said(drift, now(15, n1=15, n2=11)) == []
    assert said(drift, now(16, n1=16, n2=16)) == ["the copy on n2 is up to date again"]
    assert said(drift, now(16, n1=16, n2=16)) == []


def test_a_silent_copy_is_told_at_once() -> None:
    assert said(Drift(), now(11, n1=11, n2=10, silent="n2")) == ["the copy on n2 is 1 change behind"]


def test_a_node_that_left_has_neither_fallen_behind_nor_caught_up() -> None:
    drift = Drift()
    said(drift, now(11, n1=11, n2=10, silent="n2"))
    assert said(drift, now(11, n1=11)) == []
    assert said(drift, now(11, n1=11, n2=11)) == []


def test_many_are_told_in_one_line() -> None:
    many = {f"n{number}": 8 for number in range(7)}
    drift = Drift()
    said(drift, now(10, **many))
    assert said(drift, now(10, **many)) == [
        "the copies on n0, n1, n2, n3, n4 and 2 more are up to 2 changes behind"
    ]


def test_a_copy_of_what_an_earlier_controller_said_is_told_as_such() -> None:
    drift = Drift()
    said(drift, now(first_number(3), n1=first_number(2)))
    assert said(drift, now(first_number(3), n1=first_number(2))) == [
        "the copy on n1 is from before the controller's start"
    ]
