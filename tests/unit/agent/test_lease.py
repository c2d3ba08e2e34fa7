"""Pulses and what hangs on them: answers, silence, and the fence."""

from __future__ import annotations

from agent import commands as do
from agent import events as ev
from agent.decide.converge import FENCED_MESSAGE
from agent.lease import FENCE_RESTART_MS
from bayplan.lifecycle import TaskState
from bayplan.model import Assignments
from bayplan.session import Heartbeat, Pulse, Welcome
from tests.unit.agent.world import PLAIN, World, assignment, container

LEASE_MS = 6_000


class Held(World):
    """An agent in session with a controller that pulses when the test says so."""

    def __init__(self, *, fence: bool = True, remembered: ev.Remembered | None = None) -> None:
        super().__init__(remembered=remembered)
        self.fence, self.number = fence, 0

    def begin(self) -> None:
        self.post(ev.EngineListed(containers=tuple(self.engine.values())))
        self.meet()

    def meet(self) -> None:
        """A new link, Hello and Welcome."""
        self.link += 1
        self.number = 0
        self.post(ev.LinkOpened(link=self.link))
        welcome = Welcome(session_id="s", epoch=1, heartbeat_ms=2_000, lease_ms=LEASE_MS)
        self.post(ev.Heard(link=self.link, message=welcome))

    def give(self, *task_ids: str) -> None:
        self.revision += 1
        tasks = tuple(assignment(task_id, fence=self.fence) for task_id in task_ids)
        given = Assignments(revision=self.revision, tasks=tasks, specs={"s1": PLAIN})
        self.post(ev.Heard(link=self.link, message=given))

    def pulse(self, *, heard: bool = True) -> None:
        """A pulse; with `heard` it says that the answer to the one before has come."""
        self.number += 1
        self.post(
            ev.Heard(link=self.link, message=Pulse(number=self.number, heard=self.number - 1 if heard else 0))
        )

    def beats(self) -> list[int]:
        said = [command.message for command in self.commands if isinstance(command, do.Say)]
        return [message.pulse for message in said if isinstance(message, Heartbeat)]

    def closed(self) -> list[str]:
        return [command.reason for command in self.commands if isinstance(command, do.CloseLink)]

    def runs(self, task_id: str) -> bool:
        found = self.engine.get(task_id)
        return found is not None and found.phase is ev.Phase.RUNNING


def held(**fields: bool) -> Held:
    world = Held(**fields)
    world.begin()
    world.give("t1")
    assert world.runs("t1")
    return world


def test_each_pulse_is_answered_at_once() -> None:
    world = held()
    for _ in range(3):
        world.pulse()
    assert world.beats() == [1, 2, 3]


def test_a_pulse_of_an_older_link_is_not_answered() -> None:
    world = held()
    world.post(ev.Heard(link=world.link + 1, message=Pulse(number=9)))
    assert world.beats() == []


def test_a_controller_that_is_silent_for_the_lease_is_left() -> None:
    world = held()
    world.wait(LEASE_MS - 1)
    assert world.closed() == []
    world.wait(1)
    assert world.closed() == ["the controller was silent for 6 s"]
    world.wait(60_000)
    assert len(world.closed()) == 1


def test_a_controller_that_pulses_is_kept_though_it_says_nothing_else() -> None:
    world = held()
    for _ in range(30):
        world.wait(2_000)
        world.pulse()
    assert world.closed() == []


def test_a_fenced_task_stops_when_its_node_is_heard_no_more() -> None:
    world = held()
    world.pulse()
    world.wait(2_000)
    world.pulse()  # it says that the answer to the first, of 2 s ago, has come
    world.wait(LEASE_MS - 2_001)
    assert world.runs("t1")
    world.wait(1)
    assert not world.runs("t1")
    status = world.core.state.tasks["t1"].status
    assert (status.state, status.message) == (TaskState.SHUTDOWN, FENCED_MESSAGE)


def test_a_node_that_hears_but_is_not_heard_fences_too() -> None:
    world = held()
    for _ in range(4):
        world.pulse(heard=False)
        world.wait(2_000)
    assert world.closed() == []
    assert not world.runs("t1")


def test_a_task_that_is_not_fenced_runs_on_alone() -> None:
    world = held(fence=False)
    world.wait(600_000)
    assert world.runs("t1")


def test_a_fenced_task_runs_on_while_the_node_is_heard() -> None:
    world = held()
    for _ in range(30):
        world.pulse()
        world.wait(2_000)
    assert world.runs("t1")


def test_a_fenced_task_starts_only_in_the_lease_and_again_when_there_is_one() -> None:
    world = Held()
    world.auto = False
    world.begin()
    world.give("t1")
    world.wait(LEASE_MS)
    world.post(ev.ContainerCreated(container=container("t1", ev.Phase.CREATED)))
    assert not any(isinstance(command, do.StartContainer) for command in world.commands)
    world.meet()
    assert any(isinstance(command, do.StartContainer) for command in world.commands)


def test_an_agent_that_starts_without_a_controller_fences_soon() -> None:
    first = held()
    kept = [change for change in first.changes if isinstance(change, ev.KeepAssignments)][-1]
    again = Held(remembered=ev.Remembered(epoch=kept.epoch, assignments=kept.assignments))
    again.engine = dict(first.engine)
    again.post(ev.EngineListed(containers=tuple(again.engine.values())))
    again.wait(FENCE_RESTART_MS - 1)
    assert again.runs("t1")
    again.wait(1)
    assert not again.runs("t1")


def test_an_agent_that_is_back_in_session_soon_fences_nothing() -> None:
    first = held()
    kept = [change for change in first.changes if isinstance(change, ev.KeepAssignments)][-1]
    again = Held(remembered=ev.Remembered(epoch=kept.epoch, assignments=kept.assignments))
    again.engine = dict(first.engine)
    again.begin()
    again.wait(5_000)
    assert again.runs("t1")
