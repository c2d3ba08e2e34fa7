"""Which nodes suit which tasks, in a fleet whose nodes have different proportions of what is free.

A task that needs much memory to a CPU leaves CPU over on a node that is made so, and one that needs little
takes from it what others could use. Seen as a whole, each good of each kind of node has a price at which all
is just used up; tasks belong where they are cheapest. Plain columns in and out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Into so many steps the proportions of what is free are rounded: nodes of equal ones are of one kind.
PROPORTION_STEPS = 8
#: With more kinds than this all nodes are taken as equally suited.
KINDS_MAX = 64
#: In so many steps the prices are found, in each of which the good that is asked for most grows dearer by so
#: much.
PRICE_STEPS, PRICE_RISE = 200, 0.1
#: Nodes that are dearer than the cheapest ones by no more than this suit as well.
DEARER_MAX = 0.02


class Suits(NamedTuple):
    """`kind_of`: the kind of each node. `ranks` (shapes x kinds): the smaller, the better it suits; 1 is best
    (and more is how many times as dear it is)."""

    kind_of: Ints
    ranks: Floats


def suits(free: Sequence[Floats], scale: Floats, sizes: Floats, counts: Floats) -> Suits | None:
    """How well each kind of nodes suits each of some shapes; None where the nodes are of one kind.

    `free`: for each dimension a column over the nodes. `scale`: the mean node. `sizes` (shapes x dimensions):
    what each takes; `counts`: how many there are.
    """
    kind_of = _kinds(free, scale)
    kinds = int(kind_of.max(initial=0)) + 1
    if not 1 < kinds <= KINDS_MAX:
        return None
    has = np.stack([np.maximum(np.bincount(kind_of, weights=column), 1.0) for column in free], axis=1)
    cost = _cost(sizes, _prices(has, sizes, counts))
    ranks = cost / np.maximum(cost.min(axis=1, keepdims=True), 1e-12)
    return Suits(kind_of, np.where(ranks <= 1 + DEARER_MAX, 1.0, ranks))


def _kinds(free: Sequence[Floats], scale: Floats) -> Ints:
    """A number for each node, equal where the proportions are."""
    shares = np.stack([column / mean for column, mean in zip(free, scale, strict=True)], axis=1)
    most = np.maximum(shares.max(axis=1, keepdims=True), 1e-12)
    steps = np.rint(shares / most * PROPORTION_STEPS).astype(np.int64)
    number = np.zeros(len(steps), np.int64)
    for column in steps.T:
        number = np.unique(number * (PROPORTION_STEPS + 1) + column, return_inverse=True)[1].ravel()
    return number


def _prices(has: Floats, sizes: Floats, counts: Floats) -> Floats:
    """For each kind and good a price at which it is about as much in demand as all others: by multiplicative
    weights (S. Arora, E. Hazan and S. Kale, 2012, on fractional packing), as the mean of the later steps."""
    need = sizes * counts[:, None]
    weight, mean = np.ones(has.shape), np.zeros(has.shape)
    for step in range(PRICE_STEPS):
        cheapest = _cost(sizes, weight / has).argmin(axis=1)
        asked = np.stack([np.bincount(cheapest, weights=each, minlength=len(has)) for each in need.T], axis=1)
        load = asked / has
        weight = weight * (1 + PRICE_RISE * load / max(load.max(), 1e-12))
        weight /= weight.max()
        mean += weight if step >= PRICE_STEPS // 2 else 0.0
    return np.asarray(mean / has)


def _cost(sizes: Floats, prices: Floats) -> Floats:
    """What each shape costs on each kind (shapes x kinds); summed up in the same order on every machine."""
    cost = np.zeros((len(sizes), len(prices)))
    for dimension in range(sizes.shape[1]):
        cost += sizes[:, dimension, None] * prices[:, dimension]
    return cost
