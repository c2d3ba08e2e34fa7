"""What a deploy changes, and what it refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bayplan.model import Resources
from bayplan.views import ServiceAction
from controller.decide.deploy import check, compare
from controller.records import Service
from tests.unit.controller.world import service, stack


def present(**fields: Any) -> dict[str, Any]:
    spec = service(**fields)
    record = Service(id="i", name="shop_web", stack="shop", version=3, replicas=spec.replicas)
    return {"shop_web": (record, spec)}


@pytest.mark.parametrize(
    ("before", "after", "action", "version"),
    [
        ({}, {}, ServiceAction.SAME, 3),
        ({}, {"places": {"image": "c.yml:9"}}, ServiceAction.SAME, 3),
        ({}, {"replicas": 2}, ServiceAction.SCALE, 3),
        ({}, {"image": "app:2"}, ServiceAction.UPDATE, 4),
        ({"replicas": 2}, {"image": "app:2"}, ServiceAction.UPDATE, 4),
    ],
)
def test_what_happens_to_a_service_that_is_there(
    before: dict[str, Any], after: dict[str, Any], action: ServiceAction, version: int
) -> None:
    (change,) = compare(stack(service(**after)), present(**before), prune=False)
    assert (change.action, change.version) == (action, version)


def test_what_is_not_named_goes_only_when_pruned() -> None:
    others = stack(service("api"))
    assert [change.action for change in compare(others, present(), prune=False)] == [ServiceAction.CREATE]
    pruned = compare(others, present(), prune=True)
    assert [change.action for change in pruned] == [ServiceAction.CREATE, ServiceAction.REMOVE]


@pytest.mark.parametrize(
    ("wished", "said"),
    [
        (stack(service(), name="Shop"), "stack name"),
        (stack(name="shop"), "no services"),
        (stack(service(), service()), "twice"),
        (stack(service("we b")), "service name"),
        (stack(service(image="")), "no image"),
        (stack(service(replicas=-1)), "replicas"),
        (stack(service(ports=[70_000])), "out of range"),
        (stack(service(constraints=("node.labls.a == b",))), "did you mean node.labels"),
        (stack(msgspec.structs.replace(service(), reservations=Resources(cpu_millis=-1))), "negative"),
        (stack(service(container={"environment": ("A=" + "x" * 2_000_000,)})), "larger than"),
    ],
)
def test_a_stack_from_any_client_is_checked(wished: Any, said: str) -> None:
    assert any(said in problem.summary for problem in check(wished))


def test_a_good_stack_passes() -> None:
    assert check(stack(service(ports=[80]), service("api"))) == ()
