"""What stands on nodes, counted: the same as task by task, whatever stands there and however many nodes."""

from __future__ import annotations

import pytest

from controller.core import ground, loads, placing
from tests.unit.controller.world import GIB, World, service, stack

#: Nobody has this id: each task is looked at by itself, and none is left out.
NOBODY = frozenset({"nobody"})


@pytest.fixture
def world() -> World:
    world = World()
    for name in ("n1", "n2", "n3", "n4"):
        world.node(name)
    web, db = service("web", replicas=9, cpu=100), service("db", "db:1", memory=GIB, ports=[5432])
    world.deploy(stack(web, db))
    world.deploy(stack(service("job", replicas=4, memory=GIB), name="other"))
    return world


@pytest.mark.parametrize("many", [1, 64])
def test_counted_nodes_are_as_if_each_task_was_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(loads, "MANY_NODES", many)
    assert placing.candidates(world.state) == placing.candidates(world.state, NOBODY)
    n1 = next(each for each in world.state.nodes.values() if each.name == "n1").id
    world.nodes[n1].disconnect()
    world.pass_time(120_000)
    assert world.state.is_lost(n1)
    assert placing.candidates(world.state) == placing.candidates(world.state, NOBODY)


def test_a_node_with_fixed_ports_taken_is_not_counted(world: World) -> None:
    (db,) = world.tasks("shop_db")
    counted = loads.counted(world.state, sorted(world.state.nodes))
    assert counted.keys() == world.state.nodes.keys() - {db.node_id}
    assert any(load.counts for load in counted.values())


def test_of_many_changed_nodes_some_are_written_though_nobody_asks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in (("CHANGED_NODES_MAX", 2), ("NODES_AT_ONCE_MAX", 3)):
        monkeypatch.setattr(ground, name, limit)
    state, waiting = world.state, sorted(world.state.nodes)
    world.core.ground.fleet()
    state.changed_nodes.update(waiting)
    world.core.wake(world.now, idle=False)
    assert state.changed_nodes == set(waiting[3:])
    world.core.wake(world.now, idle=False)
    assert state.changed_nodes == set(waiting[3:])  # so few wait until there is nothing to do
    world.core.wake(world.now)
    assert not state.changed_nodes
