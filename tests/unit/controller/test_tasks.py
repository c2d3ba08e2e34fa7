"""The columns hold what was put, however it was put: against a dict of tasks and a dict of statuses."""

from __future__ import annotations

import random

import numpy as np
from msgspec.structs import replace

from bayplan import ids
from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Health, TaskStatus
from controller.records import Task
from controller.table import RANDOM_BITS
from controller.tasks import Tasks
from controller.told import Statuses

#: Runs, and steps of each.
RUNS, STEPS = 60, 80
SERVICES, NODES = ("a", "b", "c"), ("n1", "n2", "n3")
CONTAINER, ADDRESS = "ab" * 32, "10.0.0.7"
#: Characters of a container's id that are kept: its engine knows it by them.
KEPT = 16


class Model:
    """The tasks under test, and what they shall hold."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.tasks = Tasks()
        self.statuses = Statuses(self.tasks)
        self.records: dict[str, Task] = {}
        self.told: dict[str, TaskStatus] = {}

    def some(self) -> list[str]:
        known = sorted(self.records)
        return self.dice.sample(known, min(len(known), self.dice.randint(0, 5)))

    def put_one(self) -> None:
        task_id = self.dice.choice((ids.to_id(self.dice.randrange(ids.NUMBERS)), f"own-{len(self.records)}"))
        task = Task(
            id=task_id, service_id=self.dice.choice(SERVICES), slot=self.dice.randint(1, 4), version=1
        )
        self._put(task)

    def change_one(self) -> None:
        for task_id in self.some()[:1]:
            changes = (
                {"node_id": self.dice.choice(NODES)},
                {"desired": self.dice.choice(tuple(Desired))},
                {"removing": True},
                {"failures": 3},
                {"failures": 0},
                {"completed": True},
            )
            self._put(replace(self.records[task_id], **self.dice.choice(changes)))

    def _put(self, task: Task) -> None:
        self.tasks.put(task)
        self.records[task.id] = task

    def make_many(self) -> None:
        slots = np.array(range(1, self.dice.randint(2, 6)), np.int32)
        bits = np.array([self.dice.getrandbits(RANDOM_BITS) for _ in slots], np.uint64)
        service = self.dice.choice(SERVICES)
        rows = self.tasks.make(service, slots, 2, 77, bits)
        for task_id, slot in zip(self.tasks.table.ids_of(rows), slots.tolist(), strict=True):
            self.records[task_id] = Task(id=task_id, service_id=service, slot=slot, version=2, created_ms=77)

    def place_many(self) -> None:
        waiting = [each for each in self.some() if not self.records[each].node_id]
        table, node = self.tasks.table, self.dice.choice(NODES)
        rows = np.array([table.row(each) for each in waiting], np.int64)
        self.tasks.place(rows, np.full(len(rows), table.nodes.number(node), np.int32))
        for each in waiting:
            self.records[each] = replace(self.records[each], node_id=node)

    def drop_many(self) -> None:
        gone = self.some()
        self.tasks.drop_rows(np.array([self.tasks.table.row(each) for each in gone], np.int64))
        for each in gone:
            del self.records[each]
            self.told.pop(each, None)

    def tell_one(self) -> None:
        for task_id in self.some()[:1]:
            status = TaskStatus(
                task_id=task_id,
                state=self.dice.choice(tuple(TaskState)),
                health=self.dice.choice(tuple(Health)),
                message=self.dice.choice(("", "oh")),
                container_id=self.dice.choice(("", CONTAINER, "no such id")),
                address=self.dice.choice(("", ADDRESS, "fd00::1")),
            )
            self.statuses[task_id] = status
            self.told[task_id] = replace(status, container_id=status.container_id[:KEPT])

    def tell_many(self) -> None:
        told = self.some()
        rows = np.array([self.tasks.table.row(each) for each in told], np.int64)
        containers = np.array([bytes.fromhex(CONTAINER)] * len(rows), "V32")
        times, addresses = np.full(len(rows), 5), np.full(len(rows), 0x0A000007, np.uint32)
        self.tasks.observe_rows(rows, TaskState.RUNNING, Health.HEALTHY, times, containers, addresses)
        for each in told:
            self.told[each] = TaskStatus(
                task_id=each,
                state=TaskState.RUNNING,
                health=Health.HEALTHY,
                since_ms=5,
                container_id=CONTAINER[:KEPT],
                address=ADDRESS,
            )

    def step(self) -> None:
        kinds = (self.put_one, self.change_one, self.make_many, self.place_many, self.drop_many)
        self.dice.choice((*kinds, self.tell_one, self.tell_many))()

    def check(self) -> None:
        table = self.tasks.table
        assert dict(self.tasks) == self.records
        assert dict(self.statuses) == self.told
        assert len(self.tasks) == len(self.records)
        for service in SERVICES:
            mine = [each for each in self.records.values() if each.service_id == service]
            found = self.tasks.of(table.of_service(service))
            assert [(each.slot, each.created_ms) for each in found] == sorted(
                (each.slot, each.created_ms) for each in mine
            )
            assert {each.id for each in found} == {each.id for each in mine}
        for node in NODES:
            there = {each.id for each in self.records.values() if each.node_id == node}
            assert set(table.ids_of(table.on_node(node))) == there
        waiting = {each.id for each in self.records.values() if not each.node_id}
        assert set(table.ids_of(self.tasks.waiting_rows())) == waiting


def test_columns_hold_what_was_put() -> None:
    for seed in range(RUNS):
        model = Model(seed)
        for _ in range(STEPS):
            model.step()
            if model.dice.random() < 0.2:
                model.check()
        model.check()


def test_views_that_are_forgotten_are_made_again() -> None:
    for seed in range(RUNS):
        model = Model(seed)
        for _ in range(STEPS):
            model.step()
        model.tasks._views.clear()
        model.tasks._seen.clear()
        model.check()
