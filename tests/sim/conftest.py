"""`pytest tests/sim --sim-seed 7` runs one seed again; BAYPLAN_SIM_SEEDS says how many are run."""

from __future__ import annotations

import os

import pytest

#: Seeds in a run of the tests.
SEEDS = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seed", type=int, default=None, help="run the random simulation of this seed only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sim_seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--sim-seed", default=None)
        many = range(1, int(os.environ.get("BAYPLAN_SIM_SEEDS", SEEDS)) + 1)
        metafunc.parametrize("sim_seed", many if one is None else [one])
