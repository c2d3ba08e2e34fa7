"""What agents and the controller say of many tasks at once, as columns, and back to a value each.

Tasks that differ in nothing but numbers share a group; what has more to say stays whole beside the groups.
Columns are bytes, little endian, as they travel; numpy sees them without a copy. Knows no protobuf, no
session, and not what any of it means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec.structs import fields, replace

from bayplan import ids
from bayplan.lifecycle import TaskState
from bayplan.model import Assignment, AssignmentColumns, Assignments, Health, TaskStatus
from bayplan.session import Hello, Report, StatusGroup

#: Bytes of an engine's id of a container.
CONTAINER_BYTES = 32

_CONTAINER = f"V{CONTAINER_BYTES}"
_NO_CONTAINER = bytes(CONTAINER_BYTES)
_WORD_MAX = 2**32 - 1
_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1
#: What assignments of a kind have in common, beside their goods.
_alike = attrgetter(*(f.name for f in fields(Assignment) if f.name not in ("task_id", "slot", "goods")))

MessageT = TypeVar("MessageT")


class ColumnsError(ValueError):
    """Columns that do not fit together; says which."""


class StatusColumns(NamedTuple):
    """What is told of tasks that are in the same state, an entry a task in each array.

    `numbers`: of their ids. `since_ms`: Unix ms. `containers`: zeros for none.
    `addresses`: IPv4 as a number, 0 for none.
    """

    state: TaskState
    health: Health
    numbers: ids.Numbers
    since_ms: npt.NDArray[np.int64]
    containers: npt.NDArray[np.void]
    addresses: npt.NDArray[np.uint32]


def packed(message: MessageT) -> MessageT:
    """A message as it travels: what can be is in columns."""
    result: Any = message
    match message:
        case Hello(tasks=tasks) if tasks:
            groups, odd = pack_statuses(tasks)
            result = replace(message, tasks=odd, groups=message.groups + groups)
        case Report() if message.tasks or message.gone:
            groups, odd = pack_statuses(message.tasks)
            gone_ids, gone = pack_ids(message.gone)
            result = replace(
                message,
                tasks=odd,
                groups=message.groups + groups,
                gone=gone,
                gone_ids=message.gone_ids + gone_ids,
            )
        case Assignments(tasks=tasks, columns=AssignmentColumns(ids=b"")) if tasks:
            assigned, rest = pack_assignments(tasks)
            result = replace(message, tasks=rest, columns=assigned)
    return result  # type: ignore[no-any-return]


def unpacked(message: MessageT) -> MessageT:
    """A message with a value for each task, by id. Raises ColumnsError."""
    result: Any = message
    match message:
        case Hello(groups=groups) if groups:
            result = replace(message, tasks=_by_id(message.tasks, unpack_statuses(groups)), groups=())
        case Report() if message.groups or message.gone_ids:
            gone = (*message.gone, *ids.encode(unpack_ids(message.gone_ids)))
            tasks = _by_id(message.tasks, unpack_statuses(message.groups))
            result = replace(message, tasks=tasks, groups=(), gone=tuple(sorted(gone)), gone_ids=b"")
        case Assignments(columns=assigned) if assigned.ids:
            tasks = _by_id(message.tasks, unpack_assignments(assigned))
            result = replace(message, tasks=tasks, columns=AssignmentColumns())
    return result  # type: ignore[no-any-return]


# --- ids ---


def pack_ids(texts: Iterable[str]) -> tuple[bytes, tuple[str, ...]]:
    """Ids as a column of their numbers, and those that have none."""
    odd = tuple(text for text in texts if ids.to_number(text) < 0)
    numbers = ids.decode([text for text in texts if ids.to_number(text) >= 0])
    return numbers.astype("<i8").tobytes(), odd


def unpack_ids(column: bytes) -> ids.Numbers:
    """A column of the numbers of ids. Raises ColumnsError."""
    if len(column) % 8:
        raise ColumnsError(f"a column of ids has {len(column)} bytes, which is no multiple of 8")
    numbers = np.frombuffer(column, "<i8").astype(np.int64, copy=False)
    if (numbers.view(np.uint64) >= ids.NUMBERS).any():  # negative ones are beyond them all
        raise ColumnsError("a column of ids holds the number of none")
    return numbers


def _column(column: bytes, kind: str, count: int, name: str) -> npt.NDArray[Any]:
    """A column of `count` entries. Raises ColumnsError."""
    if len(column) != count * np.dtype(kind).itemsize:
        raise ColumnsError(f"{name} has {len(column)} bytes for {count} tasks")
    return np.frombuffer(column, kind)


def _by_id(some: tuple[Any, ...], others: list[Any]) -> tuple[Any, ...]:
    return tuple(sorted((*some, *others), key=attrgetter("task_id")))


# --- statuses ---


def pack_statuses(
    statuses: Iterable[TaskStatus],
) -> tuple[tuple[StatusGroup, ...], tuple[TaskStatus, ...]]:
    """Statuses in groups, and those that have more to say."""
    odd: list[TaskStatus] = []
    rows: dict[tuple[TaskState, Health], list[tuple[int, int, bytes, int]]] = {}
    for status in statuses:
        row = _status_row(status)
        if row is None:
            odd.append(status)
        else:
            rows.setdefault((status.state, status.health), []).append(row)
    return tuple(_status_group(*kind, sorted(mine)) for kind, mine in rows.items()), tuple(odd)


def _status_row(status: TaskStatus) -> tuple[int, int, bytes, int] | None:
    """What stands in the columns of a status; None when that is not all there is to say."""
    more = status.message or status.ports or status.probe_output or status.restarts or status.addresses
    number = ids.to_number(status.task_id)
    if more or status.exit_code is not None or number < 0 or not _LONG_MIN <= status.since_ms <= _LONG_MAX:
        return None
    container, address = container_bytes(status.container_id), address_number(status.address)
    return None if container is None or address is None else (number, status.since_ms, container, address)


def _status_group(
    state: TaskState, health: Health, rows: Sequence[tuple[int, int, bytes, int]]
) -> StatusGroup:
    numbers, since_ms, containers, addresses = zip(*rows, strict=True)
    return StatusGroup(
        state=state,
        health=health,
        ids=np.array(numbers, "<i8").tobytes(),
        since_ms=np.array(since_ms, "<i8").tobytes(),
        containers=b"".join(containers) if any(each != _NO_CONTAINER for each in containers) else b"",
        addresses=np.array(addresses, "<u4").tobytes() if any(addresses) else b"",
    )


def status_columns(groups: Iterable[StatusGroup]) -> list[StatusColumns]:
    """The columns of groups that were checked, those of the same state and health together.

    For the reports of many nodes at once, as long as no two are of the same node: their order is lost.
    """
    kinds: dict[tuple[TaskState, Health], list[StatusGroup]] = {}
    for group in groups:
        kinds.setdefault((group.state, group.health), []).append(group)
    return [_joined(mine) if len(mine) > 1 else _columns(mine[0]) for mine in kinds.values()]


def check_statuses(groups: Iterable[StatusGroup]) -> None:
    """Raises ColumnsError when columns do not fit together."""
    for group in groups:
        _columns(group)


def _joined(groups: Sequence[StatusGroup]) -> StatusColumns:
    counts = [len(group.ids) // 8 for group in groups]
    with_counts = list(zip(groups, counts, strict=True))
    return _columns(
        StatusGroup(
            state=groups[0].state,
            health=groups[0].health,
            ids=b"".join(group.ids for group in groups),
            since_ms=b"".join(group.since_ms for group in groups),
            containers=b"".join(group.containers or bytes(CONTAINER_BYTES * n) for group, n in with_counts),
            addresses=b"".join(group.addresses or bytes(4 * n) for group, n in with_counts),
        )
    )


def _columns(group: StatusGroup) -> StatusColumns:
    numbers = unpack_ids(group.ids)
    count = len(numbers)
    return StatusColumns(
        group.state,
        group.health,
        numbers,
        _column(group.since_ms, "<i8", count, "since_ms"),
        _column(group.containers or bytes(CONTAINER_BYTES * count), _CONTAINER, count, "containers"),
        _column(group.addresses or bytes(4 * count), "<u4", count, "addresses"),
    )


def unpack_statuses(groups: Iterable[StatusGroup]) -> list[TaskStatus]:
    """A status for each task of groups. Raises ColumnsError."""
    found: list[TaskStatus] = []
    for group in groups:
        columns = _columns(group)
        rows = zip(
            ids.encode(columns.numbers),
            columns.since_ms.tolist(),
            columns.containers.tolist(),
            columns.addresses.tolist(),
            strict=True,
        )
        found += [
            TaskStatus(
                task_id=task_id,
                state=group.state,
                health=group.health,
                since_ms=since_ms,
                container_id=container_text(container),
                address=address_text(address),
            )
            for task_id, since_ms, container, address in rows
        ]
    return found


def container_bytes(text: str) -> bytes | None:
    """An engine's id of a container as bytes, zeros for none; None for what is no such id."""
    if not text:
        return _NO_CONTAINER
    try:
        made = bytes.fromhex(text)
    except ValueError:
        return None
    plain = len(made) == CONTAINER_BYTES and made != _NO_CONTAINER and made.hex() == text
    return made if plain else None


def container_text(container: bytes) -> str:
    """The engine's id of a container; empty for none."""
    return "" if container == _NO_CONTAINER else container.hex()


def address_number(text: str) -> int | None:
    """An IPv4 address as a number, 0 for none; None for what is no such address."""
    if not text:
        return 0
    try:
        return int(ipaddress.IPv4Address(text)) or None
    except ValueError:
        return None


def address_text(number: int) -> str:
    """The IPv4 address of a number; empty for 0."""
    # By hand: `ipaddress` takes ten times as long, and each instance that is shown has an address.
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" if number else ""


# --- assignments ---


def pack_assignments(tasks: Iterable[Assignment]) -> tuple[AssignmentColumns, tuple[Assignment, ...]]:
    """Assignments as columns, and those whose id has no number."""
    odd: list[Assignment] = []
    kinds: dict[Any, tuple[int, Assignment]] = {}
    rows: list[tuple[int, int, int]] = []
    for task in tasks:
        number = ids.to_number(task.task_id)
        if number < 0 or not 0 <= task.slot <= _WORD_MAX:
            odd.append(task)
            continue
        key = _alike(task), *sorted(task.goods.items())
        if key not in kinds:
            kinds[key] = len(kinds), replace(task, task_id="", slot=0)
        rows.append((number, task.slot, kinds[key][0]))
    if not rows:
        return AssignmentColumns(), tuple(odd)
    numbers, slots, places = zip(*sorted(rows), strict=True)
    columns = AssignmentColumns(
        kinds=tuple(kind for _, kind in kinds.values()),
        ids=np.array(numbers, "<i8").tobytes(),
        slots=np.array(slots, "<u4").tobytes(),
        kind_of=np.array(places, "<u4").tobytes(),
    )
    return columns, tuple(odd)


def unpack_assignments(columns: AssignmentColumns) -> list[Assignment]:
    """An assignment for each task of columns. Raises ColumnsError."""
    texts = ids.encode(unpack_ids(columns.ids))
    slots = _column(columns.slots, "<u4", len(texts), "slots")
    kind_of = _column(columns.kind_of, "<u4", len(texts), "kind_of")
    if len(texts) and kind_of.max() >= len(columns.kinds):
        raise ColumnsError(f"a task is of kind {kind_of.max()} of {len(columns.kinds)}")
    return [
        replace(columns.kinds[place], task_id=task_id, slot=slot)
        for task_id, slot, place in zip(texts, slots.tolist(), kind_of.tolist(), strict=True)
    ]
