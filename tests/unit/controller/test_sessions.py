"""Sessions that begin together: after a restart, many Hellos are settled as one."""

from __future__ import annotations

from bayplan import columns
from bayplan.lifecycle import TaskState
from bayplan.model import NodeStatus, TaskStatus
from bayplan.session import Hello, Report
from controller.events import AgentSaid, Event, SessionLost, SessionOpened
from tests.unit.controller.world import Node, World, service, stack

Seen = list[tuple[int, str, TaskState]]


def restarted() -> World:
    """Two nodes with two running tasks each; the controller has just begun anew."""
    world = World()
    for name in ("n1", "n2"):
        world.node(name)
    world.deploy(stack(service(replicas=4)))
    world.pass_time(5_000)
    return world.restarted()


def opened(node: Node, session: str, without: int = 0) -> SessionOpened:
    """A Hello of a node that has lost some of its tasks."""
    tasks = tuple(node.statuses.values())[without:]
    hello = Hello(boot_id=f"boot-{node.id}", epoch=1, revision=0, inventory=node.inventory, tasks=tasks)
    return SessionOpened(node_id=node.id, session_id=session, hello=columns.packed(hello))


def said(node: Node, session: str, state: TaskState) -> AgentSaid:
    """What a node reports of its last task."""
    status = TaskStatus(task_id=list(node.statuses)[-1], state=state)
    return AgentSaid(
        node_id=node.id, session_id=session, message=columns.packed(Report(revision=0, tasks=(status,)))
    )


def seen(world: World) -> Seen:
    state = world.state
    return sorted((task.slot, task.node_id, state.status_of(task).state) for task in world.tasks())


def after(world: World, events: list[Event], *, together: bool) -> Seen:
    """What is seen of the tasks once some events were taken."""
    if together:
        for event in events:
            world.core.take(event, world.now)
        world.core.settle(world.now)
    else:
        for event in events:
            world.core.step(event, world.now)
        world.core.wake(world.now)
    return seen(world)


def story(world: World) -> list[Event]:
    """One node comes with all it had, reports, and comes again; the other has lost a task."""
    whole, poorer = world.nodes.values()
    return [
        opened(whole, "a1"),
        opened(poorer, "b1", without=1),
        said(whole, "a1", TaskState.FAILED),
        SessionLost(node_id=whole.id, session_id="a1"),
        opened(whole, "a2", without=1),
        said(whole, "a1", TaskState.RUNNING),
    ]


def test_what_is_settled_together_is_seen_as_when_it_comes_one_by_one() -> None:
    ways = []
    for together in (True, False):
        world = restarted()
        ways.append(after(world, story(world), together=together))
    assert ways[0] == ways[1]


def test_nodes_that_come_back_together_are_all_ready_and_nothing_is_touched() -> None:
    world = restarted()
    before = [(task.id, task.node_id) for task in world.tasks()]
    states = after(world, [opened(each, f"s-{each.id}") for each in world.nodes.values()], together=True)
    assert {state for _, _, state in states} == {TaskState.RUNNING}
    assert [(task.id, task.node_id) for task in world.tasks()] == before
    assert {life.status for life in world.state.lives.values()} == {NodeStatus.READY}


def test_a_task_that_a_hello_does_not_speak_of_is_gone() -> None:
    world = restarted()
    whole, poorer = world.nodes.values()
    lost = next(iter(poorer.statuses))
    after(world, [opened(whole, "a1"), opened(poorer, "b1")], together=True)
    after(world, [opened(poorer, "b2", without=1)], together=True)
    assert lost not in {task.id for task in world.wanted()}
