"""Profiles: who takes part, who is left out, and who cannot be without whom."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.compose.nodes import Map
from bayplan.compose.profiles import enabled, with_active_services
from bayplan.compose.report import Report
from bayplan.errors import ProblemError
from tests.unit.compose.front import plain, tree

FILE = """
services:
  foo: {image: foo}
  bar: {image: bar, profiles: [test]}
  baz:
    image: baz
    depends_on: [bar]
    profiles: [test]
  zot:
    image: zot
    depends_on:
      bar: {condition: service_started}
    profiles: [debug]
"""


def active(text: str, *wanted: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The services that take part, and the warnings."""
    report = Report()
    done = with_active_services(tree(text), frozenset(wanted), report)
    report.finish()
    services = plain(done)["services"]
    assert isinstance(done, Map)
    return services, report.warnings


def refusal(text: str, *wanted: str) -> list[str]:
    with pytest.raises(ProblemError) as caught:
        active(text, *wanted)
    return [line for problem in caught.value.problems for line in problem.lines()]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([], {"foo"}),
        (["test"], {"foo", "bar", "baz"}),
        (["debug", "test"], {"foo", "bar", "baz", "zot"}),
        (["*"], {"foo", "bar", "baz", "zot"}),
    ],
)
def test_services_take_part_when_one_of_their_profiles_is_enabled(wanted: list[str], names: set[str]) -> None:
    services, warnings = active(FILE, *wanted)
    assert set(services) == names
    assert not any("profiles" in service for service in services.values())
    assert warnings == ()


def test_what_needs_a_service_that_is_left_out_names_its_profile() -> None:
    assert refusal(FILE, "debug") == [
        "error: a.yml:12: services.zot needs 'bar', which no enabled profile has",
        "hint: enable one of its profiles with --profile or COMPOSE_PROFILES: test",
    ]


@pytest.mark.parametrize(
    "need",
    [
        "depends_on: [b]",
        "links: ['b:x']",
        "volumes_from: ['b:ro']",
        "network_mode: service:b",
        "pid: service:b",
    ],
)
def test_every_way_to_need_a_service_counts(need: str) -> None:
    lines = refusal(f"services:\n  a:\n    {need}\n  b: {{profiles: [p, q]}}")
    assert lines[0] == "error: a.yml:3: services.a needs 'b', which no enabled profile has"
    assert lines[1].endswith(": p, q")


def test_an_optional_dependency_that_is_left_out_is_forgotten() -> None:
    text = "services: {a: {depends_on: {b: {required: false}, c: }}, b: {profiles: [p]}, c: {image: c}}"
    assert active(text)[0]["a"] == {"depends_on": {"c": None}}
    assert active(text, "p")[0]["a"] == {"depends_on": {"b": {"required": "false"}, "c": None}}


def test_a_file_all_of_whose_services_are_left_out_says_which_profiles_there_are() -> None:
    assert refusal("services: {a: {profiles: [p]}, b: {profiles: [q, p]}}") == [
        "error: a.yml:1: all services have profiles, and none is enabled",
        "hint: enable one with --profile or COMPOSE_PROFILES: p, q",
    ]


def test_a_profile_that_no_service_has_is_told_with_the_nearest() -> None:
    assert active(FILE, "tset")[1] == ("a.yml: no service has the profile 'tset'; did you mean test?",)
    assert active("services: {a: {image: a}}", "tset")[1] == ()


@pytest.mark.parametrize(
    ("profiles", "problem"),
    [
        ("p", "services.a.profiles shall be a list, not a single value"),
        ("[a b]", "services.a.profiles has no name: 'a b'"),
        ("[[a]]", "services.a.profiles has no name: a list"),
        ("['']", "services.a.profiles has no name: ''"),
    ],
)
def test_malformed_profiles_are_refused(profiles: str, problem: str) -> None:
    lines = refusal(f"services:\n  a:\n    profiles: {profiles}")
    assert lines[0] == f"error: a.yml:3: {problem}"
    assert lines[1].startswith("hint: write ")


@pytest.mark.parametrize(
    ("given", "variable", "names"),
    [
        ([], "", set()),
        ([], "a, b,", {"a", "b"}),
        (["c"], "a,b", {"c"}),
        ([], "*", {"*"}),
    ],
)
def test_given_profiles_win_over_the_variable(given: list[str], variable: str, names: set[str]) -> None:
    assert enabled(given, {"COMPOSE_PROFILES": variable}) == names
