"""Which kind of node suits which task: each good of each kind has its price."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from controller.decide import dealing
from controller.decide.matching import KINDS_MAX, suits
from controller.decide.packing import Want, pack

Floats = npt.NDArray[np.float64]
#: CPU and memory: much CPU, balanced, much memory, some of each.
NODES = np.array([(32.0, 64.0), (16.0, 64.0), (16.0, 128.0)] * 6)
SIZES = np.array([(2.0, 4.0), (2.0, 8.0), (2.0, 16.0)])
COUNTS = np.array([16.0 * 6, 8.0 * 6, 8.0 * 6])


def test_each_task_suits_the_nodes_of_its_own_proportions() -> None:
    found = suits(list(NODES.T), NODES.mean(axis=0), SIZES, COUNTS)
    assert found is not None
    kinds = found.kind_of[:3]
    assert np.array_equal(found.kind_of, np.tile(kinds, 6)) and len(set(kinds.tolist())) == 3
    assert (found.ranks[[0, 1, 2], kinds] == 1).all()


def test_what_is_only_larger_is_no_other_kind() -> None:
    twice = NODES[::3] * np.array([[1.0], [2.0]] * 3)
    assert suits(list(twice.T), twice.mean(axis=0), SIZES, COUNTS) is None


def test_too_many_kinds_are_not_told_apart() -> None:
    rng = np.random.default_rng(1)
    many = rng.integers(1, 100, (10 * KINDS_MAX, 4)).astype(np.float64)
    assert suits(list(many.T), many.mean(axis=0), np.ones((1, 4)), np.ones(1)) is None


def test_a_batch_that_fits_only_so_is_placed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    free = list(NODES.astype(np.int64).T)
    wants = [Want((2, 4), 96), Want((2, 8), 48), Want((2, 16), 48)]
    assert sum(rows.size for rows in pack(free, free, wants)) == 96 + 48 + 48
    monkeypatch.setattr(dealing, "suits", lambda *_: None)
    assert sum(rows.size for rows in pack(free, free, wants)) < 96 + 48 + 48
