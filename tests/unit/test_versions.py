"""Versions and ranges of them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bayplan.versions import CONDITIONS_MAX, parse, parse_range, satisfies

MANY = ",".join(["1"] * (CONDITIONS_MAX + 1))
#: Each before the next.
RISING = ["1.9", "1.10", "2.0-alpha", "2.0-beta.2", "2.0-rc1", "2.0", "2.0.1", "20.10.24+dfsg1", "v28.2.2"]


def test_versions_have_an_order() -> None:
    assert all(parse(before) < parse(after) for before, after in pairwise(RISING))


@pytest.mark.parametrize("text", ["2", "2.0", "v2.0.0", "2.0+build7", "2.0-1~debian.12", "2.0-ce"])
def test_what_a_distribution_adds_says_nothing(text: str) -> None:
    assert parse(text) == parse("2.0")


@pytest.mark.parametrize("text", ["", "x", "1..2", "-1", "1.2.x", ">= 1 < 2", "=> 1", ">=", MANY])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|conditions"):
        parse_range(text)


def test_all_conditions_hold() -> None:
    wanted = ">= 2.1, < 3, != 2.5"
    assert [each for each in ("2.0", "2.1", "2.5.0", "2.9", "3", "x") if satisfies(each, wanted)] == [
        "2.1",
        "2.9",
    ]
    assert satisfies("2.1", "2.1")
