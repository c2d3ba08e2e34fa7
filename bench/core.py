"""The controller's core alone, without sockets and store: what a task costs from its deploy until it runs, in
CPU and memory, and how long the longest turn takes.

Services of 1,000 tasks are deployed on many nodes, which report in columns what they were told. Only what the
core does is measured. `python -m bench.core [--quick] [--profile]`.
"""

from __future__ import annotations

import cProfile
import pstats
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np

from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Health, Inventory, Now, Resources, ServiceSpec, StackSpec
from bayplan.session import Hello, Preflight, PreflightResult, Report, StatusGroup
from bayplan.step import Step
from bench.measuring import Options, at_most, options
from bench.measuring import Report as Table
from controller.core import ControllerCore
from controller.events import AgentSaid, Assign, DeployAsked, Reply, Send, SessionOpened
from controller.records import Cluster, Node, Record
from controller.state import State

GIB = 1 << 30
#: Tasks of a service, and services of a stack.
REPLICAS, SERVICES = 1_000, 50
#: Reports that the pump takes before it lets the core settle them.
BATCH = 50


class Bench:
    """A core whose nodes say what is expected of them; the clock moves by a millisecond a turn."""

    def __init__(self, nodes: int) -> None:
        records: list[Record] = [Cluster(id="c", epoch=1)]
        inventory = Inventory(os="linux", capacity=Resources(cpu_millis=64_000, memory_bytes=256 * GIB))
        for number in range(1, nodes + 1):
            name = f"n{number}"
            records.append(Node(id=name, name=name, ordinal=number, inventory=inventory))
        self.core = ControllerCore(State(records), random.Random(1), self.now(0), None)
        self.ms = 0
        self.spent_s: dict[str, float] = {}
        self.worst_s: dict[str, float] = {}
        self.changed: set[str] = set()
        self.replies: list[Reply] = []
        self.deaf = False
        self.profile: cProfile.Profile | None = None
        self.inventory = inventory

    @staticmethod
    def now(ms: int) -> Now:
        return Now(1_000_000 + ms, 1_700_000_000_000 + ms)

    def turn(self, phase: str, *events: object) -> Step:
        """Some events, and what the core does about them."""
        self.ms += 1
        now = self.now(self.ms)

        def work() -> Step:
            for event in events:
                self.core.take(event, now)  # type: ignore[arg-type]
            return self.core.settle(now)

        begin = time.process_time()
        step = self._measured(work)
        took = time.process_time() - begin
        self.spent_s[phase] = self.spent_s.get(phase, 0.0) + took
        self.worst_s[phase] = max(self.worst_s.get(phase, 0.0), took)
        self._perform(phase, step)
        return step

    def _measured(self, work: Callable[[], Step]) -> Step:
        return self.profile.runcall(work) if self.profile else work()

    def _perform(self, phase: str, step: Step) -> None:
        answers = []
        for command in step.commands:
            if isinstance(command, Assign):
                self.changed.add(command.node_id)
            elif isinstance(command, Reply):
                self.replies.append(command)
            elif isinstance(command, Send) and isinstance(command.message, Preflight):
                said = PreflightResult(ticket=command.message.ticket)
                answers.append(
                    AgentSaid(node_id=command.node_id, session_id=command.session_id, message=said)
                )
        if answers:
            self.turn(phase, *answers)

    def connect(self) -> None:
        """All nodes open their sessions."""
        opened = []
        for node_id in list(self.core.state.nodes):
            hello = Hello(boot_id=node_id, epoch=1, revision=0, inventory=self.inventory)
            opened.append(SessionOpened(node_id=node_id, session_id=f"s-{node_id}", hello=hello))
        for at in range(0, len(opened), BATCH):
            self.turn("connect", *opened[at : at + BATCH])

    def deploy(self, name: str, services: int, replicas: int) -> None:
        """A stack, until it is answered."""
        container = ContainerSpec(image="app:1")
        specs = tuple(
            ServiceSpec(
                name=f"w{number}",
                container=container,
                replicas=replicas,
                reservations=Resources(cpu_millis=10, memory_bytes=GIB // 64),
            )
            for number in range(services)
        )
        before = len(self.replies)
        self.turn("deploy", DeployAsked(ticket=name, stack=StackSpec(name=name, services=specs)))
        while len(self.replies) == before:  # a large one is tried in several turns
            self.turn("deploy")
        assert self.replies and not self.replies[-1].problems, self.replies

    def rest(self, phase: str) -> None:
        """Turns until nothing is left to do at once."""
        while (due := self.core.wake_at()) is not None and due <= self.now(self.ms).mono_ms:
            self.turn(phase)

    def report(self, told: TaskState, health: Health) -> None:
        """All nodes report that their tasks have come so far."""
        reports = list(self._reports(told, health))
        for at in range(0, len(reports), BATCH):
            self.turn(f"report {told.value}", *reports[at : at + BATCH])
        self.rest(f"report {told.value}")

    def _reports(self, told: TaskState, health: Health) -> Iterator[AgentSaid]:
        table = self.core.state.tasks.table
        for node_id in sorted(self.core.state.nodes):
            rows = table.on_node(node_id)
            count = len(rows)
            containers = np.random.default_rng(1).bytes(32 * count)
            group = StatusGroup(
                state=told,
                health=health,
                ids=table.number[rows].astype("<i8").tobytes(),
                since_ms=np.full(count, 1, "<i8").tobytes(),
                containers=containers,
                addresses=np.arange(1, count + 1, dtype="<u4").tobytes(),
            )
            message = Report(revision=1, groups=(group,))
            yield AgentSaid(node_id=node_id, session_id=f"s-{node_id}", message=message)

    def assign(self) -> None:
        """The doors pull the sets of all nodes that were changed."""
        changed, self.changed = sorted(self.changed), set()
        for node_id in changed:
            begin = time.process_time()
            self.core.assignments(node_id)
            took = time.process_time() - begin
            self.spent_s["assign"] = self.spent_s.get("assign", 0.0) + took
            self.worst_s["assign"] = max(self.worst_s.get("assign", 0.0), took)


def run(wanted: Options, report: Table) -> None:
    nodes, stacks = (200, 1) if wanted.quick else (5_000, 8)
    bench = Bench(nodes)
    bench.connect()
    if wanted.given.profile:
        bench.profile = cProfile.Profile()
    if wanted.given.memory:
        tracemalloc.start()
    tasks = stacks * SERVICES * REPLICAS
    for number in range(stacks):
        bench.deploy(f"stack{number}", SERVICES, REPLICAS)
        bench.rest("place")
    placed = bench.core.state.tasks.table
    assert int((placed.node[placed.used()] >= 0).sum()) == tasks
    bench.assign()
    bench.report(TaskState.STARTING, Health.STARTING)
    bench.report(TaskState.RUNNING, Health.HEALTHY)
    for phase, spent in bench.spent_s.items():
        count = nodes if phase == "connect" else tasks
        report.add(f"{phase}, each", spent / count * 1e6, "us", wall_s=spent)
        report.add(f"{phase}, worst turn", bench.worst_s[phase] * 1e3, "ms", at_most(50, 10))
    whole = sum(spent for phase, spent in bench.spent_s.items() if phase != "connect")
    report.add(f"{tasks:,} tasks on {nodes:,} nodes, each", whole / tasks * 1e6, "us", at_most(30, 8))
    if wanted.given.memory:
        report.add("memory, each", tracemalloc.get_traced_memory()[0] / tasks, "B", at_most(200, 100))
    if bench.profile:
        pstats.Stats(bench.profile).sort_stats("tottime").print_stats(35)


def main() -> None:
    wanted = options(
        __doc__ or "",
        lambda parser: (
            parser.add_argument("--profile", action="store_true", help="where the time goes"),
            parser.add_argument("--memory", action="store_true", help="bytes a task, which makes it slow"),
        ),
    )
    with Table("core", wanted) as report:
        run(wanted, report)


if __name__ == "__main__":
    main()
