"""What a planted fault is, and how it is hunted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from tests.sim import chaos


class Mutant(NamedTuple):
    """`plant` puts the fault into the real code for as long as it is entered; `run` is what should show
    it, given a seed (a random run, where nothing else is named)."""

    name: str
    plant: Callable[[], AbstractContextManager[object]]
    run: Callable[[int], object] = chaos.run


class Find(NamedTuple):
    """The seed that showed a fault, and how."""

    seed: int
    error: AssertionError


def hunt(mutant: Mutant, seeds: range) -> Find | None:
    """The first seed that shows the fault, and passes without it; or None."""
    for seed in seeds:
        with mutant.plant():
            error = _broken(mutant, seed)
        if error is not None and _broken(mutant, seed) is None:
            return Find(seed, error)
    return None


def _broken(mutant: Mutant, seed: int) -> AssertionError | None:
    try:
        mutant.run(seed)
    except AssertionError as error:
        return error
    return None
