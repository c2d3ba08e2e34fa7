"""Ids of twelve letters and the numbers that they stand for, one by one and in whole columns.

The letters ascend, so that ids sort as their numbers do. Knows nothing of what an id names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

#: Letters of an id: no vowels and no look-alikes, so that none spells a word or is misread; ascending.
LETTERS = "23456789bcdfghjkmnpqrstvwxz"
#: Length of an id: 27**12, some 1.5e17.
ID_LETTERS = 12
#: Numbers below this have an id.
NUMBERS = len(LETTERS) ** ID_LETTERS

#: Ids that are remembered: the same few are asked about again and again, some 200 B each.
_KEPT = 1 << 14
#: Fewer are faster one by one.
_FEW = 32
_THREE = len(LETTERS) ** 3
_TRIPLES = [a + b + c for a in LETTERS for b in LETTERS for c in LETTERS]
_VALUES = {triple: value for value, triple in enumerate(_TRIPLES)}
_LETTERS = np.frombuffer(LETTERS.encode(), np.uint8)
_POWERS = len(LETTERS) ** np.arange(ID_LETTERS - 1, -1, -1, dtype=np.int64)
#: By byte the value of a letter; 255 for what is none.
_DIGITS = np.full(256, 255, np.uint8)
_DIGITS[_LETTERS] = np.arange(len(LETTERS))

Numbers = npt.NDArray[np.int64]


@lru_cache(maxsize=_KEPT)
def to_id(number: int) -> str:
    """The id of a number from 0 to below NUMBERS."""
    number, fourth = divmod(number, _THREE)
    number, third = divmod(number, _THREE)
    first, second = divmod(number, _THREE)
    return _TRIPLES[first] + _TRIPLES[second] + _TRIPLES[third] + _TRIPLES[fourth]


@lru_cache(maxsize=_KEPT)
def to_number(text: str) -> int:
    """The number of an id; -1 for a text that is none."""
    if len(text) != ID_LETTERS:
        return -1
    values = _VALUES
    try:
        first, second = values[text[:3]], values[text[3:6]]
        third, fourth = values[text[6:9]], values[text[9:]]
    except KeyError:
        return -1
    return ((first * _THREE + second) * _THREE + third) * _THREE + fourth


def encode(numbers: Numbers) -> list[str]:
    """The ids of many numbers."""
    if len(numbers) < _FEW:
        return [to_id(number) for number in numbers.tolist()]
    digits = numbers[:, None] // _POWERS % len(LETTERS)
    packed = np.ascontiguousarray(_LETTERS[digits]).view(f"S{ID_LETTERS}")
    return [text.decode() for text in packed.ravel().tolist()]


def decode(texts: Sequence[str]) -> Numbers:
    """The numbers of many ids, in their order; -1 where a text is none."""
    return np.fromiter(map(to_number, texts), np.int64, len(texts))
