"""Lower bounds of what any plan must open: the sums of the amounts, and the linear program over patterns.

Both cost nodes by their size (the mean share of the mean node), as `controller.decide.packing` does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, linprog, milp

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Patterns that are added to the linear program until it is solved; it is a bound at any time.
COLUMNS_MAX = 400
#: By how little a pattern's worth may exceed its node's price.
TOLERANCE = 1e-6


def prices(capacity: Ints) -> Floats:
    """What each node costs: its size as a share of the mean node."""
    return np.asarray((capacity / capacity.mean(axis=0)).mean(axis=1), np.float64)


def continuous(sizes: Ints, counts: Ints, capacity: Ints) -> float:
    """The price of the nodes that suffice if tasks could be cut at will."""
    kinds, number = np.unique(capacity, axis=0, return_counts=True)
    need = (sizes * counts[:, None]).sum(axis=0)
    price = (kinds / capacity.mean(axis=0)).mean(axis=1)
    scale = capacity.mean(axis=0)
    found = linprog(price, A_ub=-(kinds / scale).T, b_ub=-need / scale, bounds=[(0, most) for most in number])
    assert found.success, found.message
    return float(found.fun)


def configurations(sizes: Ints, counts: Ints, node: Ints) -> float:
    """The number of equal nodes that suffice if only patterns (what stands on one node) are used, each as
    often as one likes, also in part: the linear program of P. Gilmore and R. Gomory (1961), by columns.

    Where it is not solved within COLUMNS_MAX the bound of J. Farley (1990) from the last prices is given.
    """
    shapes, inverse = np.unique(sizes, axis=0, return_inverse=True)
    demand = np.bincount(inverse.ravel(), weights=counts)
    patterns = [np.eye(len(shapes))[k] * max(1, _alone(shapes[k], node)) for k in range(len(shapes))]
    bound = 0.0
    for _ in range(COLUMNS_MAX):
        matrix = np.stack(patterns, axis=1)
        found = linprog(np.ones(len(patterns)), A_ub=-matrix, b_ub=-demand)
        worth = -found.ineqlin.marginals
        pattern, value = _worthiest(shapes, demand, node, worth)
        bound = max(bound, found.fun / max(1.0, value))
        if value <= 1 + TOLERANCE:
            break
        patterns.append(pattern)
    return bound


def _alone(size: Ints, node: Ints) -> int:
    return int((node[size > 0] // size[size > 0]).min())


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
