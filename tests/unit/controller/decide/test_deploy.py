"""What a deploy changes."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.model import Dependency
from bayplan.views import ServiceAction
from controller.decide.deploy import Present, compare
from controller.records import Service
from tests.unit.controller.world import service, stack


def present(image_digest: str = "", **fields: Any) -> dict[str, Present]:
    spec = service(**fields)
    record = Service(id="i", name="shop_web", stack="shop", version=3, replicas=spec.replicas)
    return {"shop_web": Present(record, spec, image_digest)}


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
    (change,) = compare(stack(service(**after)), present(**before), prune=False, images={})
    assert (change.action, change.version) == (action, version)


def test_what_is_not_named_goes_only_when_pruned() -> None:
    others = stack(service("api"))
    assert [change.action for change in compare(others, present(), prune=False, images={})] == [
        ServiceAction.CREATE
    ]
    pruned = compare(others, present(), prune=True, images={})
    assert [change.action for change in pruned] == [ServiceAction.CREATE, ServiceAction.REMOVE]


@pytest.mark.parametrize(
    ("ran", "now", "action"),
    [
        ("sha256:1", "sha256:2", ServiceAction.UPDATE),
        ("sha256:1", "sha256:1", ServiceAction.SAME),
        ("", "sha256:2", ServiceAction.SAME),
        ("sha256:1", "", ServiceAction.SAME),
    ],
)
def test_a_name_that_means_another_image_than_the_one_that_runs_is_an_update(
    ran: str, now: str, action: ServiceAction
) -> None:
    (change,) = compare(stack(service()), present(ran), prune=False, images={"app:1": now})
    assert change.action is action
    assert bool(change.image_after) is (action is ServiceAction.UPDATE)


def test_a_service_that_restarts_with_its_dependency_is_updated_with_it() -> None:
    follower = service("api", depends_on=(Dependency(service="web", restart=True),))
    there = present() | {
        "shop_api": Present(Service(id="j", name="shop_api", stack="shop", version=1, replicas=1), follower)
    }
    changes = compare(stack(service(image="app:2"), follower), there, prune=False, images={})
    assert [change.action for change in changes] == [ServiceAction.UPDATE, ServiceAction.UPDATE]
    changes = compare(stack(service(), follower), there, prune=False, images={})
    assert [change.action for change in changes] == [ServiceAction.SAME, ServiceAction.SAME]
