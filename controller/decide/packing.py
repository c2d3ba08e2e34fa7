"""Plans a whole batch at once onto as few nodes as it needs: which nodes, then what stands on them.

First it opens nodes that together have room for all (`opening`). Then it deals the tasks out over the open
nodes, the largest class first, each task to the node with most room in the directions in which it is large:
all nodes fill alike, large next to small, and what comes last is small and goes anywhere. So a class stands
on about as many nodes as it has tasks. What finds no room opens more nodes (`dealing`). Where that is not
good, it is dealt with a look ahead, too: tasks keep off nodes that others have more use for (`matching`).
Plain columns in, rows out; knows no tasks, no specs and no state. The same input gives the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.decide.dealing import Dealer, Fleet, Rule, Shape
from controller.decide.opening import fullness, opened

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Without a limit per node.
UNLIMITED = 2**40
#: What attempts at a batch may cost, in nodes that are looked at (some 30 ns each), after the first: so much,
#: and so much more for each task.
WORK_MIN, WORK_PER_TASK = 3_000_000, 5
#: A plan that costs no more than this above the bound is not tried to be bettered.
WASTE_GOOD = 0.0025
#: Where not all tasks found room, this many times as much work is put into a better plan.
WORK_TIMES_WITHOUT_ROOM = 6
#: Attempts, until a plan is good: by how much more than the bound is opened at first, how it is dealt, and
#: whether with a look at what is still to come. All nodes at once is tried only where not all found room.
EVERYTHING = float("inf")
ATTEMPTS = (
    (0.0, Rule.DOT, False),
    (0.0, Rule.DOT, True),
    (EVERYTHING, Rule.DOT, True),
    (EVERYTHING, Rule.COSINE, True),
    (EVERYTHING, Rule.DOT, False),
    (0.0, Rule.COSINE, False),
    (EVERYTHING, Rule.COSINE, False),
    *((slack, rule, False) for slack in (0.005, 0.01, 0.02) for rule in (Rule.DOT, Rule.COSINE)),
    (0.0, Rule.FULLEST, False),
)
#: How often an attempt opens more nodes, twice as much each time.
GROWTHS_MAX = 40


_NONE: Rows = np.zeros(0, np.intp)


class Want(NamedTuple):
    """A class of equal tasks: what each takes (by dimension), how many there are, which nodes may take them
    (None: all), at most how many of them one node may have, and how many each has already (None: none)."""

    size: tuple[int, ...]
    tasks: int
    fits: Bools | None = None
    per_node: int = UNLIMITED
    held: Ints | None = None


def pack(
    free: Sequence[Ints],
    capacity: Sequence[Ints],
    wants: Sequence[Want],
    zones: Ints | None = None,
) -> list[Rows]:
    """For each want the nodes of its tasks, one row for each task that found one.

    `free` and `capacity`: for each dimension a column over the nodes; a node is in use where they differ.
    `zones`: a number for each node; the tasks of a want are dealt out over them as evenly as room allows.
    """
    if not wants or not capacity[0].size:
        return [_NONE] * len(wants)
    shapes = _shapes(wants)
    dealt = _best(Fleet.of(free, capacity, zones), shapes).dealt
    rows = _told_apart(wants, shapes, dealt)
    within = [_within(want, mine) for want, mine in zip(wants, rows, strict=True)]
    if all(keep.all() for keep in within):
        return rows
    return _second_pass(free, capacity, wants, [mine[keep] for mine, keep in zip(rows, within, strict=True)])


def _second_pass(
    free: Sequence[Ints], capacity: Sequence[Ints], wants: Sequence[Want], rows: list[Rows]
) -> list[Rows]:
    """Place what is left of the wants, each for itself, beside all that has its place."""
    nodes = capacity[0].size
    there = [np.bincount(mine, minlength=nodes) for mine in rows]
    left = [
        column - sum(want.size[dimension] * held for want, held in zip(wants, there, strict=True))
        for dimension, column in enumerate(free)
    ]
    waiting = [index for index, want in enumerate(wants) if rows[index].size < want.tasks]
    again = [_rest(wants[index], there[index]) for index in waiting]
    for index, more in zip(waiting, pack(left, capacity, again), strict=True):
        rows[index] = np.concatenate([rows[index], more])
    return rows


def _rest(want: Want, there: Ints) -> Want:
    """What is left of a want when so many of it have their place on each node."""
    held = there if want.held is None else there + want.held
    return want._replace(tasks=want.tasks - int(there.sum()), held=held)


def _shapes(wants: Sequence[Want]) -> list[Shape]:
    """Wants of one size for the same nodes are one to the planner. Where several have a limit per node each,
    it is seen to when they are told apart."""
    seen: dict[int, int] = {id(None): 0}
    masks: dict[bytes, int] = {}
    grouped: dict[tuple[tuple[int, ...], int, int], list[int]] = {}
    for index, want in enumerate(wants):
        if want.fits is not None and id(want.fits) not in seen:
            everywhere = bool(want.fits.all())
            number = 0 if everywhere else masks.setdefault(want.fits.tobytes(), len(masks) + 1)
            seen[id(want.fits)] = number
        mask = seen[id(want.fits)]
        grouped.setdefault((want.size, mask, -1 if want.held is None else index), []).append(index)
    return [_shape([wants[index] for index in indices], indices, key[1]) for key, indices in grouped.items()]


def _shape(alike: list[Want], indices: list[int], mask: int) -> Shape:
    first = alike[0]
    return Shape(
        wants=indices,
        size=np.array(first.size, np.float64),
        tasks=sum(each.tasks for each in alike),
        mask=mask,
        fits=first.fits if mask else None,
        per_node=first.per_node if len(alike) == 1 else sum(each.per_node for each in alike),
        held=first.held,
    )


class _Plan(NamedTuple):
    """By shape the rows of its tasks, in the order in which they were dealt out; what found no room and might
    in a better plan, as a share of the mean node, what the nodes cost that it opened, and how many it looked
    at for that."""

    dealt: list[Rows]
    unplaced: float
    price: float
    work: int


def _best(fleet: Fleet, shapes: list[Shape]) -> _Plan:
    """The best of some plans: of as many as the batch's size allows, and no more than are of use."""
    work_max = WORK_MIN + WORK_PER_TASK * sum(shape.tasks for shape in shapes)
    bound, work, best = 0.0, 0, None
    for slack, rule, ahead in ATTEMPTS:
        if best is not None and slack == EVERYTHING and not best.unplaced:
            continue
        plan, opened_first = _planned(fleet, shapes, rule, slack, ahead=ahead)
        work += plan.work
        if best is None:
            best, bound = plan, opened_first
        best = min(best, plan, key=lambda each: (each.unplaced, each.price))
        good = not best.unplaced and best.price <= bound * (1 + WASTE_GOOD)
        if good or work + plan.work > work_max * (WORK_TIMES_WITHOUT_ROOM if best.unplaced else 1):
            break
    assert best is not None
    return best


def _planned(
    fleet: Fleet, shapes: list[Shape], rule: Rule, slack: float, *, ahead: bool
) -> tuple[_Plan, float]:
    """A plan, and what the nodes cost that were opened before anything was dealt."""
    dealer, order = Dealer(fleet, shapes, rule, ahead=ahead), _order(fleet, shapes)
    _open(fleet, shapes, dealer, 1 + slack)
    bound = _price(fleet, dealer.rows)
    dealer.deal(order)
    for growth in range(GROWTHS_MAX):
        if not any(dealer.left) or not _open(fleet, shapes, dealer, 2.0**growth):
            break
        dealer.deal([index for index in order if dealer.left[index]])
    dealt = [np.concatenate(each) if each else _NONE for each in dealer.rounds]
    used = np.unique(np.concatenate([_NONE, *dealt]))
    unplaced = float((_need(shapes, dealer.wanting()) / fleet.scale).sum())
    return _Plan(dealt, unplaced, _price(fleet, used), dealer.work), bound


def _price(fleet: Fleet, rows: Rows) -> float:
    """What it costs to open these nodes; those in use are open."""
    empty = fullness([each[rows] for each in fleet.free], [each[rows] for each in fleet.capacity]) <= 0
    return float(fleet.price[rows][empty].sum())


def _order(fleet: Fleet, shapes: list[Shape]) -> list[int]:
    """Those first that fit the fewest nodes, then the largest, by the good that is scarcer to them."""
    need = _need(shapes, [shape.tasks for shape in shapes]) / np.array([max(1, c.sum()) for c in fleet.free])
    weights = need / max(need.max(initial=0), 1e-9) / fleet.scale
    choice = [fleet.nodes if shape.fits is None else int(shape.fits.sum()) for shape in shapes]
    sizes = [float((shape.size * weights).sum()) for shape in shapes]
    return sorted(range(len(shapes)), key=lambda index: (choice[index], -sizes[index], index))


def _open(fleet: Fleet, shapes: list[Shape], dealer: Dealer, times: float) -> bool:
    """Open nodes for what is left, those first that fit the fewest nodes; False when there are no more."""
    closed = np.ones(fleet.nodes, bool)
    closed[dealer.rows] = False
    waiting: dict[int, list[int]] = {}
    for index, shape in enumerate(shapes):
        if dealer.left[index]:
            waiting.setdefault(shape.mask, []).append(index)
    found = False
    for indices in sorted(waiting.values(), key=lambda each: _choice(fleet, shapes[each[0]])):
        fits, left = shapes[indices[0]].fits, [dealer.left[index] for index in indices]
        able = closed if fits is None else closed & fits
        least = np.min([shapes[index].size for index in indices], axis=0)
        for column, amount in zip(fleet.free, least, strict=True):
            able = able & (column >= amount)
        need = _need([shapes[index] for index in indices], left)
        need[need > 0] *= times
        rows = opened(fleet.in_turn[able[fleet.in_turn]], fleet.free, fleet.capacity, need)
        closed[rows] = False
        dealer.open(rows)
        found = found or bool(rows.size)
    return found


def _choice(fleet: Fleet, shape: Shape) -> int:
    """How many nodes a shape fits."""
    return fleet.nodes if shape.fits is None else int(shape.fits.sum())


def _need(shapes: Sequence[Shape], counts: Sequence[int]) -> Floats:
    """What so many of each shape take together, by dimension."""
    sizes = np.array([shape.size for shape in shapes], np.float64)
    return np.asarray((sizes * np.array(counts, np.float64)[:, None]).sum(axis=0), np.float64)


def _told_apart(wants: Sequence[Want], shapes: Sequence[Shape], dealt: Sequence[Rows]) -> list[Rows]:
    """The rows of each want. Those of a shape are handed to its wants in turn: neighbours are of one round,
    thus on different nodes."""
    rows = [_NONE] * len(wants)
    for shape, slots in zip(shapes, dealt, strict=True):
        ends = np.cumsum([wants[index].tasks for index in shape.wants])
        for index, mine in zip(shape.wants, np.split(slots, ends[:-1]), strict=True):
            rows[index] = mine
    return rows


def _within(want: Want, rows: Rows) -> Bools:
    """Which of a want's tasks keep to its limit per node."""
    if rows.size <= want.per_node or want.held is not None:
        return np.ones(rows.size, bool)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    nth = np.arange(rows.size) - np.searchsorted(ordered, ordered)
    within = np.empty(rows.size, bool)
    within[order] = nth < want.per_node
    return within
