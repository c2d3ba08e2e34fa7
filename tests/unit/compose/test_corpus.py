"""Other people's compose files, where BAYPLAN_CORPUS names a folder of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bayplan.compose import Source, load, read
from bayplan.errors import ProblemError
from bayplan.render.compose_yaml import render
from tests.unit.compose.stacks import comparable

CORPUS = os.environ.get("BAYPLAN_CORPUS", "")
FILES = (
    sorted(path for pattern in ("*.yml", "*.yaml") for path in Path(CORPUS).rglob(pattern)) if CORPUS else []
)
COMPOSE = [path for path in FILES if re.search(rb"^services:", path.read_bytes(), re.MULTILINE)]


@pytest.mark.skipif(not CORPUS, reason="BAYPLAN_CORPUS is not set")
def test_the_corpus_has_files() -> None:
    assert COMPOSE


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: str(path.relative_to(CORPUS)))
def test_a_file_of_the_corpus_is_loaded_or_refused_with_a_reason(path: Path) -> None:
    wanted = re.findall(rb"\$\{?([A-Za-z_]\w*)", path.read_bytes())
    environ = {"HOME": "/root", **{name.decode(): "1" for name in wanted}}
    try:
        loaded = read("corpus", [path], environ=environ)
    except ProblemError as error:
        assert all(problem.place.startswith(str(path.parent)) for problem in error.problems)
    else:
        assert loaded.stack.services
        printed = Source("printed.yml", render(loaded.stack).encode())
        assert comparable(load("corpus", [printed], environ, path.parent).stack) == comparable(loaded.stack)
