"""Waves, circles, and what a service waits for."""

from __future__ import annotations

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import Dependency, DependencyCondition, ServiceSpec
from controller.decide.order import Standing, circle, hindrance, restarted_with, waves
from tests.unit.controller.world import service


def specs(**needs: str) -> list[ServiceSpec]:
    """Services by name with those that they depend on; `!` before one asks for its restarts."""
    return [
        service(
            name,
            depends_on=tuple(
                Dependency(service=each.removeprefix("!"), restart=each[0] == "!") for each in before.split()
            ),
        )
        for name, before in needs.items()
    ]


def test_a_wave_comes_after_all_that_it_needs() -> None:
    found = waves(specs(web="api cache", api="db", db="", cache="", cron="elsewhere"))
    assert found == {"db": 1, "cache": 1, "cron": 1, "api": 2, "web": 3}


@pytest.mark.parametrize(
    ("needs", "path"),
    [
        ({"a": "b", "b": ""}, ()),
        ({"a": "a"}, ("a", "a")),
        ({"a": "b", "b": "c", "c": "b"}, ("b", "c", "b")),
        ({"x": "a", "a": "b", "b": "a", "y": ""}, ("a", "b", "a")),
    ],
)
def test_a_circle_is_told_by_its_path(needs: dict[str, str], path: tuple[str, ...]) -> None:
    assert circle(specs(**needs)) == path


def test_restarts_go_through_chains() -> None:
    stack = specs(web="!api", api="!db", db="", cron="db")
    assert restarted_with(stack, {"db"}) == {"api", "web"}
    assert restarted_with(stack, {"web"}) == set()


RUNS = Standing(TaskState.RUNNING, ready=True)
STARTS = Standing(TaskState.STARTING)
DONE = Standing(TaskState.COMPLETE)
FAILED = Standing(TaskState.FAILED, given_up="it failed with exit code 1")
NONE = Standing()


@pytest.mark.parametrize(
    ("condition", "slots", "waits"),
    [
        ("started", [RUNS, STARTS, DONE], ""),
        ("started", [RUNS, NONE], "shop_db to start"),
        ("healthy", [RUNS, RUNS], ""),
        ("healthy", [RUNS, STARTS], "shop_db to be healthy"),
        ("healthy", [DONE], "shop_db to be healthy"),
        ("completed", [DONE, DONE], ""),
        ("completed", [DONE, RUNS], "shop_db to complete"),
        ("completed", [FAILED], "shop_db to complete: it failed with exit code 1"),
        ("started", [], ""),
        ("started", None, "shop_db, which does not exist"),
    ],
)
def test_what_a_service_waits_for(condition: str, slots: list[Standing] | None, waits: str) -> None:
    needed = Dependency(service="db", condition=DependencyCondition(condition), required=True)
    assert hindrance(needed, "shop_db", slots) == waits


@pytest.mark.parametrize(("slots", "waits"), [(None, ""), ([FAILED], ""), ([NONE], "shop_db to complete")])
def test_what_is_not_required_is_waited_for_only_while_it_may_come(
    slots: list[Standing] | None, waits: str
) -> None:
    wished = Dependency(service="db", condition=DependencyCondition.COMPLETED)
    assert hindrance(wished, "shop_db", slots) == waits
