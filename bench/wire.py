"""What a task costs on its way: in the message to its node, in a report, in the log, and loaded again.

Everything runs in this process, without sockets: the codecs and the table as both daemons use them, and the
real store on a real disk. What the whole costs over real streams is `bench.plane`'s.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from bayplan import columns, session_wire
from bayplan.lifecycle import TaskState
from bayplan.model import Assignments, ContainerSpec, Health, ServiceSpec, TaskStatus
from bayplan.session import Report as AgentReport
from bayplan.session import StatusGroup
from bayplan.session_wire import Listener, Shelf, Speaker
from bench.measuring import Report, options, timed
from controller.core.assigning import Assigner
from controller.records import Cluster, Node, Put, Service, ServiceVersion
from controller.state import State
from controller.store.seal import Seal
from controller.store.sqlite import SqliteStore
from controller.table import RANDOM_BITS

ValueT = TypeVar("ValueT")

#: Tasks of one service, of which each node gets some.
SERVICE_TASKS = 10_000
#: Tasks in one change of the log.
BATCH_TASKS = 10_000


class Fleet:
    """`tasks` on `nodes`, spread so that each node has some of each service."""

    def __init__(self, nodes: int, tasks: int, seed: int) -> None:
        self.nodes = [f"node-{number:05}" for number in range(nodes)]
        self.count, dice = tasks, random.Random(seed)
        self.state = State([Cluster(id="c"), *(Node(id=name, name=name) for name in self.nodes)])
        places = np.array([self.state.tasks.table.nodes.number(name) for name in self.nodes], np.int32)
        for number, begin in enumerate(range(0, tasks, SERVICE_TASKS)):
            count = min(SERVICE_TASKS, tasks - begin)
            self._service(f"service-{number}", count)
            bits = [dice.getrandbits(RANDOM_BITS) for _ in range(count)]
            slots = np.arange(1, count + 1, dtype=np.int32)
            rows = self.state.tasks.make(f"service-{number}", slots, 1, 1_700_000_000_000, bits)
            self.state.tasks.place(rows, places[(np.arange(count) + begin) % nodes])

    def _service(self, key: str, count: int) -> None:
        spec = ServiceSpec(name=key, container=ContainerSpec(image="app:1", command=("serve", "--all")))
        for record in (
            Service(id=key, name=f"shop_{key}", stack="shop", version=1, replicas=count),
            ServiceVersion(service_id=key, version=1, spec=spec),
        ):
            self.state.apply(Put(record=record))

    def sets(self) -> Iterator[Assignments]:
        """What each node shall have."""
        assigner = Assigner(self.state)
        for node in self.nodes:
            made = assigner.assignments(node)
            assert made is not None
            yield made


def _assignments(report: Report, fleet: Fleet) -> None:
    """From the table to bytes, and from bytes to an agent's values."""
    shelf = Shelf()
    _per_task(report, fleet, "a node's set made from the table", lambda: list(fleet.sets()))
    sets = list(fleet.sets())
    said = _per_task(report, fleet, "said, with specs", lambda: [Speaker(shelf).say(each) for each in sets])
    speakers = [Speaker(shelf) for _ in sets]
    pairs = list(zip(speakers, sets, strict=True))
    for speaker, each in pairs:
        speaker.say(each)
    again = _per_task(report, fleet, "said again", lambda: [speaker.say(each) for speaker, each in pairs])
    report.add("assignments on the wire", _size(said) / fleet.count, "B/task", note="with specs")
    report.add("assignments on the wire, again", _size(again) / fleet.count, "B/task")
    few = said[: max(1, len(said) // 20)]
    heard = timed(lambda: [Listener().hear(each) for each in few])
    count = sum(len(each.tasks) for each in heard.value if isinstance(each, Assignments))
    report.add("heard by an agent, a value a task", heard.wall_s / count * 1e6, "us/task", None, heard.wall_s)


def _reports(report: Report, fleet: Fleet) -> None:
    """From an agent's values to bytes, and from bytes to the controller's columns."""
    reports = [AgentReport(revision=1, groups=(_group(each),)) for each in fleet.sets()]
    said = [session_wire.say(each) for each in reports]
    report.add("statuses on the wire", _size(said) / fleet.count, "B/task")
    heard = _per_task(report, fleet, "reports heard", lambda: [session_wire.hear(each) for each in said])
    groups = [group for each in heard if isinstance(each, AgentReport) for group in each.groups]
    table = fleet.state.tasks.table

    def taken() -> None:
        for told in columns.status_columns(groups):
            fleet.state.tasks.observe_rows(
                table.rows(told.numbers),
                told.state,
                told.health,
                told.since_ms,
                told.containers,
                told.addresses,
            )

    _per_task(report, fleet, "statuses into the table", taken)
    values = [
        TaskStatus(task_id=each.id, state=TaskState.RUNNING, container_id="ab" * 32, address="172.18.0.2")
        for each in fleet.state.tasks_on(fleet.nodes[0])
    ]
    packed = timed(lambda: columns.pack_statuses(values))
    report.add("packed by an agent", packed.wall_s / len(values) * 1e6, "us/task", None, packed.wall_s)


def _group(assigned: Assignments) -> StatusGroup:
    count = len(assigned.columns.ids) // 8
    return StatusGroup(
        state=TaskState.RUNNING,
        health=Health.HEALTHY,
        ids=assigned.columns.ids,
        since_ms=np.full(count, 1_700_000_000_000, "<i8").tobytes(),
        containers=bytes(range(1, 33)) * count,
        addresses=np.full(count, 0xAC120002, "<u4").tobytes(),
    )


def _log(report: Report, fleet: Fleet) -> None:
    """Into a store with full synchronous commit, and out of it."""
    rows = fleet.state.tasks.table.used()
    batches = [rows[begin : begin + BATCH_TASKS] for begin in range(0, len(rows), BATCH_TASKS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"

        async def append() -> None:
            store = SqliteStore(path, Seal(bytes(32)))
            await store.load()
            for batch in batches:
                await store.append(fleet.state.tasks.puts(batch))
            await store.close()

        async def load() -> State:
            store, state = SqliteStore(path, Seal(bytes(32))), State()
            for change in await store.load():
                state.apply(change)
            await store.close()
            return state

        _per_task(report, fleet, "appended to the log", lambda: asyncio.run(append()))
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
        report.add("in the log", size / fleet.count, "B/task")
        loaded = timed(lambda: asyncio.run(load()))
        assert len(loaded.value.tasks) == fleet.count
        report.add("loaded into a table", loaded.wall_s, "s", None, loaded.wall_s, loaded.cpu_s)


def _per_task(report: Report, fleet: Fleet, what: str, work: Callable[[], ValueT]) -> ValueT:
    done = timed(work)
    report.add(what, done.wall_s / fleet.count * 1e6, "us/task", None, done.wall_s, done.cpu_s)
    return done.value


def _size(messages: Sequence[bytes]) -> int:
    return sum(map(len, messages))


def main() -> None:
    wanted = options(__doc__ or "")
    nodes, tasks = (100, 40_000) if wanted.quick else (5_000, 2_000_000)
    fleet = Fleet(nodes, tasks, wanted.seed)
    with Report("wire", wanted) as report:
        _assignments(report, fleet)
        _reports(report, fleet)
        _log(report, fleet)


if __name__ == "__main__":
    main()
