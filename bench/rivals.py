"""How others would place the same tasks: what their placement does, in few lines, on the same columns.

*Spread* as Swarm's: the node with the fewest tasks of the service, then with the fewest tasks; amounts only
exclude (https://github.com/moby/swarmkit, manager/scheduler). *Nomad*'s best fit: nodes in a shuffled order,
the first log2(n) that fit are scored, at least two, by 20 - (10^free CPU + 10^free memory) in shares,
with its penalty for nodes that have tasks of the same job (https://github.com/hashicorp/nomad, scheduler and
nomad/structs/funcs.go). *First fit*, the largest first: the textbook's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
#: Places one service on the free columns (nodes x dimensions), which it writes to; how many tasks it placed.
Placer = Callable[[Ints, Ints, Ints, int], int]


class Spread:
    """Swarm's."""

    def __init__(self, nodes: int) -> None:
        self._tasks = np.zeros(nodes, np.int64)

    def place(self, free: Ints, capacity: Ints, size: Ints, count: int) -> int:
        own = np.zeros(len(free), np.int64)
        for placed in range(count):
            fits = np.flatnonzero((free >= size).all(axis=1))
            if not fits.size:
                return placed
            row = fits[np.lexsort((self._tasks[fits], own[fits]))[0]]
            free[row] -= size
            own[row] += 1
            self._tasks[row] += 1
        return count


class Nomad:
    """Nomad's best fit, with dice of its own."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def place(self, free: Ints, capacity: Ints, size: Ints, count: int) -> int:
        order = self._rng.permutation(len(free))
        limit, at, own = max(2, math.ceil(math.log2(len(free)))), 0, np.zeros(len(free), np.int64)
        for placed in range(count):
            turned = np.concatenate([order[at:], order[:at]])
            fits = np.flatnonzero((free[turned] >= size).all(axis=1))[:limit]
            if not fits.size:
                return placed
            at = (at + int(fits[-1]) + 1) % len(free)
            rows = turned[fits]
            left = (free[rows, :2] - size[:2]) / capacity[rows, :2]
            fitness = np.clip(20 - (10.0**left).sum(axis=1), 0, 18) / 18
            collides = own[rows] > 0
            score = np.where(collides, (fitness - (own[rows] + 1) / count) / 2, fitness)
            row = rows[int(np.argmax(score))]
            free[row] -= size
            own[row] += 1
        return count


class FirstFit:
    """The first node that fits; with services sorted by size first fit decreasing."""

    def place(self, free: Ints, capacity: Ints, size: Ints, count: int) -> int:
        times = (free // np.maximum(size, 1)).min(axis=1)
        numbers = np.clip(count - (np.cumsum(times) - times), 0, times)
        free -= numbers[:, None] * size
        return int(numbers.sum())
