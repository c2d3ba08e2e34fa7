"""Which nodes a batch opens: those in use first, the fullest of them first, then empty ones of the kinds
that give most of what is short for their size.

Knows only sums: whether the tasks really fit is for `packing` to find out. Plain columns in, rows out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]

#: Steps in which empty nodes are chosen: after each, what is still short is weighed anew.
STEPS = 64
#: A shortage of less than this share of all empty nodes is none.
ROUNDING = 1e-9


def fullness(free: Sequence[Floats], capacity: Sequence[Floats]) -> Floats:
    """The share of each node that is in use, of its scarcer good."""
    shares = [1 - left / np.maximum(whole, 1) for left, whole in zip(free, capacity, strict=True)]
    return np.asarray(np.max(shares, axis=0), np.float64)


def opened(rows: Rows, free: Sequence[Floats], capacity: Sequence[Floats], need: Floats) -> Rows:
    """Of these rows, the ones in front preferred, those that together have free what is needed; all of them
    where that is less, and one at least.

    `need`: the sum of what shall fit, by dimension.
    """
    if not rows.size:
        return rows
    here = [column[rows] for column in free]
    whole = [column[rows] for column in capacity]
    full = fullness(here, whole)
    in_use = np.flatnonzero(full > 0)
    in_use = in_use[np.argsort(-full[in_use], kind="stable")]
    enough = _enough([column[in_use] for column in here], need)
    empty = np.flatnonzero(full <= 0)
    if enough <= in_use.size or not empty.size:
        return rows[in_use[:enough]]
    short = need - np.array([column[in_use].sum() for column in here])
    chosen = empty[_cheapest([column[empty] for column in whole], short)]
    return np.asarray(rows[np.concatenate([in_use, chosen])], np.intp)


def _enough(free: Sequence[Floats], need: Floats) -> int:
    """How many of the first nodes have what is needed; one more than there are when they have not."""
    return 1 + max(
        int(np.searchsorted(np.cumsum(column), wanted)) for column, wanted in zip(free, need, strict=True)
    )


def _cheapest(capacity: Sequence[Floats], need: Floats) -> Rows:
    """Empty nodes that cover a need and are small together: a step of the kind that is worth most by what is
    short then, and again. With one kind that is the least number of nodes."""
    total = np.array([max(1.0, column.sum()) for column in capacity])
    alike = sum(
        column / whole * (index + 1)
        for index, (column, whole) in enumerate(zip(capacity, total, strict=True))
    )
    _, firsts, kind_of = np.unique(alike, return_index=True, return_inverse=True)
    sizes = np.stack([column[firsts] for column in capacity], axis=1)
    members = [np.flatnonzero(kind_of == kind) for kind in range(firsts.size)]
    shares = sizes / total
    price = shares.sum(axis=1)
    left, taken = np.array([each.size for each in members]), np.zeros(firsts.size, np.int64)
    short = need / total
    stride = np.maximum(short, 0) / STEPS
    while left.any() and ((short > ROUNDING).any() or not taken.any()):
        worth = np.where(left > 0, (shares * np.maximum(short, 0)).sum(axis=1) / price, -1)
        kind = int(np.argmax(worth))
        gives = shares[kind] > 0
        wanted = np.where(short > 0, np.minimum(short, stride), 0)[gives] / shares[kind][gives]
        step = int(min(left[kind], max(1, np.floor(wanted.max(initial=0)))))
        taken[kind] += step
        left[kind] -= step
        short -= step * shares[kind]
    chosen = [rows[:count] for rows, count in zip(members, taken, strict=True)]
    return np.asarray(np.sort(np.concatenate(chosen)), np.intp)
