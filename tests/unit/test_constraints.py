"""Placement constraints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.constraints import (
    CONSTRAINT_CHARS_MAX,
    VALUES_MAX,
    Constraint,
    ConstraintError,
    Operator,
    parse,
    parse_attribute,
)


@pytest.mark.parametrize(
    ("text", "key", "operator", "values"),
    [
        ("node.labels.zone == a", "node.labels.zone", Operator.EQUAL, ("a",)),
        ("node.labels.zone==a", "node.labels.zone", Operator.EQUAL, ("a",)),
        ("  node.hostname != n 1 ", "node.hostname", Operator.NOT_EQUAL, ("n 1",)),
        ("node.role == worker", "node.role", Operator.EQUAL, ("worker",)),
        ("engine.labels.os==x", "engine.labels.os", Operator.EQUAL, ("x",)),
        ("node.labels.zone in (a, b)", "node.labels.zone", Operator.IN, ("a", "b")),
        ("node.labels.zone not  in(a,b)", "node.labels.zone", Operator.NOT_IN, ("a", "b")),
        ("node.labels.rack>=3", "node.labels.rack", Operator.AT_LEAST, ("3",)),
        ("node.memory < 64g", "node.memory", Operator.BELOW, ("64g",)),
        ("node.hostname =~ ^db-[0-9]+$", "node.hostname", Operator.MATCH, ("^db-[0-9]+$",)),
        ("engine.version version >= 20.10, < 25", "engine.version", Operator.VERSION, (">= 20.10, < 25",)),
        ("node.labels.inx == a", "node.labels.inx", Operator.EQUAL, ("a",)),
    ],
)
def test_the_forms_of_a_constraint(text: str, key: str, operator: Operator, values: tuple[str, ...]) -> None:
    assert parse(text) == Constraint(key=key, operator=operator, values=values)
    assert parse(str(parse(text))) == parse(text)


#: The constraint, the values of nodes that satisfy it, and those that do not; an empty one is "it has none".
HOLDING = [
    ("node.labels.disk == ssd", ["ssd", "SSD"], ["", "hdd", "ssd2"]),
    ("node.labels.disk != ssd", ["", "hdd"], ["ssd", "SSD"]),
    ("node.labels.zone in (a, b)", ["a", "B"], ["", "c", "a, b"]),
    ("node.labels.zone not in (a, b)", ["", "c"], ["a", "B"]),
    ("node.labels.rack > 3", ["4", "3.5", "10"], ["", "3", "-4", "x", "3a"]),
    ("node.labels.rack < 3", ["2", "-4"], ["", "3", "x"]),
    ("node.labels.rack >= 3", ["3", "3.0"], ["2.99", ""]),
    ("node.labels.rack <= -1.5", ["-1.5", "-2"], ["-1", ""]),
    ("node.cpus >= 2.5", ["2.5", "8"], ["2", ""]),
    ("node.memory >= 64g", ["68719476736", "70000000000"], ["68719476735", ""]),
    ("node.disk == 1k", ["1024"], ["1023", ""]),
    ("node.disk != 1k", ["1023", ""], ["1024"]),
    ("node.hostname =~ ^db-[0-9]+$", ["db-12"], ["", "db-", "adb-1", "DB-1"]),
    ("node.hostname =~ (?i)db", ["my-DB-1"], ["", "d"]),
    ("node.hostname !~ ^db", ["", "web"], ["db-1"]),
    ("engine.version version >= 20.10, < 25", ["20.10.24+dfsg1", "v24.0.7"], ["", "25.0", "20.9", "x"]),
    ("engine.version version >= 2.0", ["2.0", "2", "2.0-1"], ["2.0-rc1", "2.0~beta"]),
    ("engine.version version != 2", ["2.1"], ["2.0.0", ""]),
    ("node.ip == 10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "", "db.example.org"]),
    ("node.ip != 10.1.2.3", ["10.1.2.4", ""], ["10.1.2.3"]),
    ("node.platform.arch == x86_64", ["amd64", "x86_64"], ["arm64", ""]),
    ("node.platform.arch in (aarch64, arm)", ["arm64", "armhf"], ["amd64"]),
]


@pytest.mark.parametrize(("text", "yes", "no"), HOLDING, ids=[row[0] for row in HOLDING])
def test_which_values_satisfy_it(text: str, yes: list[str], no: list[str]) -> None:
    constraint = parse(text)
    assert [value for value in (*yes, *no) if constraint.holds(value)] == yes


@pytest.mark.parametrize(
    ("text", "summary", "hint", "column"),
    [
        ("zone = a", "'=' is no operator", "write it like node.labels.zone == a", 6),
        ("node.labels.a =< 3", "'=<' is no operator", "or with one of", 15),
        ("node.labels.zone", "there is no value after it", "write it like node.labels.zone == a", 17),
        ("node.labels.zone not in", "there is no value after not in", "write it like", 18),
        ("node.labels. == a", "'node.labels.' is not a key", "node.", 1),
        (" node.hostnam == a", "'node.hostnam' is not a key", "did you mean node.hostname?", 2),
        ("node.label.zone == a", "is not a key", "did you mean node.labels.zone?", 1),
        ("node.labels.z in a", "'a' is no set of values", "write it like (a, b)", 18),
        ("node.labels.z in (a", "'(a' is no set of values", "with quotes around the constraint", 18),
        ("node.labels.z in (a,,b)", "a value is missing", "write it like (a, b)", 18),
        ("node.labels.n > abc", "'abc' is not a number", "write it like 2.5", 17),
        ("node.labels.n > nan", "'nan' is not a number", "write it like 2.5", 17),
        ("node.memory > many", "'many' is not a number", "write it like 64g", 15),
        ("node.cpus =~ 8", "node.cpus is an amount", "compare it with", 14),
        ("node.labels.x =~ a(b", "a ( is not closed", r"write \( for the character itself", 19),
        ("node.labels.x !~ (?=a)", "(?= is not understood", "are understood", 18),
        ("engine.version version foo", "'foo' is not a version", "write it like version >= 2.1, < 3", 24),
        ("node.ip == zone", "'zone' is no range of addresses", "write 10.0.0.0/8", 12),
        ("node.id == " + "a" * CONSTRAINT_CHARS_MAX, "characters", "write at most 500", 1),
        (f"node.id in ({'a,' * VALUES_MAX}a)", "the set has 101 values", "write at most 100", 12),
    ],
)
def test_a_wrong_one_says_where_and_what_is_right(text: str, summary: str, hint: str, column: int) -> None:
    with pytest.raises(ConstraintError) as caught:
        parse(text)
    assert summary in caught.value.summary
    assert hint in caught.value.hint
    assert caught.value.column == column


LIKELY = st.from_regex(r"node\.[a-z.]{0,12} ?(in|=~|>|version) ?.{0,12}", fullmatch=True)


@given(st.text(max_size=40) | LIKELY)
def test_any_text_is_a_constraint_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ConstraintError:
        return
    assert parse(str(found)) == found
    assert isinstance(found.holds("1.2"), bool)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("node.labls.zone", "did you mean node.labels.zone?"),
        ("node.memory", "did you mean"),
        ("", "write one of"),
    ],
)
def test_tasks_are_spread_over_attributes_only(text: str, hint: str) -> None:
    assert parse_attribute(" node.labels.zone") == "node.labels.zone"
    with pytest.raises(ConstraintError) as caught:
        parse_attribute(text)
    assert hint in caught.value.hint
