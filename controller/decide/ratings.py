"""What each node says to one more task of a service, the best first: its rank, the parts of it, and words.

For people who ask: all nodes are counted, but only those that are shown become rows. The ranking is the
scheduler's own (`filling`); the first node is the one that would get the task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide import affinity
from controller.decide.filling import Wish, fitted, ranked
from controller.decide.filters import Cause
from controller.decide.fit import FREE_WEIGHT, OPENING
from controller.decide.fleet import CAUSES, ZONE, Codes, Fleet
from controller.decide.reasons import Reasons, against
from controller.decide.verdicts import SHORT, Verdicts, judge, shortage

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

#: How parts are called that are about more than an attribute of nodes.
DOUBTS, UNMET, BEYOND, OWN = "doubts", "affinities unmet", "beyond its part", "tasks of the service"
#: How parts are called that make up how badly a task suits a node (`fit.Parts`), and that itself.
MISFIT, UNEVEN, FREE, EMPTY = "misfit", "uneven", "free", "empty"
#: Of these, what puts a node behind another, and how much it counts.
WORSE = {UNEVEN: ("less even", 1.0), FREE: ("less full", FREE_WEIGHT), EMPTY: ("not in use yet", OPENING)}
#: Misfits that differ by no more are equal.
SAME_MISFIT = 1e-6
#: How the dimensions are called in which fullness counts; each part is the share reserved with the task.
FULLNESS = {"cpu_millis": "CPU", "memory_bytes": "memory", "disk_bytes": "disk", "pids": "pids"}
#: The share of the rows that nodes which fit may take from those that do not, where there are more of both.
FITTING_SHARE = 0.5


class Rated(NamedTuple):
    """What one node says: the cause against it, or its rank (from 1) with its parts in the order in which
    they count. `tasks` are those of the service that it has."""

    row: int
    cause: Cause | None
    reason: str
    tasks: int
    rank: int = 0
    parts: tuple[tuple[str, float], ...] = ()


class Ratings(NamedTuple):
    """The answers of all nodes, counted, and the most telling ones: the best, then those that are nearest."""

    verdicts: Verdicts
    rows: list[Rated]


def rate(fleet: Fleet, wish: Wish, most: int, pinned: str = "") -> Ratings:
    """At most so many rows; `pinned` is the id of the only node where the task may run."""
    causes = fleet.causes(wish.demand, wish.service_id)
    if pinned:
        here = fleet.rows.get(pinned, -1)
        causes[(causes >= 0) & (np.arange(fleet.size) != here)] = CAUSES.index(Cause.ELSEWHERE)
    best = ranked(fleet, wish, np.flatnonzero(causes == 0))
    rest = _nearest_first(fleet, wish, causes)
    fitting = max(int(most * FITTING_SHARE), most - rest.size)
    rows = [*_fitting(fleet, wish, best[:fitting], pinned), *_refusing(fleet, wish, causes, rest)]
    return Ratings(judge(fleet, wish.demand, wish.service_id, pinned), rows[:most])


def _nearest_first(fleet: Fleet, wish: Wish, causes: Codes) -> Ints:
    """The rows that say no: those that are only short of something, of least first; then by other causes."""
    rest = np.flatnonzero(causes > 0)
    lacks = shortage(fleet, wish.demand, rest)
    names = np.array([fleet.nodes[row].name for row in rest.tolist()])
    others = ~np.isin(causes[rest], [code for code, cause in enumerate(CAUSES) if cause in SHORT])
    key = np.where(others, causes[rest], lacks)
    return rest[np.lexsort([names, key, others])] if rest.size else rest


def _refusing(fleet: Fleet, wish: Wish, causes: Codes, rows: Ints) -> Iterator[Rated]:
    counts = fleet.tasks_of(wish.service_id)
    for row in rows.tolist():
        cause = CAUSES[causes[row]]
        assert cause is not None, "a node that fits is among those that do not"
        yield Rated(row, cause, against(fleet, wish.demand, row, cause), counts.item(row))


def _fitting(fleet: Fleet, wish: Wish, rows: Ints, pinned: str) -> Iterator[Rated]:
    if not rows.size:
        return
    columns = dict(_parts(fleet, wish, rows))
    counts = fleet.tasks_of(wish.service_id)
    reasons = Reasons(fleet, wish, pinned=bool(pinned))
    why = ", ".join(reasons.next(int(rows[0])))
    for at, row in enumerate(rows.tolist()):
        parts = tuple((name, round(float(column[at]), 4)) for name, column in columns.items())
        behind = reasons.doubts(row) or (_behind(columns, at, wish),)
        reason = behind[0] if at else why
        yield Rated(row, None, reason, counts.item(row), at + 1, parts)


def _parts(fleet: Fleet, wish: Wish, rows: Ints) -> Iterator[tuple[str, Column]]:
    """For each part its values in these rows, in the order in which they count; fewer is better, and of
    fullness more."""
    demand, counts = wish.demand, fleet.tasks_of(wish.service_id)
    failed = [fleet.rows[each] for each in wish.avoided if each in fleet.rows]
    yield DOUBTS, fleet.shaky[rows] + np.isin(rows, failed).astype(np.float64)
    if demand.affinities:
        yield UNMET, affinity.unmet(fleet, demand.affinities, wish.service_id)[rows].astype(np.float64)
    packs = demand.packs and not wish.level
    keys = demand.preferences or ((ZONE,) if packs and fleet.zoned else ())
    branches = [
        (key, np.bincount(codes, weights=counts)[codes[rows]])
        for key, codes in zip(keys, fleet.branches(keys), strict=True)
    ]
    beyond = (BEYOND, np.maximum(counts[rows] + 1.0 - wish.bound, 0))
    yield from branches if demand.preferences else ()
    yield beyond if packs else (OWN, counts[rows].astype(np.float64))
    yield from () if demand.preferences else branches
    if fitted(wish):
        suits = fleet.parts(demand, rows)
        yield from zip((MISFIT, UNEVEN, FREE, EMPTY), (suits.score, *suits), strict=True)
    for dimension in dict.fromkeys(("cpu_millis", "memory_bytes", *(name for name, _ in demand.amounts))):
        if dimension in fleet.free:
            whole = np.maximum(fleet.capacity[dimension][rows], 1)
            left = fleet.free[dimension][rows] - demand.amount(dimension)
            yield FULLNESS.get(dimension, dimension), 1 - left / whole


def _behind(columns: dict[str, Column], at: int, wish: Wish) -> str:
    """What puts a node behind the first one, by the first part in which it is worse."""
    for name, column in columns.items():
        if name == MISFIT or name in FULLNESS.values():
            break
        if column[at] > column[0]:
            return _worse(name, int(column[at]), int(column[0]))
    cpu, memory = (round(100 * max(0.0, float(columns[name][at]))) for name in ("CPU", "memory"))
    how = _less_fit(columns, at) if MISFIT in columns else _less_used(columns, at, wish)
    return f"{how}: CPU {cpu} %, memory {memory} % reserved"


def _less_used(columns: dict[str, Column], at: int, wish: Wish) -> str:
    if all(columns[name][at] == columns[name][0] for name in ("CPU", "memory")):
        return "as good"
    return "fuller" if wish.level else "less full"


def _less_fit(columns: dict[str, Column], at: int) -> str:
    """The part that tells most of how much less it suits the task."""
    if columns[MISFIT][at] - columns[MISFIT][0] <= SAME_MISFIT:
        return "as good"
    return max(
        (weight * float(columns[name][at] - columns[name][0]), words)
        for name, (words, weight) in WORSE.items()
    )[1]


def _worse(part: str, count: int, best: int) -> str:
    match part:
        case "affinities unmet":
            return f"meets fewer of the affinities ({count} unmet)"
        case "beyond its part":
            return "has its part of the service already"
        case "tasks of the service":
            return f"more tasks of the service ({count}, not {best})"
        case _:
            return f"more tasks of the service in its {part} ({count}, not {best})"
