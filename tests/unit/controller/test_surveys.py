"""Most tasks are only counted: what is decided is the same as if each had been looked at."""

from __future__ import annotations

import random
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Availability,
    Desired,
    Health,
    NodeStatus,
    Now,
    ServiceMode,
    ServiceSpec,
    TaskStatus,
    UpdateOrder,
    UpdatePolicy,
)
from bayplan.views import RolloutState
from controller.core import placing, rolling, surveys
from controller.decide import progress, reconcile
from controller.decide import rollout as rollouts
from controller.decide.rows import Decision, SlotPast
from controller.decide.slots import NO_SLOTS, Slots
from controller.observations import Headway
from controller.records import Node, Put, Rollout, Service, ServiceVersion, Task
from controller.state import State
from tests.unit.controller.world import service

NOW = Now(1_000_000, 5_000_000)
#: Worlds that are tried, each of which is drawn from its number.
WORLDS = 1_500
AGO_MS = (0, 1_000, 3_000, 5_000, 29_999, 30_000, 400_000)
MODES = (*[ServiceMode.REPLICATED] * 5, ServiceMode.GLOBAL, ServiceMode.REPLICATED_JOB)
STATUSES = (NodeStatus.SUSPECT, NodeStatus.DOWN, NodeStatus.UNKNOWN, NodeStatus.READY)
PAST = {(2, 1): SlotPast((1,), NOW.mono_ms + 500)}


def add_nodes(state: State, dice: random.Random) -> None:
    """Three that are well, and one of any kind."""
    for ordinal in range(1, 5):
        any_kind = ordinal == 4
        availability = dice.choice(tuple(Availability)) if any_kind else Availability.ACTIVE
        node = Node(id=f"n{ordinal}", name=f"n{ordinal}", ordinal=ordinal, availability=availability)
        state.apply(Put(record=replace(node, drain_until_ms=dice.choice((0, NOW.wall_ms, NOW.wall_ms + 9)))))
        state.lives[node.id].status = dice.choice(STATUSES) if any_kind else NodeStatus.READY
        state.note_node(node.id)


def policy(dice: random.Random) -> UpdatePolicy:
    return UpdatePolicy(
        parallelism=dice.randint(0, 3),
        delay_ms=dice.choice((0, 2_000)),
        order=dice.choice(tuple(UpdateOrder)),
        canaries=dice.choice((0, 0, 0, 0, 1)),
        deadline_ms=dice.choice((0, 300_000)),
        max_failure_ratio=dice.choice((0.0, 0.5)),
    )


def rollout(dice: random.Random, version: int) -> Rollout:
    return Rollout(
        version=dice.choice((version, version, 2)),
        from_version=dice.randint(0, 1),
        state=dice.choice((RolloutState.ROLLING, *RolloutState)),
        failed=dice.choice(((), (), (1,), (2, 3))),
        after_ms=dice.choice((0, 10)),
        promoted=dice.random() < 0.5,
    )


def oddity(dice: random.Random, task: Task) -> Task:
    """A task that is not as usual in one respect."""
    end = TaskStatus(task_id=task.id, state=TaskState.FAILED, message="exit code 1")
    changes = (
        {"node_id": ""},
        {"node_id": "n4"},
        {"version": 3 - task.version},
        {"desired": Desired.STOP},
        {"desired": Desired.READY},
        {"removing": True},
        {"completed": True},
        {"displaced": True},
        {"end": end},
        {"run": 1},
        {"failures": 2},
    )
    return replace(task, **dice.choice(changes))


def add_tasks(state: State, dice: random.Random, made: Service) -> None:
    """Mostly one to a slot, and mostly as usual."""
    number = 0
    for slot in range(1, 7):
        for _ in range(dice.choice((0, 1, 1, 1, 1, 1, 2))):
            number += 1
            task = Task(
                id=f"t{number}",
                service_id="s",
                slot=slot,
                version=made.version,
                node_id=f"n{number % 3 + 1}",
                created_ms=dice.randint(0, 20),
            )
            task = oddity(dice, task) if dice.random() < 0.15 else task
            state.apply(Put(record=task))
            _observe(state, dice, task)


def _observe(state: State, dice: random.Random, task: Task) -> None:
    if task.node_id and dice.random() < 0.9:
        told = dice.choice(tuple(TaskState)[1:]) if dice.random() < 0.15 else TaskState.RUNNING
        health = dice.choice(tuple(Health)) if dice.random() < 0.1 else Health.NONE
        state.statuses[task.id] = TaskStatus(task_id=task.id, state=told, health=health)
    if dice.random() < 0.9:
        state.since_ms[task.id] = NOW.mono_ms - dice.choice(AGO_MS)


def world(dice: random.Random) -> State:
    """A service in the middle of something."""
    state, version = State(), dice.randint(1, 2)
    add_nodes(state, dice)
    spec = service(mode=dice.choice(MODES), update=policy(dice), rollback=policy(dice))
    for each in (1, 2):
        state.apply(Put(record=ServiceVersion(service_id="s", version=each, spec=spec)))
    made = Service(
        id="s",
        name="shop_web",
        stack="shop",
        version=version,
        replicas=dice.randint(3, 6),
        settled=dice.randint(0, 2),
        removed=dice.random() < 0.05,
        rollout=dice.choice((None, rollout(dice, version))),
    )
    state.apply(Put(record=made))
    add_tasks(state, dice, made)
    if dice.random() < 0.5:
        since_ms = NOW.mono_ms - dice.choice(AGO_MS)
        state.headways["s"] = Headway(dice.randint(1, 2), dice.randint(0, 3), since_ms)
    return state


@pytest.fixture(autouse=True)
def small_services_too() -> Iterator[None]:
    with patch.object(surveys, "COUNTED_MIN", 0):
        yield


def wanted(state: State, made: Service, spec: ServiceSpec) -> Slots:
    return NO_SLOTS if made.removed else placing.slots_of(state, spec, made.replicas)


def onward(state: State, made: Service, seen: surveys.Survey) -> progress.Progress:
    spec, before = state.spec_of(made), state.headways.get("s")
    slots = wanted(state, made, spec).wanted
    return progress.advance(made, spec, seen.rows, slots, NOW.mono_ms, before, seen.plain)


def decided(
    state: State, made: Service, seen: surveys.Survey, past: dict[tuple[int, int], SlotPast]
) -> Decision:
    spec = state.spec_of(made)
    slots = wanted(state, made, spec)
    return reconcile.reconcile(
        made,
        spec,
        slots,
        seen.rows,
        past,
        NOW.mono_ms,
        fits=lambda task: task.slot % 2 == 0,
        plain=seen.plain,
    )


def test_counting_tasks_decides_as_looking_at_each() -> None:
    counted = 0
    for number in range(WORLDS):
        dice = random.Random(number)
        state = world(dice)
        made, past = state.services["s"], dice.choice(({}, PAST))
        slots = wanted(state, made, state.spec_of(made)).wanted
        seen = surveys.survey(state, made, state.spec_of(made), slots, NOW)
        every = surveys.every(state, made, NOW)
        counted += seen.plain.total
        if not made.removed:
            assert onward(state, made, seen) == onward(state, made, every), number
        assert decided(state, made, seen, past) == decided(state, made, every, past), number
    assert counted > WORLDS  # else nothing is proved


def test_counting_tasks_says_of_a_rollout_what_looking_at_each_does() -> None:
    words = set()
    for number in range(WORLDS):
        state = world(random.Random(number))
        made = state.services["s"]
        spec, newest, slots = rolling.standing(state, made)
        words.add(said := rolling.told(state, made))
        assert said == rollouts.told(made, spec, newest, slots), number
    assert len(words) > 20  # else nothing is proved
