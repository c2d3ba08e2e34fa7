"""Regular expressions in linear time, held against Python's own."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.regexp import PATTERN_CHARS_MAX, Pattern, PatternError

#: What backtracking takes years for: exponential, and polynomial of a high degree.
EVIL = [
    "^(a+)+$",
    "^(a|a)*$",
    "(a*)*(a*)*(a*)*(a*)*b",
    "^a*a*a*a*a*a*a*a*b$",
    "(.{0,30}){0,30}x",
    "^(a?){90}a{90}$",
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@settings(max_examples=400)
@given(st.text("ab1.|()*+?^$[]{},\\dwS-", max_size=10), st.text("ab1.", max_size=6))
def test_it_finds_what_pythons_own_finds(pattern: str, text: str) -> None:
    try:
        found = Pattern(pattern)
    except PatternError:
        return
    assert found.search(text) == (re.search(pattern, text, re.DOTALL) is not None)


@pytest.mark.parametrize("pattern", EVIL)
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    assert Pattern(pattern).search("a" * 254 + "c") is False
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("pattern", "said", "column"),
    [
        ("a(b", "a ( is not closed", 2),
        ("a)", "a ) has no (", 2),
        ("[a", "[ is not closed", 1),
        ("[z-a]", "bad character range", 1),
        ("a[+--]", "[+--] has two - in a row", 2),
        ("a{", "{ is not closed", 2),
        ("a{,}", "has no number", 2),
        ("a{5,2}", "{5,2} is out of range", 2),
        ("a{1000}", "{1000} is out of range", 2),
        ("((a{100}){100}){3}", "repeats too much", 1),
        ("(" * 30 + ")" * 30, "groups nest deeper than 20", 21),
        ("*a", "there is nothing that * repeats", 1),
        ("a**", "* follows another repeat", 3),
        ("^*", "cannot be repeated", 2),
        (r"(a)\1", r"\1 is not understood", 4),
        ("(?=a)", "(?= is not understood", 1),
        ("a" * (PATTERN_CHARS_MAX + 1), "the pattern has 201 characters", 1),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place(pattern: str, said: str, column: int) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert said in str(caught.value)
    assert caught.value.column == column
    assert caught.value.hint
