"""Plain columns, padded as Docker's command line pads them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

#: Spaces between two columns, as in Docker's tables.
GAP_COLUMNS = 3

_COLOUR = re.compile("\x1b\\[[0-9;]*m")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row, the headings first; the last column is not padded."""
    lines = [headings, *rows]
    widths = [max(width(line[column]) for line in lines) for column in range(len(headings))]
    return [_line(cells, widths) for cells in lines]


def width(text: str) -> int:
    """How many cells of a terminal the text takes; colours take none."""
    text = _COLOUR.sub("", text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (size - width(cell) + GAP_COLUMNS) for cell, size in zip(cells, widths, strict=True)
    ]
    return "".join(padded).rstrip()
