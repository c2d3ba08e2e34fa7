"""Which groups of a batch are planned together, and how they look to the planner (`packing`).

Groups that see nothing of each other but the room that is left: no ports, affinities or preferences, bound to
no node, and packed. They keep off nodes that came and went lately, and within their part of a service on each
node; what finds no room so is for the scheduler to place one by one. Takes nothing off the fleet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from controller.decide.demand import Demand, Kind
from controller.decide.fleet import Fleet
from controller.decide.packing import Want, pack

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Tasks and demands from which on planning together is worth it: with fewer, largest first does as well. So
#: it does with few tasks to a demand, in far less time.
TASKS_MIN, DEMANDS_MIN, TASKS_PER_DEMAND_MIN = 50, 2, 4
#: With more demands than this it takes too long: each is dealt out over all nodes, in some 100 us.
DEMANDS_MAX = 4_000


class Grouped(Protocol):
    """What is asked of a group here (`schedule.Group`)."""

    @property
    def service_id(self) -> str: ...
    @property
    def demand(self) -> Demand: ...
    @property
    def count(self) -> int: ...
    @property
    def pinned(self) -> Ints | None: ...
    @property
    def avoided(self) -> frozenset[str]: ...
    @property
    def level(self) -> bool: ...
    @property
    def homes(self) -> tuple[str, ...]: ...


def chosen(groups: Sequence[Grouped]) -> list[int]:
    """The positions of the groups that are planned together; empty where it is not worth it."""
    found = [index for index, each in enumerate(groups) if _joins(each)]
    tasks = sum(groups[index].count for index in found)
    demands = len({groups[index].demand for index in found})
    worth = tasks >= max(TASKS_MIN, TASKS_PER_DEMAND_MIN * demands)
    return found if worth and DEMANDS_MIN <= demands <= DEMANDS_MAX else []


def _joins(group: Grouped) -> bool:
    plain = group.pinned is None and not (group.avoided or group.level or group.homes)
    return plain and indifferent(group.demand)


def indifferent(demand: Demand) -> bool:
    """Whether all that tasks of this demand see of others, whosoever they are, is the room they leave."""
    return demand.alone and not demand.preferences


def planned(groups: Sequence[Grouped], bounds: Sequence[int], fleet: Fleet) -> list[Ints]:
    """For each group the rows of its tasks, as far as there is room. `bounds`: at most so many tasks of each
    group's service on a node."""
    order = fleet.in_order
    dimensions = sorted({name for each in groups for name, _ in each.demand.amounts})
    nothing = np.zeros(fleet.size, np.int64)
    free = [fleet.free.get(each, nothing)[order] for each in dimensions]
    capacity = [fleet.capacity.get(each, nothing)[order] for each in dimensions]
    masks: dict[Kind, Bools] = {}
    wants = []
    for group, bound in zip(groups, bounds, strict=True):
        kind = group.demand.kind
        if kind not in masks:
            masks[kind] = (fleet.of_kind(kind) & (fleet.shaky == 0))[order]
        amounts = dict(group.demand.amounts)
        known = fleet.counts.anywhere(group.service_id)
        wants.append(
            Want(
                size=tuple(amounts.get(each, 0) for each in dimensions),
                tasks=group.count,
                fits=masks[kind],
                per_node=bound,
                held=fleet.tasks_of(group.service_id)[order] if known else None,
            )
        )
    zones = fleet.zones[order].astype(np.int64) if fleet.zoned else None
    return [order[rows] for rows in pack(free, capacity, wants, zones)]
