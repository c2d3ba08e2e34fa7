"""Tasks' records as columns, and back: what a change of many tasks is made of, in memory and in the store.

The codes and bits here are on disks: they never change their meaning. Knows no state and no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import structs

from bayplan import ids
from bayplan.columns import CONTAINER_BYTES, ColumnsError, container_bytes, unpack_ids
from bayplan.model import Desired
from controller.records import Change, Drop, DropTasks, Put, PutTasks, Task

#: What is desired, by its code.
DESIRES: tuple[Desired, ...] = (Desired.RUN, Desired.STOP, Desired.READY)
DESIRED_CODE = {desired: code for code, desired in enumerate(DESIRES)}
#: Bits of the column `flags`.
REMOVING, COMPLETED, DISPLACED = 1, 2, 4
#: Bytes that a task takes in columns.
TASK_BYTES = 38

#: Of a container's id so many digits are kept: four more than its engine shows, which knows it by them.
CONTAINER_DIGITS = 16

_FLAGS = REMOVING | COMPLETED | DISPLACED
_COLUMNED = frozenset(
    {"id", "service_id", "slot", "version", "node_id", "created_ms", "desired"}
    | {"removing", "completed", "displaced"}
)
_OWN_FIELDS = [(field.name, field.default) for field in structs.fields(Task) if field.name not in _COLUMNED]
_INT_MAX = 2**31


class TaskColumns(NamedTuple):
    """A PutTasks as arrays, an entry a task; `nodes` is -1 where there is none."""

    numbers: ids.Numbers
    services: npt.NDArray[np.integer[Any]]
    nodes: npt.NDArray[np.integer[Any]]
    slots: npt.NDArray[np.int32]
    versions: npt.NDArray[np.int32]
    created_ms: npt.NDArray[np.int64]
    desired: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.integer[Any]]


def columns(change: PutTasks) -> TaskColumns:
    """The arrays of a change. Raises ColumnsError when they do not fit together."""
    numbers = unpack_ids(change.ids)
    count = len(numbers)
    found = TaskColumns(
        numbers,
        _column(change.service_of, "<i4", count, len(change.services), 0),
        _column(change.node_of, "<i4", count, len(change.nodes), -1),
        _column(change.slots, "<i4", count),
        _column(change.versions, "<i4", count),
        _column(change.created_ms, "<i8", count),
        _column(change.desired, "u1", count, len(DESIRES), 0),
        _column(change.flags, "u1", count, _FLAGS + 1, 0),
    )
    if (np.diff(np.sort(numbers)) == 0).any():
        raise ColumnsError("a task stands twice in one change")
    return found


def _column(
    data: bytes, kind: str, count: int, below: int | None = None, least: int | None = None
) -> npt.NDArray[Any]:
    if len(data) != count * np.dtype(kind).itemsize:
        raise ColumnsError(f"a column of {count} tasks has {len(data)} bytes")
    column = np.frombuffer(data, kind)
    if count and (
        (below is not None and column.max() >= below) or (least is not None and column.min() < least)
    ):
        raise ColumnsError("a column of tasks holds what means nothing")
    return column


def check(change: Change) -> None:
    """Raises ColumnsError when a change's columns do not fit together."""
    if isinstance(change, PutTasks):
        columns(change)
    elif isinstance(change, DropTasks):
        unpack_ids(change.ids)


def put_columns(services: Sequence[str], nodes: Sequence[str], found: TaskColumns) -> PutTasks:
    """The change that these arrays make."""
    return PutTasks(
        services=tuple(services),
        nodes=tuple(nodes),
        ids=found.numbers.astype("<i8").tobytes(),
        service_of=found.services.astype("<i4").tobytes(),
        node_of=found.nodes.astype("<i4").tobytes(),
        slots=found.slots.astype("<i4").tobytes(),
        versions=found.versions.astype("<i4").tobytes(),
        created_ms=found.created_ms.astype("<i8").tobytes(),
        desired=found.desired.astype("u1").tobytes(),
        flags=found.flags.astype("u1").tobytes(),
    )


def pack(changes: Iterable[Change]) -> list[Change]:
    """Changes of tasks, those of single ones in columns where they can be: the last of each task counts."""
    packed: list[Change] = []
    single: dict[str, Put | Drop] = {}
    for change in changes:
        if isinstance(change, Put):
            single[change.record.key] = change
        elif isinstance(change, Drop):
            single[change.key] = change
        else:
            packed += _pack(single.values())
            single.clear()
            packed.append(change)
    return packed + _pack(single.values())


def _pack(changes: Iterable[Put | Drop]) -> list[Change]:
    plain: list[Task] = []
    gone: list[int] = []
    whole: list[Change] = []
    for change in changes:
        if isinstance(change, Put) and isinstance(change.record, Task) and is_plain(change.record):
            plain.append(change.record)
        elif isinstance(change, Drop) and ids.to_number(change.key) >= 0:
            gone.append(ids.to_number(change.key))
        else:
            whole.append(change)
    if plain:
        whole.append(_put_tasks(plain))
    if gone:
        whole.append(DropTasks(ids=np.array(gone, "<i8").tobytes()))
    return whole


def has_more(task: Task) -> bool:
    """Whether there is more to tell of a task than has a column."""
    return any(getattr(task, name) != usual for name, usual in _OWN_FIELDS)


def is_plain(task: Task) -> bool:
    """Whether columns hold all there is to tell of a task."""
    fits = 0 <= task.slot < _INT_MAX and 0 <= task.version < _INT_MAX
    return fits and ids.to_number(task.id) >= 0 and not has_more(task)


def _put_tasks(tasks: Sequence[Task]) -> PutTasks:
    services = {name: place for place, name in enumerate(dict.fromkeys(task.service_id for task in tasks))}
    nodes = dict.fromkeys(task.node_id for task in tasks if task.node_id)
    node_of = {name: place for place, name in enumerate(nodes)} | {"": -1}
    found = TaskColumns(
        ids.decode([task.id for task in tasks]),
        np.array([services[task.service_id] for task in tasks], np.int32),
        np.array([node_of[task.node_id] for task in tasks], np.int32),
        np.array([task.slot for task in tasks], np.int32),
        np.array([task.version for task in tasks], np.int32),
        np.array([task.created_ms for task in tasks], np.int64),
        np.array([DESIRED_CODE[task.desired] for task in tasks], np.uint8),
        np.array([flags_of(task) for task in tasks], np.uint8),
    )
    return put_columns(list(services), list(nodes), found)


def flags_of(task: Task) -> int:
    """The bits of a task in the column `flags`."""
    return REMOVING * task.removing | COMPLETED * task.completed | DISPLACED * task.displaced


def unpack(change: PutTasks) -> list[Task]:
    """A value for each task of a change. Raises ColumnsError."""
    found = columns(change)
    rows = zip(ids.encode(found.numbers), *(column.tolist() for column in found[1:]), strict=True)
    return [
        Task(
            id=task_id,
            service_id=change.services[service],
            node_id=change.nodes[node] if node >= 0 else "",
            slot=slot,
            version=version,
            created_ms=created_ms,
            desired=DESIRES[desired],
            removing=bool(flags & REMOVING),
            completed=bool(flags & COMPLETED),
            displaced=bool(flags & DISPLACED),
        )
        for task_id, service, node, slot, version, created_ms, desired, flags in rows
    ]


def singly(changes: Iterable[Change]) -> Iterable[Put | Drop]:
    """The same changes, of one record each. Raises ColumnsError."""
    for change in changes:
        if isinstance(change, PutTasks):
            yield from (Put(record=task) for task in unpack(change))
        elif isinstance(change, DropTasks):
            yield from (Drop(kind=Task.__name__, key=key) for key in ids.encode(unpack_ids(change.ids)))
        else:
            yield change


def container_number(text: str) -> int | None:
    """The beginning of a container's id as a number, 0 for none; None for what is no such id."""
    found = container_bytes(text)
    return None if found is None else int.from_bytes(found[: CONTAINER_DIGITS // 2], "big")


def container_numbers(containers: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """The same of many, as they travel."""
    words = np.ascontiguousarray(containers).view(">u8").astype(np.uint64)
    return words[:: 2 * CONTAINER_BYTES // CONTAINER_DIGITS]


def container_digits(number: int) -> str:
    """The beginning of a container's id; empty for 0."""
    return f"{number:0{CONTAINER_DIGITS}x}" if number else ""
