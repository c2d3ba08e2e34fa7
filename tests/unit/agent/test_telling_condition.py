"""The core's word about its node's condition: whole, and again whenever it is another one."""

from __future__ import annotations

from agent import commands as do
from agent import events as ev
from bayplan.model import NodeCondition, NodeFault, NodeFaultKind
from bayplan.session import Hello, Welcome
from tests.unit.agent.world import World, ready

WELL = NodeCondition()
TAKEN = NodeCondition(faults=(NodeFault(kind=NodeFaultKind.PORT, subject="8080", text="taken"),))


def said(world: World) -> list[NodeCondition]:
    return [each.message for each in world.done(do.Say) if isinstance(each.message, NodeCondition)]


def greeted(world: World) -> list[NodeCondition]:
    return [each.message.condition for each in world.done(do.Say) if isinstance(each.message, Hello)]


def test_what_is_the_matter_is_told_at_once_once_and_so_is_its_end() -> None:
    world = ready()
    for condition in (TAKEN, TAKEN, WELL):
        world.post(ev.ConditionSeen(condition=condition))
        world.wait(5_000)
    assert said(world) == [TAKEN, WELL]


def test_a_new_session_is_told_with_hello() -> None:
    world = ready()
    world.cut()
    world.post(ev.ConditionSeen(condition=TAKEN))
    assert said(world) == []
    world.connect(epoch=2)
    assert greeted(world) == [WELL, TAKEN]
    assert said(world) == []


def test_what_changes_between_hello_and_welcome_is_told_after_it() -> None:
    world = ready()
    world.cut()
    world.open_link()
    world.post(ev.ConditionSeen(condition=TAKEN))
    assert said(world) == []
    world.hear(Welcome(session_id="s", epoch=2, heartbeat_ms=1_000))
    assert (greeted(world)[-1], said(world)) == (WELL, [TAKEN])
