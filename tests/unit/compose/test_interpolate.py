"""Variables in values, and env files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.compose.dotenv import parse_env
from bayplan.compose.interpolate import VALUE_CHARS_MAX, MissingVariableError, expand
from bayplan.compose.nodes import Source
from bayplan.compose.report import Report
from bayplan.errors import ProblemError
from tests.unit.compose.world import loaded, refusal, service, wrapped

ENVIRONMENT = {"SET": "value", "EMPTY": "", "DOLLAR": "${SET}"}


def expanded(text: str) -> tuple[str, list[str]]:
    unset: list[str] = []
    return expand(text, ENVIRONMENT, unset.append), unset


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a$SET-b", "avalue-b"),
        ("$$SET $${SET}", "$SET ${SET}"),
        ("$DOLLAR", "${SET}"),
        ("${SET:-x}", "value"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE:-x}", "x"),
        ("${NONE-x}", "x"),
        ("${NONE:-}", ""),
        ("${SET:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        ("${SET:?no}", "value"),
        ("${EMPTY?no}", ""),
        ("${NONE:-${SET}}", "value"),
        ("${NONE:-a${NONE2:-$SET}b}c", "avaluebc"),
        ("${NONE:-$$}", "$"),
        ("${SET:-${NONE?never asked}}", "value"),
        ("${NONE:-http://x:80/?a=b}", "http://x:80/?a=b"),
    ],
)
def test_every_form_of_a_variable_is_put_in(text: str, result: str) -> None:
    assert expanded(text) == (result, [])


@pytest.mark.parametrize(
    ("text", "unset"), [("$NONE", ["NONE"]), ("${A}${B}", ["A", "B"]), ("${A:-$B}", ["B"])]
)
def test_unset_variables_become_empty_and_are_told(text: str, unset: list[str]) -> None:
    assert expanded(text) == ("", unset)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE?set it}", "the variable NONE is not set: set it"),
        ("${EMPTY:?}", "the variable EMPTY is empty"),
        ("${NONE:?ask $SET}", "the variable NONE is not set: ask value"),
    ],
)
def test_a_required_variable_is_asked_for(text: str, message: str) -> None:
    with pytest.raises(MissingVariableError) as caught:
        expanded(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", ["$", "a $ b", "$1", "${", "${}", "${1}", "${A", "${A:-${B}", "${A!x}", "${ A }", "$-"]
)
def test_a_malformed_variable_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a variable|closing brace"):
        expanded(text)


def test_variables_nested_too_deep_are_refused() -> None:
    with pytest.raises(ValueError, match="nested"):
        expanded("${A:-" * 5_000 + "}" * 5_000)


def test_a_value_cannot_be_blown_up() -> None:
    with pytest.raises(ValueError, match="longer"):
        expand("$A" * 1_000, {"A": "x" * (VALUE_CHARS_MAX // 2)}, lambda name: None)


@given(st.text())
def test_text_with_doubled_dollars_comes_back_as_it_is(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}, lambda name: None) == text


@given(st.text("$A{}:-?+ ", max_size=40))
def test_any_text_is_put_in_or_refused(text: str) -> None:
    try:
        expand(text, {"A": "x"}, lambda name: None)
    except ValueError as error:
        assert str(error)


@given(st.text(max_size=20), st.text("abc $", max_size=10))
def test_a_set_variable_wins_over_its_default(value: str, default: str) -> None:
    text = "${A-" + default.replace("$", "$$") + "}"
    assert expand(text, {"A": value}, lambda name: None) == value
    assert expand(text, {}, lambda name: None) == default


def test_an_unset_variable_in_a_file_is_a_warning_with_its_line() -> None:
    warnings = loaded(wrapped("user: $NOBODY")).warnings
    assert warnings == ("compose.yml:4: the variable NOBODY is not set; it becomes empty",)


def test_a_missing_required_variable_names_the_line_and_the_message() -> None:
    lines = refusal(wrapped("user: ${NOBODY?who are you}\nhostname: $"))
    assert lines[0] == "error: compose.yml:4: the variable NOBODY is not set: who are you"
    assert lines[2].startswith("error: compose.yml:5: '$' is not a variable")


def test_variables_of_x_sections_are_not_asked_for() -> None:
    assert loaded("x-mine: ${NOBODY?}\n" + wrapped("")).warnings == ()


def test_a_put_in_null_is_text() -> None:
    assert service("environment: {A: $N, B: null}", N="null", B="b").container.environment == (
        "A=null",
        "B=b",
    )


def test_the_projects_name_is_a_variable() -> None:
    assert service("hostname: $COMPOSE_PROJECT_NAME").container.hostname == "shop"


def env(text: str | bytes, **environment: str) -> dict[str, str | None]:
    report = Report()
    values = parse_env(Source(".env", text.encode() if isinstance(text, str) else text), environment, report)
    report.finish()
    return values


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("  A = 1  ", "1"),
        ("A=a b", "a b"),
        ("A=", ""),
        ("A=#fff", "#fff"),
        ("A=1 # comment", "1"),
        ("A=x=y", "x=y"),
        ("A='a $B # c'", "a $B # c"),
        ("A='1' # comment", "1"),
        ('A="a b"', "a b"),
        ('A="a\\nb\\"c\\$d"', 'a\nb"c$d'),
        ('A="one\ntwo"', "one\ntwo"),
        ("A=$B-${C:-d}", "bee-d"),
        ("A: 1", "1"),
        ("A:", ""),
        ("A: 'x' # comment", "x"),
        ("A='it\\'s'", "it's"),
        ("A='one\ntwo'", "one\ntwo"),
        ("A='\\d\\n'", "\\d\\n"),
        ('A="\\d+\\t\\\\"', "\\d+\t\\"),
        ('A="{\\"k\\": \\"v\\"}"', '{"k": "v"}'),
        ("A=VAL# not a comment", "VAL# not a comment"),
        ('A="VAL # not a comment"', "VAL # not a comment"),
        ("A=http://host:80/x", "http://host:80/x"),
        ("A", None),
        ("\ufeffA=1", "1"),
        ("A=1\r", "1"),
    ],
)
def test_env_files_are_read_as_docker_reads_them(line: str, value: str | None) -> None:
    assert env(line + "\n", B="bee") == {"A": value}


def test_env_files_have_comments_blank_lines_and_earlier_values() -> None:
    assert env("# first\n\nA=1\n  # then\nB=${A}2\n") == {"A": "1", "B": "12"}


def test_the_environment_wins_inside_an_env_file() -> None:
    assert env("A=file\nB=$A\n", A="shell") == {"A": "file", "B": "shell"}


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("A=1\nB C\n", ".env:2: 'B C' is not NAME=value"),
        ("A='x\n", ".env:1:"),
        ('A="x" y\n', ".env:1:"),
        ('A="one\ntwo"\n1=2\n', ".env:3:"),
        ("A=1\nB=$\n", ".env:2:"),
        ("A=1\nB=${C?please}\n", ".env:2: the variable C is not set: please"),
        (b"A=1\nB=\xff", ".env:2: the env file is not UTF-8"),
        ("A=1\nB=\0", ".env:2: the env file holds a NUL"),
        ("A=" + "x" * 300_000, ".env: the env file is larger"),
        ("B=" + "x" * 100_000 + "\n" + "A=$B$B\n", ".env:2: the value becomes longer"),
        ("B=" + "x" * 100_000 + "\n" + "".join(f"A{i}=$B\n" for i in range(100)), ".env:21: the values"),
    ],
)
def test_a_bad_env_file_is_refused_with_its_line(text: str | bytes, start: str) -> None:
    with pytest.raises(ProblemError) as caught:
        env(text)
    assert caught.value.problem.lines()[0].startswith(f"error: {start}")


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), st.text(max_size=20).filter(lambda v: "\0" not in v)
    )
)
def test_double_quoted_values_come_back(values: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'

    assert env("".join(f"{name}={quoted(value)}\n" for name, value in values.items())) == values
