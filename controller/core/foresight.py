"""Moves of tasks between nodes: foreseen when nodes are lost, or wanted to even out the load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import HomePolicy, ServiceSpec
from bayplan.views import Move
from controller import names
from controller.core import dependencies, mobility, trial
from controller.core.ground import Ground
from controller.core.turn import Turn
from controller.decide import homes
from controller.decide.fleet import Fleet
from controller.decide.rebalance import Pile, rebalance
from controller.events import Foreseen, RebalanceAsked, SimulateAsked
from controller.records import GLOBAL_MODES, Service, Task
from controller.state import State
from controller.table import Rows

#: Of so many tasks of one service it is told why they would go where they would.
REASONS_TOLD_MAX = 100
#: Moves of a rebalance where the user gives no number.
MOVES_USUAL = 10
#: Most moves of one rebalance: on thousands of nodes each takes some milliseconds to be found.
MOVES_MAX = 50


def asked(turn: Turn, event: RebalanceAsked | SimulateAsked, ground: Ground) -> None:
    """Answers what would move; a rebalance that is no dry run begins."""
    try:
        if isinstance(event, SimulateAsked):
            turn.reply(event.ticket, _simulated(turn, ground, event.lose))
        else:
            turn.reply(event.ticket, _rebalanced(turn, ground, event))
    except ProblemError as error:
        turn.refuse(event.ticket, error)


def _simulated(turn: Turn, ground: Ground, lose: tuple[str, ...]) -> Foreseen:
    """What would become of the tasks of these nodes. Changes nothing."""
    state = turn.state
    if not lose:
        raise refuse(ProblemKind.INVALID, "no node is named that would be lost", hint="name one or more")
    lost = {names.find_node(state, name).id for name in lose}
    tasks = _by_name(state, [task for each in sorted(lost) for task in state.tasks_on(each)])
    slots = {each: state.tasks_by_slot(each) for each in {task.service_id for task in tasks.values()}}
    tasks = {
        name: task
        for name, task in tasks.items()
        if _would_go_on(state, task, slots[task.service_id][task.slot], lost)
    }
    bound = {name for name, task in tasks.items() if _spec(state, task).mode in GLOBAL_MODES}
    moving = {name: task for name, task in tasks.items() if name not in bound}
    fleet = ground.fleet().copy()
    for node_id in lost:
        fleet.drop(node_id)
    trial.set_aside(turn, ground, fleet)
    found: dict[str, Move] = {}
    asked = [part for each in _asked(turn, moving, fleet) for part in trial.at_home(state, each)]
    for lot in trial.put(asked, fleet, REASONS_TOLD_MAX):
        found |= {move.task: move for move in _moves(state, lot, moving, fleet)}
    return Foreseen(moves=tuple(found[name] for name in moving), ended=tuple(sorted(bound)))


def _asked(turn: Turn, moving: dict[str, Task], fleet: Fleet) -> list[trial.Asked]:
    """Tasks of one version of a service together."""
    alike: dict[tuple[str, int], dict[int, str]] = {}
    for task in moving.values():
        alike.setdefault((task.service_id, task.version), {})[task.slot] = ""
    return [
        trial.asked_of(turn, fleet, key[0], turn.state.services[key[0]].name, turn.state.specs[key], slots, 1)
        for key, slots in alike.items()
    ]


def _moves(state: State, lot: trial.Lot, moving: dict[str, Task], fleet: Fleet) -> Iterator[Move]:
    """Where the tasks of a lot would go; the reasons of the first ones are told."""
    nobody = "it stays where its volumes have data" if _stays(lot.spec) else "no node would be left"
    why = lot.refusal.lines if lot.refusal and lot.refusal.nodes else (nobody,)
    reasons = iter(lot.reasons)
    for slot, row in zip(lot.slots.tolist(), lot.nodes.tolist(), strict=True):
        name = f"{lot.name}.{slot}"
        before = state.nodes[moving[name].node_id].name
        if row == trial.NOWHERE:
            yield Move(task=name, before=before, reasons=why)
        else:
            yield Move(task=name, before=before, after=fleet.nodes[row].name, reasons=next(reasons, ()))


def _stays(spec: ServiceSpec) -> bool:
    return spec.homes is HomePolicy.STAY and homes.has_volumes(spec)


def _would_go_on(state: State, task: Task, in_slot: list[Task], lost: set[str]) -> bool:
    """Whether a task's slot would have to be filled again: its work is not over, and no heir is elsewhere."""
    service = state.services[task.service_id]
    if not task.wanted or service.removed or dependencies.is_over(state, service, task):
        return False
    return all(each.id == task.id or each.node_id in lost for each in in_slot if each.wanted)


def _rebalanced(turn: Turn, ground: Ground, event: RebalanceAsked) -> Foreseen:
    """The moves that pay; unless it is a dry run each task is marked, and replaced one after the other."""
    state = turn.state
    if not 0 <= event.moves_max <= MOVES_MAX:
        raise refuse(ProblemKind.INVALID, f"{event.moves_max} moves: 1 to {MOVES_MAX} are possible")
    fleet = ground.fleet().copy()
    found = [pile for each in _by_service_name(state) for pile in _piles(state, ground, fleet, each)]
    shifts = rebalance([pile for pile, _ in found], fleet, event.moves_max or MOVES_USUAL)
    moves, taken = [], Counter[int]()
    for shift in shifts:
        (task,) = state.tasks.of(found[shift.pile][1][taken[shift.pile] :][:1])
        taken[shift.pile] += 1
        name = f"{state.services[task.service_id].name}.{task.slot}"
        before, after = state.nodes[task.node_id].name, fleet.nodes[shift.row].name
        moves.append(Move(task=name, before=before, after=after, reasons=(shift.reason,)))
        if not event.dry_run:
            turn.put(msgspec.structs.replace(task, displaced=True))
            turn.services.add(task.service_id)
            turn.note("task", name, f"moves from {before} to even out the load: {shift.reason}")
    return Foreseen(moves=tuple(moves))


def _by_service_name(state: State) -> list[Service]:
    return sorted(state.services.values(), key=lambda service: service.name)


def _piles(state: State, ground: Ground, fleet: Fleet, service: Service) -> Iterator[tuple[Pile, Rows]]:
    """The tasks of a service that may be moved, by node, each pile with their rows in the table."""
    table, mobile = state.tasks.table, mobility.mobile(state, service)
    mobile = mobile[np.argsort(table.node[mobile], kind="stable")]
    numbers, first = np.unique(table.node[mobile], return_index=True)
    for number, mine in zip(numbers.tolist(), np.split(mobile, first[1:]), strict=numbers.size > 0):
        row = fleet.rows[table.nodes.names[number]]
        yield Pile(service.id, ground.demand(service.id, service.version), row, len(mine)), mine


def _by_name(state: State, tasks: list[Task]) -> dict[str, Task]:
    """Tasks by `<service>.<slot>`, in the order of service and slot; of several in a slot the newest."""
    named = [(state.services[task.service_id].name, task.slot, task.created_ms, task) for task in tasks]
    ordered = sorted(named, key=lambda each: each[:3])
    return {f"{name}.{slot}": task for name, slot, _, task in ordered}


def _spec(state: State, task: Task) -> ServiceSpec:
    return state.specs[task.service_id, task.version]
