"""Random runs: after every fault that the dice can think of, all is as users were promised."""

from __future__ import annotations

from tests.sim import chaos


def test_the_cluster_keeps_its_promises_under_random_faults(sim_seed: int) -> None:
    chaos.run(sim_seed)
