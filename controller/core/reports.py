"""What many agents report is taken in together: tasks that come a step further as columns, all else singly.

The order of a node's own reports is kept; those of different nodes know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from bayplan import columns, ids
from bayplan.columns import StatusColumns
from bayplan.lifecycle import TaskState, may_report
from bayplan.model import Desired, Health, TaskStatus
from bayplan.session import Hello, Report, StatusGroup
from controller.core import statuses
from controller.core.turn import Turn
from controller.state import State
from controller.table import Rows, distinct
from controller.task_columns import COMPLETED, DESIRED_CODE, DISPLACED, REMOVING
from controller.tasks import HEALTH_CODE, ODD, STATE_CODE, STATES

#: Tasks of one service of which people are told one by one that they run, in one turn.
TOLD_SINGLY_MAX = 10

#: States through which a task comes to run; what is not told yet counts as assigned.
_ONWARD = (TaskState.ASSIGNED, TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING)
_FINE = frozenset({Health.NONE, Health.STARTING, Health.HEALTHY})
_RUN, _RUNNING = DESIRED_CODE[Desired.RUN], STATE_CODE[TaskState.RUNNING]
_UNHEALTHY = HEALTH_CODE[Health.UNHEALTHY]
#: By state now and state told, as codes: whether it is a step onward that is believed.
_STEP = np.zeros((len(STATES) + 1, len(STATES) + 1), bool)
for _before in _ONWARD:
    for _after in _ONWARD:
        _STEP[STATE_CODE[_before], STATE_CODE[_after]] = may_report(_before, _after)
_STEP[0] = _STEP[STATE_CODE[TaskState.ASSIGNED]]

Mask = npt.NDArray[np.bool_]


def take(turn: Turn, node_id: str, report: Report) -> None:
    """A report is taken in with those of other nodes, after what the node said before it."""
    if node_id in turn.reports or node_id in turn.hellos:
        settle(turn)
    turn.reports[node_id] = report


def take_hello(turn: Turn, node_id: str, hello: Hello) -> None:
    """A Hello is taken in with those of other nodes, after what the node said before it."""
    if node_id in turn.hellos:
        settle(turn)
    turn.hellos[node_id] = hello


def settle(turn: Turn) -> None:
    """Take in what was said since the last time: all reports, then all Hellos."""
    reports, turn.reports = turn.reports, {}
    if reports:
        _take_reports(turn, reports)
    hellos, turn.hellos = turn.hellos, {}
    if hellos:
        _take_groups(turn, hellos)
        for node_id, hello in hellos.items():
            _take_rest(turn, node_id, hello)


def _take_rest(turn: Turn, node_id: str, hello: Hello) -> None:
    """Of a Hello, which is all that a node has: what it had and does not speak of is gone."""
    statuses.take_statuses(turn, node_id, hello.tasks)
    table = turn.state.tasks.table
    told = [columns.unpack_ids(group.ids) for group in hello.groups]
    rows = table.rows(np.concatenate(told)) if told else np.empty(0, np.int64)
    singly = [table.row(status.task_id) for status in hello.tasks]
    mine = table.on_node(node_id)
    untold = mine[~np.isin(mine, np.append(rows, singly) if singly else rows)]
    if len(untold):
        tasks = turn.state.tasks.of(untold)
        gone = tuple(task.id for task in tasks if statuses.was_there(turn, task))
        statuses.take_gone(turn, node_id, gone)


def _take_reports(turn: Turn, taken: Mapping[str, Report]) -> None:
    _take_groups(turn, taken)
    for node_id, report in taken.items():
        statuses.take_statuses(turn, node_id, report.tasks)
        statuses.take_gone(turn, node_id, (*report.gone, *_gone(report)))
        life = turn.state.lives.get(node_id)
        if life is not None and report.revision == life.revision:
            statuses.take_gone(turn, node_id, statuses.never_there(turn, node_id))


def _gone(report: Report) -> Iterable[str]:
    return ids.encode(columns.unpack_ids(report.gone_ids)) if report.gone_ids else ()


def _take_groups(turn: Turn, taken: Mapping[str, Report | Hello]) -> None:
    table = turn.state.tasks.table
    kinds: dict[tuple[TaskState, Health], list[tuple[int, StatusGroup]]] = {}
    for node_id, report in taken.items():
        node = table.nodes.known(node_id)
        for group in report.groups:
            kinds.setdefault((group.state, group.health), []).append((node, group))
    for mine in kinds.values():
        (told,) = columns.status_columns([group for _, group in mine])
        sizes = [len(group.ids) // 8 for _, group in mine]
        nodes = np.repeat(np.array([node for node, _ in mine], np.int32), sizes)
        _take(turn, nodes, told)


def _take(turn: Turn, nodes: npt.NDArray[np.int32], told: StatusColumns) -> None:
    """Statuses of the same state and health; `nodes` are those that told them."""
    state, table = turn.state, turn.state.tasks.table
    rows = table.rows(told.numbers)
    known = (rows >= 0) & (table.node[rows] == nodes)
    plain = known & _steps(state, rows, told)
    mine = rows[plain]
    if len(mine):
        entered = mine[table.state[mine] != STATE_CODE[told.state]]
        containers, addresses = told.containers[plain], told.addresses[plain]
        state.tasks.observe_rows(mine, told.state, told.health, told.since_ms[plain], containers, addresses)
        table.since_ms[entered] = turn.now.mono_ms
        _note(turn, mine, entered)
    for index in np.flatnonzero(known & ~plain).tolist():
        statuses.take_statuses(turn, table.nodes.names[nodes[index]], (_single(told, index),))


def _steps(state: State, rows: Rows, told: StatusColumns) -> Mask:
    """Of which tasks no more is to be decided than of one that comes to run as it shall."""
    table = state.tasks.table
    if told.state not in _ONWARD or told.health not in _FINE:
        return np.zeros(len(rows), bool)
    flags, health = table.flags[rows], table.health[rows]
    plain: Mask = _STEP[table.state[rows], STATE_CODE[told.state]] & (table.desired[rows] == _RUN)
    plain &= (flags & (REMOVING | COMPLETED | DISPLACED | ODD)) == 0
    plain &= health != _UNHEALTHY
    if told.health is Health.STARTING:  # of one that ran: it was started again in place
        plain &= table.state[rows] != _RUNNING
    ordered = np.sort(rows[plain])
    if (ordered[1:] == ordered[:-1]).any():
        plain[:] = False  # one of them is told twice
    return plain


def _single(told: StatusColumns, index: int) -> TaskStatus:
    return TaskStatus(
        task_id=ids.to_id(int(told.numbers[index])),
        state=told.state,
        health=told.health,
        since_ms=int(told.since_ms[index]),
        container_id=columns.container_text(bytes(told.containers[index])),
        address=columns.address_text(int(told.addresses[index])),
    )


def _note(turn: Turn, rows: Rows, entered: Rows) -> None:
    """Their services are looked at when there is time, and people are told who runs."""
    state, table = turn.state, turn.state.tasks.table
    runs = bool((table.state[rows] == _RUNNING).any())
    for service_id in [table.services.names[each] for each in distinct(table.service[rows])]:
        service = state.services[service_id]
        awaited = runs or bool(state.dependents(service.name))
        (turn.calm if awaited else turn.early).add(service_id)
        turn.stacks.add(service.stack)
    running = entered[table.state[entered] == _RUNNING]
    services, counts = np.unique(table.service[running], return_counts=True)
    for service, count in zip(services.tolist(), counts.tolist(), strict=True):
        name = state.services[table.services.names[service]].name
        if count > TOLD_SINGLY_MAX:
            turn.note("service", name, f"{count} tasks run")
            continue
        for row in running[table.service[running] == service].tolist():
            turn.note("task", f"{name}.{table.slot[row]}", TaskState.RUNNING.value)
