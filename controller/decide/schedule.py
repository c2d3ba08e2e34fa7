"""Which node takes each waiting task, or why none can: the scheduler's doors.

`place_groups` is the one for many tasks: groups of equal ones onto a fleet, the largest first. `place` is the
same for single needs and candidates, with the reasons in words. How a node is chosen is told in `filling`;
what the others say, in `verdicts`. Same input, same plan: nothing hangs on ids or on luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from bayplan.model import Resources, ServiceSpec
from controller.decide import affinity, joint
from controller.decide.demand import Demand, demand
from controller.decide.filling import (
    FITTED_MAX,
    Wish,
    bound_of,
    place_many,
    place_new,
    place_one,
    place_singles,
)
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.reasons import Reasons
from controller.decide.verdicts import Verdicts, judge

Rows = npt.NDArray[np.int64]

_NOWHERE: Rows = np.empty(0, np.int64)


class Group(msgspec.Struct, frozen=True):
    """Equal tasks of one service that wait for a node.

    `wave` is when the service starts: an earlier one chooses first. `pinned`: the rows that get one task
    each, `count` is not looked at then. `name` is the service's: of equals the first by name goes first.
    `replicas`: how many tasks the service shall have in all, where more than it has now with these.
    `avoided`: ids of nodes that are a last choice. `level`: onto the emptiest node, not the fullest. `homes`,
    of a single task: ids of nodes with data of its volumes, the best first; `stays`: only to one of them.
    """

    service_id: str
    demand: Demand
    count: int
    wave: int = 0
    pinned: Rows | None = None
    name: str = ""
    replicas: int = 0
    avoided: frozenset[str] = frozenset()
    level: bool = False
    homes: tuple[str, ...] = ()
    stays: bool = False


class Placed(NamedTuple):
    """The row of each task of a group that found a place, the first choice first; why the rest did not; why
    the first ones went where they did, as far as that was asked for."""

    rows: Rows
    refusal: Verdicts | None
    reasons: tuple[tuple[str, ...], ...] = ()


def place_groups(groups: Sequence[Group], fleet: Fleet, told_max: int = 0) -> list[Placed]:
    """Places all groups, by wave; what they take is taken off the fleet. In a wave those come first that are
    placed one by one, the largest first, then those that are planned together. Of each group the first
    `told_max` tasks come with their reasons."""
    batch = _Batch(fleet, told_max)
    if len(groups) == 1:
        return batch.place([groups[0]])
    placed: list[Placed] = [Placed(_NOWHERE, None)] * len(groups)
    for members in _waves(groups):
        apart, together = _parted(groups, members)
        for run in ([each] for each in apart) if told_max else _runs(groups, apart, fleet):
            for index, found in zip(run, batch.place([groups[each] for each in run]), strict=True):
                placed[index] = found
        planned = batch.together([groups[each] for each in together])
        reason = f"planned together with {sum(rows.size for rows in planned) - 1} others onto few nodes"
        for index, rows in zip(together, planned, strict=True):
            told = ((reason,),) * min(told_max, rows.size)
            placed[index] = _completed(batch, groups[index], Placed(rows, None, told))
    return placed


def order(groups: Sequence[Group]) -> list[int]:
    """The positions of the groups in the order in which they choose, where none is planned with others."""
    return [
        at
        for members in _waves(groups)
        for at in sorted(members, key=lambda at: (groups[at].demand.largest_first, groups[at].name))
    ]


def _waves(groups: Sequence[Group]) -> list[list[int]]:
    """The positions of the groups of each wave, the earliest first; within it a service comes after those
    that it wants to be near to, and before those that are less important."""
    waves: dict[tuple[int, int, int], list[int]] = {}
    after = affinity.order({each.service_id: each.demand.affinities for each in groups})
    for index, group in enumerate(groups):
        turn = group.wave, after.get(group.service_id, 0), -group.demand.priority
        waves.setdefault(turn, []).append(index)
    return [waves[wave] for wave in sorted(waves)]


def _parted(groups: Sequence[Group], members: list[int]) -> tuple[list[int], list[int]]:
    """Those of a wave that are placed one by one, and those that are planned together, the largest first."""
    sizes = {groups[each].demand: groups[each].demand.largest_first for each in members}

    def key(index: int) -> tuple[tuple[int, int, int], str]:
        return sizes[groups[index].demand], groups[index].name or groups[index].service_id

    members = sorted(members, key=key)
    together = [members[at] for at in joint.chosen([groups[each] for each in members])]
    apart = set(members) - set(together)
    return [each for each in members if each in apart], together


def _completed(batch: _Batch, group: Group, planned: Placed) -> Placed:
    """A group of which so much was planned: the rest is placed by itself."""
    if planned.rows.size == group.count:
        return planned
    rest = msgspec.structs.replace(group, count=group.count - planned.rows.size)
    (more,) = batch.place([rest])
    rows = np.concatenate([planned.rows, more.rows])
    return Placed(rows, more.refusal, (*planned.reasons, *more.reasons))


def _runs(groups: Sequence[Group], order: list[int], fleet: Fleet) -> Iterator[list[int]]:
    """The groups in order; neighbours that are single tasks of new services and ask alike come together: the
    second goes where the first went as long as that fits."""
    run: list[int] = []
    for index in order:
        group = groups[index]
        if run and not (group.demand is groups[run[0]].demand and _is_single(group, fleet)):
            yield run
            run = []
        run.append(index)
        if not _is_single(group, fleet):
            yield run
            run = []
    if run:
        yield run


def _is_single(group: Group, fleet: Fleet) -> bool:
    return group.count == 1 and group.pinned is None and group.demand.alone and _is_new(group, fleet)


def _is_new(group: Group, fleet: Fleet) -> bool:
    """Whether a service has no tasks yet, and nothing but fullness tells nodes apart for its first one."""
    told_apart = group.avoided or group.level or group.homes or group.demand.affinities
    return not told_apart and not fleet.counts.anywhere(group.service_id)


class _Batch:
    """One pass over a fleet, on which there is less and less room: what was refused once is refused again."""

    def __init__(self, fleet: Fleet, told_max: int) -> None:
        self._fleet, self._told_max = fleet, told_max
        self._refused: dict[Demand, Verdicts] = {}

    def place(self, run: list[Group]) -> list[Placed]:
        """A run of groups that ask alike: several only of single tasks."""
        group, fleet = run[0], self._fleet
        known = self._refused.get(group.demand)
        if known is not None and group.pinned is None:
            return [Placed(_NOWHERE, known)] * len(run)
        if len(run) > 1:
            rows = place_singles(fleet, group.demand, [each.service_id for each in run])
            found = [Placed(rows[at : at + 1], None) for at in range(rows.size)]
            missing = len(run) - rows.size
            return found + ([Placed(_NOWHERE, self._refuse(group))] * missing if missing else [])
        if not self._told_max:
            return [self._one(group)]
        reasons = Reasons(fleet, _wish(fleet, group), pinned=group.pinned is not None)
        placed = self._one(group)
        told = placed.rows[: self._told_max].tolist()
        return [placed._replace(reasons=tuple(reasons.next(row) for row in told))]

    def _one(self, group: Group) -> Placed:
        return self._anywhere(group) if group.pinned is None else self._pinned(group, group.pinned)

    def together(self, groups: list[Group]) -> list[Rows]:
        """The rows of groups that are planned as one, as far as there is room for them so."""
        if not groups:
            return []
        fleet = self._fleet
        found = joint.planned(groups, [_wish(fleet, each).bound for each in groups], fleet)
        singles: dict[Demand, list[int]] = {}
        for index, (group, rows) in enumerate(zip(groups, found, strict=True)):
            if group.count > 1 and rows.size:
                fleet.take(group.service_id, group.demand, *np.unique(rows, return_counts=True))
            elif rows.size:
                singles.setdefault(group.demand, []).append(index)
        for demand_, indices in singles.items():
            rows = np.concatenate([found[each] for each in indices])
            fleet.move(demand_, *np.unique(rows, return_counts=True))
            for each, row in zip(indices, rows.tolist(), strict=True):
                fleet.counts.add_one(groups[each].service_id, row)
        return found

    def _anywhere(self, group: Group) -> Placed:
        fleet = self._fleet
        if group.homes and (placed := self._home(group)) is not None:
            return placed
        if group.count == 1 and fleet.doubtless and _is_new(group, fleet):
            row = place_new(fleet, group.service_id, group.demand)
            rows = _NOWHERE if row is None else np.array([row])
        else:
            rows = self._chosen(group, fleet.fits(group.demand, group.service_id).nonzero()[0])
        return Placed(rows, self._refuse(group) if rows.size < group.count else None)

    def _chosen(self, group: Group, fit: Rows) -> Rows:
        """The rows of as many of the tasks as find room on rows that fit."""
        wish = _wish(self._fleet, group)
        changing = group.level or affinity.sees_itself(group.demand.affinities, group.service_id)
        if group.count > 1 and not changing:
            return place_many(self._fleet, wish, fit, group.count)
        found: list[int] = []
        while len(found) < group.count and (row := place_one(self._fleet, wish, fit)) is not None:
            found.append(row)
            if len(found) < group.count:
                fit = self._fleet.fits(group.demand, group.service_id).nonzero()[0]
        return np.array(found, np.int64)

    def _home(self, group: Group) -> Placed | None:
        """A task whose volumes have data: to the first of those nodes that can take it. None when none can,
        and it may be elsewhere."""
        fleet = self._fleet
        fits = fleet.fits(group.demand, group.service_id)
        for node_id in group.homes:
            row = fleet.rows.get(node_id)
            if row is not None and fits[row] and node_id not in group.avoided:
                fleet.take_one(group.service_id, group.demand, row)
                return Placed(np.array([row]), None)
        if not group.stays:
            return None
        return Placed(_NOWHERE, judge(fleet, group.demand, group.service_id, group.homes[0]))

    def _pinned(self, group: Group, pinned: Rows) -> Placed:
        fleet = self._fleet
        fits = fleet.fits(group.demand, group.service_id)[pinned]
        if (rows := pinned[fits]).size:
            fleet.take(group.service_id, group.demand, rows, np.ones(rows.size, np.int64))
        if fits.all():
            return Placed(rows, None)
        refusing = fleet.ids[pinned[~fits][0]]
        return Placed(rows, judge(fleet, group.demand, group.service_id, refusing))

    def _refuse(self, group: Group) -> Verdicts:
        found = judge(self._fleet, group.demand, group.service_id)
        if group.demand.alone:
            self._refused[group.demand] = found
        return found


def _wish(fleet: Fleet, group: Group) -> Wish:
    standing = fleet.counts.total(group.service_id) + group.count
    heirs = 0 < group.replicas < standing
    fullest = heirs or group.count > FITTED_MAX
    bound = bound_of(max(group.replicas, standing))
    return Wish(group.service_id, group.demand, bound, group.avoided, group.level, fullest)


def _order(group: Group) -> tuple[object, ...]:
    """Earlier waves first, then the largest; what follows only makes it certain."""
    return group.wave, group.demand.largest_first, group.name, group.service_id, sorted(group.avoided)


class Need(NamedTuple):
    """A task that waits for a node: its id, its service's id, the spec it runs, what it sets aside,
    the id of the node that it is bound to (empty: any), and those on which its version kept failing.

    Its slot and the wave in which its service starts tell the order, which must not hang on ids: a plan
    made before there are any shall come true. `level`: not the fullest node that fits but the emptiest, since
    the task moves to even out the load.
    """

    task_id: str
    service_id: str
    spec: ServiceSpec
    reserved: Resources
    pinned: str = ""
    slot: int = 0
    wave: int = 0
    avoided: frozenset[str] = frozenset()
    level: bool = False


class Plan(NamedTuple):
    """Where each task goes (task id -> node id), why the others cannot, and why there of all nodes."""

    placed: dict[str, str]
    refused: dict[str, Verdicts]
    reasons: dict[str, tuple[str, ...]]


def place(needs: Sequence[Need], candidates: Sequence[Candidate]) -> Plan:
    """Places tasks on nodes, with the reasons in words; equal tasks of a service by their slots."""
    fleet, plan = Fleet.of(_by_name(candidates)), Plan({}, {}, {})
    alike = sorted(_grouped(needs, fleet), key=lambda each: _order(each[0]))
    found = place_groups([group for group, _ in alike], fleet, told_max=len(needs))
    for (_, mine), placed in zip(alike, found, strict=True):
        for need, row, reasons in zip(mine, placed.rows.tolist(), placed.reasons, strict=False):
            plan.placed[need.task_id] = fleet.ids[row]
            plan.reasons[need.task_id] = reasons
        if placed.refusal is not None:
            plan.refused.update({need.task_id: placed.refusal for need in mine[placed.rows.size :]})
    return plan


def _by_name(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.node.name)


def _grouped(needs: Sequence[Need], fleet: Fleet) -> list[tuple[Group, list[Need]]]:
    """Needs that are alike as a group each, in the order of their slots."""
    alike: dict[Group | tuple[Group, str], list[Need]] = {}
    for need in sorted(needs, key=lambda need: (need.slot, need.task_id)):
        group = _group(need, 0)
        by_itself = need.pinned or need.level
        alike.setdefault((group, need.task_id) if by_itself else group, []).append(need)
    found = []
    for mine in alike.values():
        group = _group(mine[0], len(mine))
        if mine[0].pinned:
            pinned = fleet.rows.get(mine[0].pinned)
            group = msgspec.structs.replace(group, pinned=_NOWHERE if pinned is None else np.array([pinned]))
        found.append((group, mine))
    return found


def _group(need: Need, count: int) -> Group:
    asked = demand(need.spec, need.reserved)
    name = need.spec.name
    return Group(need.service_id, asked, count, need.wave, None, name, 0, need.avoided, need.level)
