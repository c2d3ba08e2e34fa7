"""One attribute of all nodes as a column: each value once, and for each row which of them it has.

A constraint is asked once for each value, not for each node. Rows are the fleet's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

#: Values that a column keeps beyond twice its rows, before it forgets those that no node has any more.
STALE_VALUES_MAX = 1_000
#: Conditions whose truth by value is kept; beyond that all are worked out anew.
CONDITIONS_MAX = 1_000

_NOTHING: Bools = np.empty(0, np.bool_)


class Attribute:
    """A column of texts, interned; `values[codes[row]]` is what a row has (empty: nothing)."""

    def __init__(self, values: Iterable[str]) -> None:
        self._write_all(list(values))

    def _write_all(self, column: list[str]) -> None:
        self.values = list(dict.fromkeys(column))
        self._code_of = {value: code for code, value in enumerate(self.values)}
        self.codes: Codes = np.array([self._code_of[value] for value in column], np.int32)
        self._truth: dict[str, Bools] = {}

    def copy(self) -> Attribute:
        """Another one with the same values."""
        other = copy.copy(self)
        other.values, other._code_of = list(self.values), dict(self._code_of)
        other.codes, other._truth = self.codes.copy(), dict(self._truth)
        return other

    def write(self, row: int, value: str) -> None:
        """The value of a row, which may be the first one after the last."""
        code = self._code_of.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        if row == self.codes.size:
            self.codes = np.append(self.codes, np.int32(code))
        else:
            self.codes[row] = code
        if len(self.values) > 2 * self.codes.size + STALE_VALUES_MAX:
            self._write_all([self.values[each] for each in self.codes])

    def where(self, condition: str, holds: Callable[[str], bool]) -> Bools:
        """The rows whose value makes a condition true; `condition` is its text, under which that is kept."""
        if len(self._truth) > CONDITIONS_MAX:
            self._truth.clear()
        known = self._truth.get(condition, _NOTHING)
        if known.size < len(self.values):
            new = self.values[known.size :]
            known = np.concatenate([known, np.fromiter(map(holds, new), np.bool_, len(new))])
            self._truth[condition] = known
        return known[self.codes]

    def sums(self, rows: npt.NDArray[np.int64], amounts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """By value the sum of what these rows have."""
        weighted = np.bincount(self.codes[rows], weights=amounts, minlength=len(self.values))
        return weighted.astype(np.int64)
