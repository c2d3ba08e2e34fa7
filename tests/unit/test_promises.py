"""docs/promises.md and the tests agree: each line is held by tests that exist, each such test has a line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs/promises.md").read_text()

#: Files of which every test holds a promise.
ALL_PROMISES = (
    "tests/real/test_faults.py",
    "tests/real/test_lost_hosts.py",
    "tests/real/test_network_faults.py",
    "tests/real/test_updates.py",
)


def functions_of(path: str) -> set[str]:
    """The names of the test functions of a file."""
    tree = ast.parse((REPO / path).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{path}::{each.name}" for each in functions if each.name.startswith("test_")}


def named() -> set[str]:
    return set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", PAGE))


def test_every_promise_names_its_tests_and_they_exist() -> None:
    promises = PAGE.partition("| held by |")[2].partition("\n\n")[0].splitlines()[2:]
    assert promises
    assert all("`tests/" in promise for promise in promises)
    files = {name.partition("::")[0] for name in named()}
    there = set().union(*(functions_of(path) for path in files))
    assert not named() - there


def test_every_test_of_a_fault_on_real_engines_is_a_promise() -> None:
    there = set().union(*(functions_of(path) for path in ALL_PROMISES))
    assert not there - named()
