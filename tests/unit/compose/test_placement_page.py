"""docs/placement.md: what it shows can be written so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bayplan import constraints
from tests.unit.compose.world import loaded

PAGE = (Path(__file__).resolve().parents[3] / "docs/placement.md").read_text()
FILES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROWS = PAGE.partition("| constraint |")[2].partition("\n\n")[0].splitlines()[2:]


def test_there_is_something_to_hold() -> None:
    assert (len(FILES), len(ROWS)) == (5, 9)


@pytest.mark.parametrize("file", FILES)
def test_every_file_of_the_page_is_one(file: str) -> None:
    found = loaded(file)
    assert found.stack.services
    assert not found.warnings


@pytest.mark.parametrize("row", ROWS)
def test_every_constraint_of_the_page_is_one(row: str) -> None:
    texts = re.findall(r"`([^`]+)`", row.split("|")[1])
    whole = [text for text in texts if " " in text and not text.startswith("not in")]
    for text in whole:
        constraints.parse(text)
    keys = [text for text in texts if " " not in text and not text.startswith("!")]
    assert set(keys) <= set(constraints.KEYS)
    assert whole
