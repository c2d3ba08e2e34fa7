"""Lower bounds of the fleet that any plan needs: the sums of the amounts, and a program over patterns.

A fleet is so many nodes, of which each kind has a given share. And how well a given fleet can be used, where
services come one after the other until one finds no room.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import block_diag, csr_array, eye_array, hstack

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Patterns that are added to the linear program until it is solved; it is a bound at any time.
COLUMNS_MAX = 400
#: By how little a pattern's worth may exceed the price of its node.
TOLERANCE = 1e-6


def continuous(sizes: Ints, counts: Ints, kinds: Ints) -> float:
    """The nodes that suffice if tasks could be cut at will, each part onto a kind of node. `kinds`: what each
    has, in equal shares."""
    services, dimensions = sizes.shape
    need = (sizes * counts[:, None]) / kinds.max(axis=0)
    per_kind = block_diag([need.T] * len(kinds))
    has = (kinds / kinds.max(axis=0) / len(kinds)).reshape(-1, 1)
    whole = hstack([eye_array(services)] * len(kinds) + [csr_array((services, 1))])
    cost = np.append(np.zeros(services * len(kinds)), 1.0)
    limits, ones = np.zeros(len(kinds) * dimensions), np.ones(services)
    found = linprog(cost, A_ub=hstack([per_kind, -has]), b_ub=limits, A_eq=whole, b_eq=ones)
    assert found.success, found.message
    return float(found.fun)


def configurations(sizes: Ints, counts: Ints, kinds: Ints) -> float:
    """The nodes that suffice if only patterns (what stands on one node) are used, each as often as one likes,
    also in part: the linear program of P. Gilmore and R. Gomory (1961), by columns.

    Where it is not solved within COLUMNS_MAX, the bound of A. Farley (1990) from the best prices is given.
    """
    shapes, inverse = np.unique(sizes, axis=0, return_inverse=True)
    demand = np.bincount(inverse.ravel(), weights=counts)
    columns = [
        (kind, _alone(row, shapes, kinds[kind])) for kind in range(len(kinds)) for row in range(len(shapes))
    ]
    bound = 0.0
    for _ in range(COLUMNS_MAX):
        worth, price = _prices(columns, demand, len(kinds))
        found = [_worthiest(shapes, demand, whole, worth) for whole in kinds]
        values = np.array([value for _, value in found])
        bound = max(bound, float(worth @ demand) / max(1e-12, values.mean()))
        new = [
            (kind, pattern) for kind, (pattern, value) in enumerate(found) if value > price[kind] + TOLERANCE
        ]
        if not new:
            break
        columns += new
    return bound


def arriving(sizes: Ints, counts: Ints, capacity: Ints) -> float:
    """The most, from 0 to 1, that can be in use of the scarcest good when the first task finds no room: if
    all that comes before could be cut at will, each part onto a kind of node that is large enough, and moved
    at will. `capacity`: nodes x dimensions; services come in their order."""
    kinds, nodes = np.unique(capacity, axis=0, return_counts=True)
    whole = kinds * nodes[:, None]
    low, high = 0, len(sizes)  # so many services have room; of so many the last one has not, in whole
    while high - low > 1:
        middle = (low + high) // 2
        if _part_of_last(sizes[:middle], counts[:middle], kinds, whole) >= 1 - TOLERANCE:
            low = middle
        else:
            high = middle
    part = _part_of_last(sizes[:high], counts[:high], kinds, whole)
    placed = np.append(counts[: high - 1], counts[high - 1] * part)
    return float((placed @ sizes[:high] / whole.sum(axis=0)).max())


def _part_of_last(sizes: Ints, counts: Ints, kinds: Ints, whole: Ints) -> float:
    """How much of the last service there is room for beside the others, 0 to 1; less than 0 where there is
    none for the others. `whole`: what all nodes of each kind have."""
    before, inverse = np.unique(sizes[:-1], axis=0, return_inverse=True)  # equal ones are one to the program
    alike = np.bincount(inverse.ravel(), weights=counts[:-1], minlength=len(before))
    sizes, counts = np.concatenate([before, sizes[-1:]]), np.append(alike, counts[-1])
    services = len(sizes)
    need = (sizes * counts[:, None]).T
    per_kind = block_diag([csr_array(need / whole[kind][:, None]) for kind in range(len(kinds))])
    fits = np.concatenate([(sizes <= kind).all(axis=1) for kind in kinds])
    each = hstack([eye_array(services)] * len(kinds) + [-_last_of(services)])
    cost = np.append(np.zeros(services * len(kinds)), -1.0)
    found = linprog(
        cost,
        A_ub=hstack([per_kind, csr_array((per_kind.shape[0], 1))]),
        b_ub=np.ones(per_kind.shape[0]),
        A_eq=each,
        b_eq=np.append(np.ones(services - 1), 0.0),
        bounds=[*((0, float(able)) for able in fits), (0, 1)],
    )
    return float(-found.fun) if found.success else -1.0


def _last_of(services: int) -> csr_array:
    """A column with a one in the last row."""
    return csr_array(([1.0], ([services - 1], [0])), shape=(services, 1))


def _alone(row: int, shapes: Ints, whole: Ints) -> Floats:
    """As many of one size as a node takes."""
    size, pattern = shapes[row], np.zeros(len(shapes))
    pattern[row] = (whole[size > 0] // size[size > 0]).min()
    return pattern


def _prices(columns: list[tuple[int, Floats]], demand: Floats, kinds: int) -> tuple[Floats, Floats]:
    """What a task of each size, and a node of each kind, is worth in the best fleet of these patterns."""
    cover = np.stack([pattern for _, pattern in columns], axis=1)
    use = np.array([[float(kind == own) for own, _ in columns] for kind in range(kinds)])
    zero = np.zeros((len(demand), 1))
    rows = np.block([[-cover, zero], [use, np.full((kinds, 1), -1 / kinds)]])
    cost = np.append(np.zeros(len(columns)), 1.0)
    found = linprog(cost, A_ub=rows, b_ub=np.append(-demand, np.zeros(kinds)))
    assert found.success, found.message
    duals = -found.ineqlin.marginals
    return duals[: len(demand)], duals[len(demand) :]


def _worthiest(shapes: Ints, demand: Floats, node: Ints, worth: Floats) -> tuple[Floats, float]:
    """The pattern that is worth most at these prices, and (at least) what it is worth."""
    found = milp(
        -worth,
        constraints=LinearConstraint((shapes / node).T, -np.inf, 1 + 1e-12),
        integrality=np.ones(len(shapes)),
        bounds=(0, demand),
        options={"mip_rel_gap": 1e-4},
    )
    return np.round(found.x), float(-found.mip_dual_bound)
