"""A trial on paper: where the new tasks of a proposal would go. Changes nothing.

Tasks that are alike are one lot, from the question to the answer: a hundred thousand of them are no more work
than a few.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from bayplan.errors import Problem, ProblemKind
from bayplan.model import HomePolicy, ServiceSpec
from bayplan.views import ServiceAction
from controller.core import affinities, ample, belongings, owing, paper, placing
from controller.core.ground import Ground
from controller.core.turn import Turn
from controller.decide import deploy, homes, joint, order, schedule, succession
from controller.decide.demand import Demand, demand
from controller.decide.filters import Cause
from controller.decide.fleet import Fleet
from controller.decide.reservations import reserve
from controller.decide.verdicts import Verdicts
from controller.records import GLOBAL_MODES, Service
from controller.state import State
from controller.table import distinct, once

Ints = npt.NDArray[np.int64]
#: Slots on any node, or each with the id of the node that it is bound to (empty: any).
Slots = range | Mapping[int, str]

#: In place of the row of a node: there is none.
NOWHERE = -1
#: Why a task goes to a node that has data of its volumes.
HOME = ("its volumes have data there",)

#: Tasks that are placed before others have their turn, and what a group of them costs beyond that.
UNITS_TRIED_AT_ONCE, UNITS_PER_GROUP = 10_000, 500

_KEEPING = (ServiceAction.SAME, ServiceAction.SCALE)

#: Under which key of a service the user wrote what a cause is about.
_KEY_OF = {
    Cause.PLATFORM: "platform",
    Cause.CONSTRAINT: "constraints",
    Cause.AFFINITY: "affinity",
    Cause.PER_NODE: "max_replicas_per_node",
    Cause.PORT: "ports",
    Cause.GENERIC: "resources",
    Cause.CPU: "resources",
    Cause.MEMORY: "resources",
    Cause.DISK: "resources",
    Cause.PIDS: "resources",
}


class Asked(NamedTuple):
    """What is asked of the scheduler: a group of equal tasks, their slots, and their service's full name and
    spec. Of tasks that are bound to nodes the slots are in the order of the group's rows."""

    group: schedule.Group
    slots: Ints
    name: str
    spec: ServiceSpec


class Lot(NamedTuple):
    """New tasks of one service that are alike. `nodes` has for each of the `slots` the row in the trial's
    fleet where its task would go, or NOWHERE: `refusal` then says why, and `reasons` why the first ones that
    have a place would go there."""

    name: str
    spec: ServiceSpec
    slots: Ints
    nodes: Ints
    refusal: Verdicts | None = None
    reasons: tuple[tuple[str, ...], ...] = ()

    @property
    def unplaced(self) -> str:
        """The name of the first task that fits nowhere; empty if all have a place."""
        left = self.slots[self.nodes == NOWHERE]
        return f"{self.name}.{left[0]}" if left.size else ""


class Trial(NamedTuple):
    """Where the new tasks of a proposal would go, a lot for each service that gets some; all of them are on
    `fleet`."""

    lots: tuple[Lot, ...]
    fleet: Fleet
    #: Services that find no room now, but will, because less important tasks give way.
    relieved: frozenset[str] = frozenset()

    def needed(self) -> dict[str, list[ServiceSpec]]:
        """By node the specs of which it would get tasks, each once."""
        found: dict[str, list[ServiceSpec]] = {}
        for lot in self.lots:
            for row in distinct(lot.nodes[lot.nodes != NOWHERE]):
                found.setdefault(self.fleet.ids[row], []).append(lot.spec)
        return found

    def problems(self) -> tuple[Problem, ...]:
        """One problem for each service with tasks that fit nowhere: its first such task and its reasons."""
        left = (lot for lot in self.lots if lot.name not in self.relieved)
        return tuple(_unplaceable(lot) for lot in left if lot.unplaced)

    def warnings(self) -> tuple[str, ...]:
        """What is no reason to refuse, but may be none that the user wants."""
        return tuple(
            f"{lot.unplaced} finds room once tasks of lower priority were stopped for it"
            for lot in self.lots
            if lot.unplaced and lot.name in self.relieved
        )


def place(
    turn: Turn, ground: Ground, changes: Sequence[deploy.Change], told_max: int = 0
) -> Generator[None, None, Trial]:
    """All new tasks of the changes; the first `told_max` of each service with the reasons for their place.
    Of many it pauses after some: they go on the nodes as they were when it began."""
    fleet, asked = _ready(turn, ground, changes, paper.NO_ROWS)
    if sum(map(_units, asked)) <= UNITS_TRIED_AT_ONCE:
        trial = Trial(tuple(_joined(put(asked, fleet, told_max))), fleet)
        if not any(lot.unplaced for lot in trial.lots) or not (leaving := paper.leaving(turn.state)).size:
            return trial
        # What is on its way out already will have made room: the new tasks wait for it, as pending ones.
        fleet, asked = _ready(turn, ground, changes, leaving)
        return Trial(tuple(_joined(put(asked, fleet, told_max))), fleet)
    leaving = paper.leaving(turn.state)
    if leaving.size:
        fleet, asked = _ready(turn, ground, changes, leaving)
    # As settling will do it: service by service.
    found, units = dict[int, Lot](), 0
    for at in schedule.order([each.group for each in asked]):
        (found[at],) = put([asked[at]], fleet, told_max)
        units += _units(asked[at])
        if units > UNITS_TRIED_AT_ONCE:
            units = 0
            yield
    return Trial(tuple(_joined([found[at] for at in range(len(asked))])), fleet)


def _ready(
    turn: Turn, ground: Ground, changes: Sequence[deploy.Change], leaving: Ints
) -> tuple[Fleet, list[Asked]]:
    """The fleet without what the changes replace and what else is leaving (rows of tasks), and what is asked
    of it."""
    table = turn.state.tasks.table
    replaced = [each.service.id for each in changes if each.service and each.action not in _KEEPING]
    gone = [leaving, *(table.of_service(service_id) for service_id in replaced)]
    gone += [_surplus(turn, each) for each in changes]
    fleet = paper.fleet(ground, turn.state, without=once(np.concatenate(gone)))
    set_aside(turn, ground, fleet, changes)
    asked = _asked(turn, fleet, changes)
    return fleet, [part for each in asked for part in at_home(turn.state, each)]


def _units(asked: Asked) -> int:
    """What it costs to place it."""
    return UNITS_PER_GROUP + asked.slots.size


def put(asked: Sequence[Asked], fleet: Fleet, told_max: int = 0) -> list[Lot]:
    """Places what is asked on the fleet."""
    placed = schedule.place_groups([each.group for each in asked], fleet, told_max)
    return [_lot(each, found, fleet) for each, found in zip(asked, placed, strict=True)]


def at_home(state: State, asked: Asked) -> Iterator[Asked]:
    """The same in parts: each slot whose volumes have data somewhere by itself, then all others."""
    spec, homed = asked.spec, list[int]()
    for slot in asked.slots.tolist() if state.homes and homes.has_volumes(spec) else ():
        there = belongings.homes_of(state, asked.name, spec, slot)
        if there:
            homed.append(slot)
            stays = spec.homes is HomePolicy.STAY
            group = msgspec.structs.replace(asked.group, count=1, homes=there, stays=stays)
            yield asked._replace(group=group, slots=np.array([slot]))
    left = asked.slots[~np.isin(asked.slots, homed)] if homed else asked.slots
    if left.size:
        yield asked._replace(group=msgspec.structs.replace(asked.group, count=left.size), slots=left)


def _joined(lots: Sequence[Lot]) -> Iterator[Lot]:
    """The parts of each service, which follow each other, as one lot; the first refusal is that of its first
    task without a place."""
    for _, parts in itertools.groupby(lots, key=lambda lot: lot.name):
        first, *others = parts
        for each in others:
            first = first._replace(
                slots=np.concatenate((first.slots, each.slots)),
                nodes=np.concatenate((first.nodes, each.nodes)),
                refusal=first.refusal or each.refusal,
                reasons=first.reasons + each.reasons,
            )
        yield first


def _lot(asked: Asked, placed: schedule.Placed, fleet: Fleet) -> Lot:
    nodes, reasons = np.full(asked.slots.size, NOWHERE, np.int64), placed.reasons
    if reasons and fleet.ids[placed.rows[0]] in asked.group.homes:
        reasons = (HOME,)
    if asked.group.pinned is None:
        nodes[: placed.rows.size] = placed.rows
    else:
        given = np.isin(asked.group.pinned, placed.rows)
        nodes[given] = asked.group.pinned[given]
    return Lot(asked.name, asked.spec, asked.slots, nodes, placed.refusal, reasons)


def _surplus(turn: Turn, change: deploy.Change) -> Ints:
    """The rows of the tasks that a service has beyond the slots which a change leaves it."""
    if change.service is None or change.spec is None or change.action is not ServiceAction.SCALE:
        return np.empty(0, np.int64)
    table = turn.state.tasks.table
    rows = table.of_service(change.service.id)
    wanted = list(placing.slots(turn.state, change.spec))
    return rows[~np.isin(table.slot[rows], wanted)]


def _asked(turn: Turn, fleet: Fleet, changes: Sequence[deploy.Change]) -> list[Asked]:
    found, in_waves, proposed = [], waves(changes), affinities.proposed(changes)
    for change in changes:
        if change.spec is None or change.action is ServiceAction.SAME:
            continue
        slots = _slots(turn, change.spec)
        if change.service is not None and change.action is ServiceAction.SCALE:
            staying = set(owing.staying_slots(turn.state, change.service).tolist())
            slots = {slot: node_id for slot, node_id in _bound(slots) if slot not in staying}
        wave, key = in_waves.get(change.spec.name, 1), change.service.id if change.service else change.name
        if slots:
            found.append(asked_of(turn, fleet, key, change.name, change.spec, slots, wave, proposed))
    return found


def _slots(turn: Turn, spec: ServiceSpec) -> Slots:
    """The slots that a service of this spec would fill."""
    return placing.slots(turn.state, spec) if spec.mode in GLOBAL_MODES else range(1, spec.replicas + 1)


def _bound(slots: Slots) -> Iterable[tuple[int, str]]:
    """Each slot with the node that it is bound to."""
    return slots.items() if isinstance(slots, Mapping) else ((slot, "") for slot in slots)


def asked_of(
    turn: Turn,
    fleet: Fleet,
    key: str,
    name: str,
    spec: ServiceSpec,
    slots: Slots,
    wave: int = 0,
    proposed: affinities.Proposed = affinities.NOTHING,
) -> Asked:
    """One task for each of the slots, some; `key` is the service's id (its name, if it is new), `name` its
    full name."""
    reserved = reserve(spec, turn.settings.default_reservation).resources
    pinned = None
    if isinstance(slots, Mapping) and any(slots.values()):
        slots = {slot: node_id for slot, node_id in slots.items() if node_id in fleet.rows}
        pinned = np.array([fleet.rows[node_id] for node_id in slots.values()], np.int64)
    named = affinities.Named(key, name.removesuffix(f"_{spec.name}"), spec)
    near = affinities.of(turn.state, named, proposed)
    group = schedule.Group(
        key, demand(spec, reserved, near), len(slots), wave, pinned, name=spec.name, replicas=spec.replicas
    )
    return Asked(group, np.fromiter(slots, np.int64, len(slots)), name, spec)


def set_aside(turn: Turn, ground: Ground, fleet: Fleet, changes: Sequence[deploy.Change] = ()) -> None:
    """Takes off a fleet the room for what services have coming and no change replaces, before all that is
    new: nobody is promised it. Tasks that see nothing of each other but the room that is left are one group,
    whosoever they are."""
    changed = {change.service.id: change for change in changes if change.service}
    proposed, groups, alike = affinities.proposed(changes), list[schedule.Group](), Counter[Demand]()
    for service, known in ground.owing.coming():
        change, spec, slots = changed.get(service.id), turn.state.spec_of(service), known
        if change is not None and change.action not in _KEEPING:
            continue
        if change is not None and change.spec is not None:
            spec, grows = change.spec, change.action is ServiceAction.SCALE
            slots = owing.coming(turn.state, service, spec, grows=grows)
        asked = ground.demand(service.id, service.version)
        anywhere = joint.indifferent(asked) and not homes.has_volumes(spec) and not proposed.wishing
        if slots and spec.mode not in GLOBAL_MODES and anywhere:
            alike[asked] += len(slots)
        elif slots:
            owed = asked_of(turn, fleet, service.id, service.name, spec, slots, 0, proposed)
            groups += [part.group for part in at_home(turn.state, owed)]
    groups += [schedule.Group("", asked, count) for asked, count in alike.items()]
    schedule.place_groups(groups, fleet)


def warnings(turn: Turn, ground: Ground, changes: Sequence[deploy.Change]) -> tuple[str, ...]:
    """New tasks that the user wants beside the old ones, where there is no room for both now. No reason to
    refuse: room may come until the rollout's deadline."""
    updates = [(each, each.service, each.spec) for each in changes if each.action is ServiceAction.UPDATE]
    beside = [
        (service, spec, slots)
        for _, service, spec in updates
        if service is not None and spec is not None and (slots := _beside(turn, service, spec))
    ]
    if not beside or ample.is_ample(turn, ground, changes):
        return ()
    fleet = paper.fleet(ground, turn.state, without=paper.leaving(turn.state))
    set_aside(turn, ground, fleet, changes)
    found = []
    for service, spec, slots in beside:
        there = fleet.copy()
        (lot,) = put([asked_of(turn, there, service.id, service.name, spec, slots, wave=1)], there)
        if lot.unplaced and lot.refusal is not None:
            reasons = "; ".join(lot.refusal.lines)
            found.append(f"there is no room for a new {lot.unplaced} beside the old one now: {reasons}")
    return tuple(found)


def _beside(turn: Turn, service: Service, spec: ServiceSpec) -> dict[int, str]:
    """The first slots of a service whose new tasks must find room beside those that serve, with the nodes
    that they are bound to."""
    surge = succession.surge(spec)
    if not surge:
        return {}
    elders = set(owing.held_slots(turn.state, service).tolist())
    slots = placing.slots(turn.state, spec)
    return dict([(slot, slots[slot]) for slot in sorted(slots) if slot in elders][:surge])


def waves(changes: Sequence[deploy.Change]) -> dict[str, int]:
    """The order of the services that get new tasks, by short name: what stays as it is holds nothing up."""
    moving = [each.spec for each in changes if each.spec and each.action not in _KEEPING]
    return order.waves(moving)


def _unplaceable(lot: Lot) -> Problem:
    refusal, places = lot.refusal, lot.spec.places
    assert refusal is not None, "a task fits nowhere, and no node has said why"
    key = _KEY_OF.get(refusal.worst, "service") if refusal.worst else "service"
    return Problem(
        kind=ProblemKind.UNPLACEABLE,
        summary=f"{lot.unplaced} cannot be placed",
        details=refusal.lines,
        hint=f"nothing was changed; {refusal.way_out}",
        why="bayplan node ls",
        place=places.get(key, places.get("service", "")),
    )
