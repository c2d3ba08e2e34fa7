"""The page about compose files says what the code does."""

from __future__ import annotations

from pathlib import Path

from bayplan.compose.document import document

PAGE = Path(__file__).parents[3] / "docs" / "compose.md"


def test_the_page_is_the_one_that_the_code_writes() -> None:
    assert PAGE.read_text() == document(), "run: python -m bayplan.compose.document > docs/compose.md"
