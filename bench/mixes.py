"""Seeded fleets and services for the benches of packing: four mixes of task sizes, two kinds of fleets.

The shapes follow what is published of real clusters: a long tail as in cluster traces
(https://github.com/google/cluster-data: log-normal sizes, few services hold most tasks), machines as clouds
sell them (powers of two of CPU, 2 to 8 GiB to each), compose files (small, few replicas, many that declare
nothing), and four resources that do not go together. Amounts are integers: millis of CPU, bytes, pids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MIB, GIB = 1 << 20, 1 << 30
#: A node of the homogeneous fleets: 16 CPUs, 64 GiB, 500 GiB of disk, 32,768 pids.
NODE = (16_000, 64 * GIB, 500 * GIB, 32_768)
#: Nodes of the mixed fleets: much CPU, balanced, much memory; one third each.
KINDS = ((32_000, 64 * GIB, 500 * GIB, 32_768), NODE, (16_000, 128 * GIB, 1000 * GIB, 65_536))
#: Steps to which amounts are rounded, as people write them.
STEPS = (10, 4 * MIB, 64 * MIB, 8)


class Mix(NamedTuple):
    """Services by row: what a task of each takes (services x dimensions), and how many tasks it has."""

    name: str
    sizes: Ints
    counts: Ints

    @property
    def tasks(self) -> int:
        return int(self.counts.sum())


Draw = Callable[[np.random.Generator, int], tuple[Ints, Ints]]


def mix(name: str, nodes: int, seed: int) -> Mix:
    """Services that need some `nodes` homogeneous nodes, by the sum of their amounts."""
    draw, rng = MIXES[name], np.random.default_rng([seed, sorted(MIXES).index(name)])
    sizes, counts = draw(rng, nodes * 40)
    whole = np.array(NODE[: sizes.shape[1]], np.float64)
    needed = np.cumsum(counts[:, None] * sizes, axis=0) / whole
    enough = int(np.searchsorted(needed.max(axis=1), nodes))
    return Mix(name, sizes[:enough], counts[:enough])


def fleet(dimensions: int, nodes: int, *, mixed: bool) -> Ints:
    """The capacities of some nodes: nodes x dimensions."""
    kinds = KINDS if mixed else (NODE,)
    return np.array([kinds[row % len(kinds)][:dimensions] for row in range(nodes)], np.int64)


def _trace(rng: np.random.Generator, services: int) -> tuple[Ints, Ints]:
    cpu = np.clip(rng.lognormal(np.log(400), 1.1, services), 20, 8_000)
    per_cpu = rng.lognormal(np.log(2.2 * GIB), 0.9, services)
    memory = np.clip(cpu / 1_000 * per_cpu, 16 * MIB, 32 * GIB)
    replicas = np.clip(rng.pareto(1.1, services) * 4 + 1, 1, 500)
    return _rounded(cpu, memory), replicas.astype(np.int64)


def _vms(rng: np.random.Generator, services: int) -> tuple[Ints, Ints]:
    cpu = rng.choice([1_000, 2_000, 4_000, 8_000], services, p=[0.4, 0.3, 0.2, 0.1])
    memory = cpu / 1_000 * rng.choice([2, 4, 8], services, p=[0.3, 0.4, 0.3]) * GIB
    return _rounded(cpu, memory), rng.integers(1, 40, services)


def _compose(rng: np.random.Generator, services: int) -> tuple[Ints, Ints]:
    cpu = rng.choice([50, 100, 250, 500, 1_000, 2_000], services, p=[0.45, 0.1, 0.15, 0.15, 0.1, 0.05])
    memory = rng.choice(
        [64, 128, 256, 512, 1_024, 2_048, 4_096], services, p=[0.4, 0.1, 0.15, 0.15, 0.1, 0.06, 0.04]
    )
    return _rounded(cpu, memory * MIB), rng.choice([1, 2, 3, 5], services, p=[0.6, 0.2, 0.15, 0.05])


def _four(rng: np.random.Generator, services: int) -> tuple[Ints, Ints]:
    means = (800, 3 * GIB, 22 * GIB, 1_400)
    drawn = [np.clip(rng.lognormal(np.log(mean), 0.8, services), mean / 20, mean * 8) for mean in means]
    return _rounded(*drawn), np.clip(rng.pareto(1.3, services) * 4 + 1, 1, 200).astype(np.int64)


def _rounded(*columns: npt.NDArray[np.generic]) -> Ints:
    steps = zip(columns, STEPS, strict=False)
    return np.stack([np.maximum(1, np.rint(each / step)).astype(np.int64) * step for each, step in steps], 1)


MIXES: dict[str, Draw] = {"trace": _trace, "vm": _vms, "compose": _compose, "four": _four}
