"""Fenced services: while a copy may still run on a node that is out of reach, no other is started."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent import commands as do
from agent import events as ev
from agent.core import AgentCore
from bayplan.model import Inventory, Now
from bayplan.session import Goodbye, Hello, Welcome
from controller import views
from controller.decide.liveness import FENCE_MARGIN_MS, Timing
from controller.events import AgentSaid, NodeRemoveAsked, SessionOpened, WitnessOpened
from tests.unit.controller.world import Node, World, service, stack

LEASE_MS = Timing().down_ms
GRACE_MS = 10_000
FENCED = service(replicas=1, fence=True)


def pair() -> tuple[World, Node, Node]:
    """Two nodes, and a fenced service on the first."""
    world = World()
    nodes = world.node("n1"), world.node("n2")
    world.deploy(stack(FENCED))
    (task,) = world.tasks()
    first, second = sorted(nodes, key=lambda node: node.id != task.node_id)
    return world, first, second


def started_after_ms(world: World, node: Node, within_ms: int = 120_000) -> int | None:
    """How long it takes until the other node runs something."""
    began = world.now_ms
    while world.now_ms - began < within_ms:
        if node.running():
            return world.now_ms - began
        world.pass_time(100)
    return None


def test_the_node_is_told_which_of_its_tasks_are_fenced() -> None:
    _, first, _ = pair()
    assert [each.fence for each in first.assigned.tasks] == [True]


def test_a_fenced_task_is_replaced_only_once_it_cannot_run_any_more() -> None:
    world, first, second = pair()
    answered_ms = world.state.lives[first.id].answered_ms
    first.beating = False
    world.pass_time(8_000)
    assert any("fenced" in line for line in views.problems(world.state))
    waited = started_after_ms(world, second)
    assert waited is not None
    end_ms = answered_ms + LEASE_MS + GRACE_MS + FENCE_MARGIN_MS
    assert end_ms <= world.now_ms <= end_ms + 200


def test_a_task_that_is_not_fenced_does_not_wait() -> None:
    world = World()
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service()))
    (task,) = world.tasks()
    first, second = (first, second) if task.node_id == first.id else (second, first)
    first.beating = False
    assert (started_after_ms(world, second) or 0) <= LEASE_MS + 200


def test_an_agent_that_said_goodbye_stops_nothing_so_nothing_is_started() -> None:
    world, first, second = pair()
    first.says(Goodbye(reason="shutdown"))
    first.disconnect()
    assert started_after_ms(world, second) is None


def test_a_machine_that_lives_without_its_agent_keeps_its_fenced_task() -> None:
    world, first, second = pair()
    world.event(WitnessOpened(node_id=first.id, witness="w"))
    first.disconnect()
    assert started_after_ms(world, second) is None


def test_an_engine_that_does_not_answer_may_not_have_stopped_it() -> None:
    world, first, second = pair()
    first.engine_silent_ms = 4_000
    world.pass_time(3_000)
    first.beating = False
    assert started_after_ms(world, second) is None


def test_only_force_removes_a_node_whose_fenced_task_may_still_run() -> None:
    world, first, second = pair()
    first.beating = False
    world.pass_time(8_000)
    assert world.ask(NodeRemoveAsked(ticket="", node=first.id)).problem is not None
    assert not second.running()
    assert world.ask(NodeRemoveAsked(ticket="", node=first.id, force=True)).problem is None
    assert len(second.running()) == 1


class Isolation:
    """The real agent's core behind a link of the test's: each message takes as long as it is drawn, or for
    ever once its way is cut."""

    def __init__(self, delays: list[int], cut_up_ms: int, cut_down_ms: int, ahead_ms: int) -> None:
        self.world = World()
        self.node = self.world.node("n1")
        identity = ev.NodeRef(node_id=self.node.id, cluster_id="c")
        self.agent = AgentCore(identity=identity, remembered=ev.Remembered(), boot_id="boot-n1", cores=2)
        self._delays, self._ahead_ms = itertools.cycle(delays), ahead_ms
        self._cuts = {"up": self.world.now_ms + cut_up_ms, "down": self.world.now_ms + cut_down_ms}
        self._last = {"up": 0, "down": 0}
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = 0
        self.node.hears = lambda message: self._carry("down", lambda: self._heard(message))  # type: ignore

    def run(self, for_ms: int) -> None:
        """From the first Hello on."""
        self._post(ev.EngineListed(inventory=Inventory(hostname="n1")))
        self._post(ev.LinkOpened(link=1))
        end = self.world.now_ms + for_ms
        while self.world.now_ms < end:
            self.world.pass_time(100)
            while self._queue and self._queue[0][0] <= self.world.now_ms:
                heapq.heappop(self._queue)[2]()
            self._take(self.agent.wake(self._now()))

    def lease_end_ms(self) -> int | None:
        """When the agent stops what is fenced, by the world's clock; None: it was given no lease."""
        lease = self.agent.state.lease
        return None if lease.held_from is None else lease.held_from - self._ahead_ms + lease.ms

    def _now(self) -> Now:
        ms = self.world.now_ms + self._ahead_ms
        return Now(ms, ms)

    def _carry(self, way: str, arrive: Callable[[], None]) -> None:
        """In order; what is sent or still under way after a cut never comes."""
        at = max(self.world.now_ms + next(self._delays), self._last[way])
        if at < self._cuts[way]:
            self._last[way] = at
            self._numbers += 1
            heapq.heappush(self._queue, (at, self._numbers, arrive))

    def _heard(self, message: Any) -> None:
        self._post(ev.Heard(link=1, message=message))

    def _post(self, event: ev.Event) -> None:
        self._take(self.agent.step(event, self._now()))

    def _take(self, step: Any) -> None:
        for command in step.commands:
            if isinstance(command, do.Say):
                event = self._said(command.message)
                self._carry("up", lambda event=event: self.world.event(event))  # type: ignore[misc]

    def _said(self, message: Any) -> SessionOpened | AgentSaid:
        if isinstance(message, Hello):
            self.node.session = "s1"
            return SessionOpened(node_id=self.node.id, session_id="s1", hello=message)
        return AgentSaid(node_id=self.node.id, session_id="s1", message=message)


@settings(max_examples=60, deadline=None)
@given(
    delays=st.lists(st.integers(0, 3_000), min_size=1, max_size=20),
    cut_up_ms=st.integers(0, 30_000),
    cut_down_ms=st.integers(0, 30_000),
    ahead_ms=st.integers(0, 10**9),
)
def test_whatever_is_delayed_or_cut_the_agent_ends_its_lease_before_the_controller_counts_on_it(
    delays: list[int], cut_up_ms: int, cut_down_ms: int, ahead_ms: int
) -> None:
    link = Isolation(delays, cut_up_ms, cut_down_ms, ahead_ms)
    link.run(45_000)
    end_ms = link.lease_end_ms()
    assert end_ms is None or end_ms <= link.world.state.lives[link.node.id].answered_ms + LEASE_MS
    assert end_ms is None or link.agent.state.lease.over


def test_a_welcome_alone_gives_a_lease_from_its_hello_on() -> None:
    world = World()
    node = world.node("n1")
    core = AgentCore(
        identity=ev.NodeRef(node_id=node.id, cluster_id="c"), remembered=ev.Remembered(), boot_id="b", cores=1
    )
    core.step(ev.EngineListed(inventory=Inventory(hostname="n1")), Now(0, 0))
    core.step(ev.LinkOpened(link=1), Now(1_000, 0))
    welcome = Welcome(session_id="s", epoch=1, heartbeat_ms=2_000, lease_ms=LEASE_MS)
    core.step(ev.Heard(link=1, message=welcome), Now(4_000, 0))
    assert core.state.lease.held_from == 1_000
