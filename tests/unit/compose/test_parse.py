"""YAML to the positioned tree: meaning, merge keys, limits, hostile input."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.compose import nodes
from bayplan.compose.budget import NODES_MAX, Budget
from bayplan.compose.nodes import List, Map, Node, Scalar, Source
from bayplan.compose.parse import ALIASES_MAX, DEPTH_MAX, SOURCE_BYTES_MAX, parse
from bayplan.compose.report import Report
from bayplan.errors import ProblemError


def tree(text: str | bytes) -> Node:
    report = Report()
    root = parse(Source("f.yml", text.encode() if isinstance(text, str) else text), report, Budget()).root
    report.finish()
    return root


def plain(node: Node) -> object:
    """The tree as Python values, every scalar as its text."""
    match node:
        case Map(entries=entries):
            return {name: plain(entry.value) for name, entry in entries.items()}
        case List(items=items):
            return [plain(item) for item in items]
        case Scalar(text=text):
            return text
        case _:
            raise AssertionError(node)


def first_line(text: str | bytes) -> str:
    with pytest.raises(ProblemError) as caught:
        tree(text)
    return caught.value.problem.lines()[0]


def test_scalars_keep_the_text_that_was_written() -> None:
    text = (
        "port: 22:22\nswitch: no\ntime: 12:30:45\nversion: 1.10\nmode: 0440\nid: 0x1F\nquoted: '8'\nnone: ~\n"
    )
    assert plain(tree(text)) == {
        "port": "22:22",
        "switch": "no",
        "time": "12:30:45",
        "version": "1.10",
        "mode": "0440",
        "id": "0x1F",
        "quoted": "8",
        "none": "~",
    }


@pytest.mark.parametrize(
    ("written", "nothing"), [("", True), ("~", True), ("null", True), ("'null'", False), ("0", False)]
)
def test_only_plain_nulls_mean_nothing(written: str, nothing: bool) -> None:
    root = tree(f"a: {written}")
    assert isinstance(root, Map)
    assert nodes.is_null(root.entries["a"].value) is nothing


def test_every_node_knows_its_line() -> None:
    root = tree("a:\n  - x\n  - y\nb:\n  c: 1\n")
    assert isinstance(root, Map)
    items = root.entries["a"].value
    assert isinstance(items, List)
    assert [item.place for item in items.items] == ["f.yml:2", "f.yml:3"]
    assert root.entries["b"].key.place == "f.yml:4"


def test_merge_keys_give_way_to_own_keys_and_to_earlier_ones() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: own\n"
    assert plain(tree(text))["z"] == {"a": "own", "b": "1", "c": "2"}  # type: ignore[index]


def test_a_merge_key_may_have_its_tag() -> None:
    assert plain(tree("x: &x {a: 1}\ny:\n  !!merge <<: *x\n  b: 2\n")) == {
        "x": {"a": "1"},
        "y": {"b": "2", "a": "1"},
    }


@pytest.mark.parametrize("text", ["a: 1\n---\n", "a: 1\n---\n# the end\n", "---\n---\na: 1\n"])
def test_an_empty_document_beside_the_file_is_no_second_one(text: str) -> None:
    assert plain(tree(text)) == {"a": "1"}


def test_a_merged_entry_keeps_the_place_where_it_was_written() -> None:
    root = tree("x: &x\n  a: 1\nz:\n  <<: *x\n")
    assert isinstance(root, Map)
    merged = root.entries["z"].value
    assert isinstance(merged, Map)
    assert merged.entries["a"].key.place == "f.yml:2"


def test_all_duplicate_keys_are_reported_with_both_places() -> None:
    with pytest.raises(ProblemError) as caught:
        tree("a: 1\nb: 1\na: 2\nb: 2\n")
    lines = [problem.lines() for problem in caught.value.problems]
    assert lines[0][:2] == ["error: f.yml:3: the key 'a' is written twice", "  the first time at f.yml:1"]
    assert lines[1][0].startswith("error: f.yml:4")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "f.yml: the file is empty"),
        ("# only a comment", "f.yml: the file is empty"),
        ("a: 1\nb: [1,\n", "f.yml:3: not valid YAML"),
        ("a: 1\n---\nb: 2", "f.yml:2: a second document"),
        ("a:\n  - b\n\t- c", "f.yml:3: not valid YAML"),
        ("a: 1\nb: \x00", "f.yml:2: not valid YAML: control characters"),
        ('a: 1\nb: "\\0"', "f.yml:2: a value holds a NUL"),
        (b"a: 1\nb: \xff", "f.yml:2: the file is not UTF-8"),
        ("a: *b", "f.yml:1: the alias *b has no anchor"),
        ("a: &a [*a]", "f.yml:1: the alias *a has no anchor"),
        ("[a]: b", "f.yml:1: a key is not a single value"),
        ("a: 1\nb:\n  <<: 3", "f.yml:3: a merge key"),
        ("a: !rest [1]", "f.yml:1: the YAML tag '!rest' is not supported"),
        ("a: !!python/object:os.system x", "f.yml:1: the YAML tag"),
    ],
)
def test_what_is_not_one_good_document_is_refused_with_its_line(text: str | bytes, start: str) -> None:
    assert first_line(text).startswith(f"error: {start}")


def test_tabs_are_answered_with_spaces() -> None:
    with pytest.raises(ProblemError) as caught:
        tree("services:\n\tweb: x")
    assert "spaces" in caught.value.problem.hint


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{i + 1}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 9)}]}}\n" for i in range(9)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}]\n" for i in range(DEPTH_MAX))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[" * 60_000, "nested more than"),
        ("{" * 60_000, "nested more than"),
        ("- " * 60_000, "nested more than"),
        ("? " * 60_000, "nested more than"),
        (CHAIN, "nested more than"),
        (LAUGHS, "stands for more than"),
        (MERGES, "stands for more than"),
        ("- x\n" * (NODES_MAX + 1), "stands for more than"),
        ("a: &a x\nb: [" + "*a, " * (ALIASES_MAX + 1) + "]", "aliases"),
        ("x" * (SOURCE_BYTES_MAX + 1), "bytes, more than"),
    ],
    ids=[
        "lists",
        "mappings",
        "blocks",
        "keys",
        "aliases deep",
        "laughs",
        "merges",
        "wide",
        "aliases",
        "large",
    ],
)
def test_a_bomb_is_refused_at_once(text: str, cause: str) -> None:
    began = time.process_time()
    assert cause in first_line(text)
    assert time.process_time() - began < 2


def test_a_file_at_the_limit_of_depth_is_taken() -> None:
    assert plain(tree("[" * DEPTH_MAX + "]" * DEPTH_MAX))
    assert "nested" in first_line("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1))


@given(st.recursive(st.text("ab:- #'", max_size=6), lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_quoted_text_in_nested_lists_comes_back(value: object) -> None:
    def written(part: object) -> str:
        if isinstance(part, str):
            return "'" + part.replace("'", "''") + "'"
        assert isinstance(part, list)
        return "[" + ", ".join(map(written, part)) + "]"

    assert plain(tree(written(value))) == value
