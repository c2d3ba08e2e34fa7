"""What ties tasks to nodes once they are placed: named goods that become their own, and volumes with data."""

from __future__ import annotations

from msgspec.structs import replace

from bayplan.model import Desired, HomePolicy, ServiceSpec
from controller.core.turn import Turn
from controller.decide import goods, homes
from controller.records import Home, Service, Task
from controller.state import State
from controller.table import Rows


def homes_of(state: State, service: str, spec: ServiceSpec, slot: int) -> tuple[str, ...]:
    """The ids of the nodes where the volumes of a slot have data, the best first; `service` is the full name.
    Of a service whose tasks stay with their data only the best."""
    found = homes.order(homes.volumes(spec, service, slot), state.homes, f"{service}.{slot}")
    found = tuple(node_id for node_id in found if node_id in state.nodes)
    return found[:1] if spec.homes is HomePolicy.STAY else found


def settle(turn: Turn, service_id: str, rows: Rows) -> None:
    """Tasks of a service have got their nodes: they are given named goods, and their volumes are at home
    there. `rows` are those of the table, all of one version."""
    state = turn.state
    service, version = state.services[service_id], int(state.tasks.table.version[rows[0]])
    spec = state.specs[service_id, version]
    if not (spec.generic or homes.has_volumes(spec)):
        return
    for task in state.tasks.of(rows):
        if spec.generic:
            _give(turn, task, spec)
        for volume in homes.volumes(spec, service.name, task.slot):
            _note(turn, volume, service, task)


def _give(turn: Turn, task: Task, spec: ServiceSpec) -> None:
    """An heir that waits for its elder's place gets its elder's goods; else none is given twice on a node."""
    state, named = turn.state, turn.state.nodes[task.node_id].inventory.named
    if not named:
        return
    others = [each for each in state.tasks_on(task.node_id) if each.id != task.id and state.holds_node(each)]
    free_again = {good for each in others if _gives_way(each, task) for good in each.goods}
    taken = {good for each in others for good in each.goods} - free_again
    given = goods.chosen(spec.generic, named, taken)
    if given != task.goods:
        turn.put(replace(task, goods=given))


def _gives_way(elder: Task, heir: Task) -> bool:
    same = (elder.service_id, elder.slot) == (heir.service_id, heir.slot)
    return same and heir.desired is Desired.READY


def _note(turn: Turn, volume: str, service: Service, task: Task) -> None:
    known, name = turn.state.homes.get(volume, {}), f"{service.name}.{task.slot}"
    before = known.get(task.node_id)
    if before is not None and before.task == name:
        return
    if before is None and len(known) >= homes.HOMES_MAX:
        turn.drop(min(known.values(), key=lambda home: (home.since_ms, home.node_id)))
    turn.put(Home(volume=volume, node_id=task.node_id, task=name, since_ms=turn.now.wall_ms))


def forget_node(turn: Turn, node_id: str) -> None:
    """A node is gone for good, and the data on it."""
    for known in list(turn.state.homes.values()):
        if node_id in known:
            turn.drop(known[node_id])
