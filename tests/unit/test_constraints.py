"""Placement constraints."""

from __future__ import annotations

import pytest

from bayplan.constraints import Constraint, parse


@pytest.mark.parametrize(
    ("text", "key", "value", "negated"),
    [
        ("node.labels.zone == a", "node.labels.zone", "a", False),
        ("node.labels.zone==a", "node.labels.zone", "a", False),
        ("  node.hostname != n 1 ", "node.hostname", "n 1", True),
        ("node.role == worker", "node.role", "worker", False),
    ],
)
def test_the_forms_that_docker_knows(text: str, key: str, value: str, negated: bool) -> None:
    assert parse(text) == Constraint(key=key, value=value, negated=negated)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zone = a", "is not a constraint"),
        ("node.labels.zone", "is not a constraint"),
        ("node.labels. == a", "is not a key"),
        ("node.hostnam == a", "did you mean node.hostname?"),
        ("node.label.zone == a", "did you mean node.labels.zone?"),
    ],
)
def test_a_wrong_one_says_what_is_right(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?").replace(".", r"\.")):
        parse(text)


def test_a_node_without_the_label_satisfies_only_its_negation() -> None:
    assert not parse("node.labels.disk == ssd").holds("")
    assert parse("node.labels.disk != ssd").holds("")
    assert parse("node.labels.disk == ssd").holds("SSD")
