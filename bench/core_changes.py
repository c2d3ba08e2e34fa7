"""The core alone under many small changes: what one more task, a new version and one task less cost it, with
all that nodes answer and report until the change is through.

    python -m bench.core_changes [--quick] [--profile]

Services of SMALL tasks run on many nodes; every STEP_MS one of them is changed. Each node reports what it was
told after a while, by itself, stage by stage, as agents do. Only what the core does is measured.
"""

from __future__ import annotations

import cProfile
import heapq
import pstats
import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Health
from bayplan.session import Heartbeat, Pulse, Report, StatusGroup
from bayplan.step import Step
from bench.core import Bench
from bench.measuring import Options, options
from bench.measuring import Report as Table
from bench.plane_changes import SMALL
from bench.plane_load import capacity, service, stacks
from controller.core.settling import Settler
from controller.events import AgentSaid, DeployAsked, Event, ScaleAsked, Send, ServiceUpdateAsked
from controller.table import Rows
from controller.task_columns import DESIRED_CODE, REMOVING
from controller.tasks import STATE_CODE

#: Nodes and tasks, and how many changes of each kind.
FULL, QUICK = (1_000, 10_000, 1_000), (50, 500, 60)
#: A change every so many ms, and how long a node takes for the next stage of a task.
STEP_MS, STAGE_MS = 5, 100
#: How long is waited after the last change for what is still going on, in ms.
AFTER_MS = 3_000

_STAGES = {
    TaskState.PENDING: TaskState.PREPARING,
    TaskState.ASSIGNED: TaskState.PREPARING,
    TaskState.PREPARING: TaskState.STARTING,
    TaskState.STARTING: TaskState.RUNNING,
}
_NEXT = {0: TaskState.PREPARING} | {STATE_CODE[before]: after for before, after in _STAGES.items()}
_ENDED = {STATE_CODE[each] for each in (TaskState.SHUTDOWN, TaskState.COMPLETE, TaskState.FAILED)}


class Changes(Bench):
    """Nodes that bring what they are told a stage further each STAGE_MS."""

    def __init__(self, nodes: int, tasks: int, seed: int) -> None:
        super().__init__(nodes)
        self._rng = random.Random(seed)
        self._due: list[tuple[int, str]] = []
        self._waits: set[str] = set()
        self.inventory = replace(self.inventory, capacity=capacity(nodes, 2 * tasks))
        self.connect()
        specs = stacks(tasks, SMALL)
        for spec in specs:
            self.ask("deploy", DeployAsked(ticket=spec.name, stack=spec))
        self.names = [f"{spec.name}_{each.name}" for spec in specs for each in spec.services]
        self._rng.shuffle(self.names)
        self.let_pass("deploy", AFTER_MS)

    def _perform(self, phase: str, step: Step) -> None:
        super()._perform(phase, step)
        for node_id in sorted(self.changed - self._waits):
            self._later(node_id)
        self.changed.clear()
        beats = [
            AgentSaid(
                node_id=each.node_id,
                session_id=each.session_id,
                message=Heartbeat(pulse=each.message.number),
            )
            for each in step.commands
            if isinstance(each, Send) and isinstance(each.message, Pulse)
        ]
        if beats:
            self.turn("beat", *beats)

    def _later(self, node_id: str) -> None:
        self._waits.add(node_id)
        heapq.heappush(self._due, (self.ms + self._rng.randrange(STAGE_MS // 2, STAGE_MS), node_id))

    def ask(self, phase: str, event: Event) -> None:
        """A request, until it is answered."""
        before = len(self.replies)
        self.turn(phase, event)
        while len(self.replies) == before:
            self.turn(phase)
        assert not self.replies[-1].problems, self.replies[-1]

    def let_pass(self, phase: str, time_ms: int) -> None:
        """Time with all that nodes say in it, of each node in a turn of its own."""
        until = self.ms + time_ms
        while self.ms < until:
            for said in self._said():
                self.turn(phase, said)
            due = self.core.wake_at()
            if due is not None and due <= self.now(self.ms + 1).mono_ms:
                self.turn(phase)
            else:
                self.ms += 1

    def _said(self) -> Iterator[AgentSaid]:
        while self._due and self._due[0][0] <= self.ms:
            _, node_id = heapq.heappop(self._due)
            self._waits.discard(node_id)
            groups, gone = self._news(node_id)
            if groups or gone:
                message = Report(revision=1, groups=groups, gone_ids=gone)
                yield AgentSaid(node_id=node_id, session_id=f"s-{node_id}", message=message)
            if any(group.state is not TaskState.RUNNING for group in groups):
                self._later(node_id)

    def _news(self, node_id: str) -> tuple[tuple[StatusGroup, ...], bytes]:
        """The next stage of each task on a node, and the ids of those of which nothing shall stay."""
        table = self.core.state.tasks.table
        rows, kinds = table.on_node(node_id), dict[TaskState, list[int]]()
        removing = (table.flags[rows] & REMOVING) != 0
        for row in rows[~removing].tolist():
            told = int(table.state[row])
            if table.desired[row] == DESIRED_CODE[Desired.STOP]:
                if told not in _ENDED:
                    kinds.setdefault(TaskState.SHUTDOWN, []).append(row)
            elif table.desired[row] == DESIRED_CODE[Desired.RUN] and told in _NEXT:
                kinds.setdefault(_NEXT[told], []).append(row)
        gone: bytes = table.number[rows[removing]].astype("<i8").tobytes()
        return tuple(self._group(np.array(mine), state) for state, mine in kinds.items()), gone

    def _group(self, rows: Rows, state: TaskState) -> StatusGroup:
        runs, count = state is TaskState.RUNNING, len(rows)
        return StatusGroup(
            state=state,
            health=Health.HEALTHY if runs else Health.NONE,
            ids=self.core.state.tasks.table.number[rows].astype("<i8").tobytes(),
            since_ms=np.full(count, self.ms, "<i8").tobytes(),
            containers=b"" if state is TaskState.PREPARING else self._rng.randbytes(32 * count),
            addresses=np.arange(1, count + 1, dtype="<u4").tobytes() if runs else b"",
        )


def run(wanted: Options, report: Table) -> None:
    nodes, tasks, changes = QUICK if wanted.quick else FULL
    bench, looks = Changes(nodes, tasks, wanted.seed), Counter[str]()
    look, phase = Settler._reconcile, ""

    def counted(settler: Settler, *arguments: object) -> None:
        looks[phase] += 1
        look(settler, *arguments)  # type: ignore[arg-type]

    Settler._reconcile = counted  # type: ignore[method-assign, assignment]
    if wanted.given.profile:
        bench.profile = cProfile.Profile()
    for phase in ("one task more", "a new version", "one task less"):
        for number in range(changes):
            name = bench.names[number % len(bench.names)]
            bench.ask(phase, _change(phase, name, str(number)))
            bench.let_pass(phase, STEP_MS)
        bench.let_pass(phase, AFTER_MS)
        spent = bench.spent_s[phase]
        note = f"{looks[phase] / changes:.1f} looks at its service; {changes} changes on {tasks:,} tasks"
        report.add(f"{phase}: the core", spent / changes * 1e6, "us", cpu_s=spent, note=note)
    if bench.profile:
        pstats.Stats(bench.profile).sort_stats("tottime").print_stats(45)


def _change(phase: str, name: str, ticket: str) -> Event:
    match phase:
        case "one task more":
            return ScaleAsked(ticket=ticket, service=name, replicas=SMALL + 1)
        case "one task less":
            return ScaleAsked(ticket=ticket, service=name, replicas=SMALL)
        case _:
            spec = service(name.partition("_")[2], SMALL + 1, build=2)
            return ServiceUpdateAsked(ticket=ticket, service=name, spec=spec)


def main() -> None:
    wanted = options(
        __doc__ or "",
        lambda parser: parser.add_argument("--profile", action="store_true", help="where the time goes"),
    )
    with Table("core_changes", wanted) as report:
        run(wanted, report)


if __name__ == "__main__":
    main()
