"""Placement constraints, `node.labels.zone == a`: their grammar, shared by the loader and the scheduler."""

from __future__ import annotations

import re

from bayplan.model import Model
from bayplan.nearest import did_you_mean

#: What a constraint may ask about, besides labels.
KEYS = ("node.hostname", "node.id", "node.platform.arch", "node.platform.os", "node.role")
#: Before a label's name.
LABELS = "node.labels."

_FORM = re.compile(r"\s*(?P<key>[^\s=!]+)\s*(?P<operator>==|!=)\s*(?P<value>\S(?:.*\S)?)\s*")


class ConstraintError(ValueError):
    """A text that is no constraint; `hint` is the way out."""

    def __init__(self, summary: str, hint: str) -> None:
        super().__init__(f"{summary}; {hint}")
        self.summary = summary
        self.hint = hint


class Constraint(Model, frozen=True, kw_only=True):
    """`key` equals (or, negated, does not equal) `value`; comparison ignores case, as Docker's does."""

    key: str
    value: str
    negated: bool = False

    def holds(self, actual: str) -> bool:
        """Whether a node whose value is `actual` (empty: it has none) satisfies it."""
        return (actual.lower() == self.value.lower()) is not self.negated

    def __str__(self) -> str:
        return f"{self.key} {'!=' if self.negated else '=='} {self.value}"


def parse(text: str) -> Constraint:
    """A constraint from its text. Raises ConstraintError."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConstraintError(f"{_shown(text)} is not a constraint", "write it like node.labels.zone == a")
    key = match["key"]
    label = key.removeprefix(LABELS)
    if key not in KEYS and (label == key or not label):
        candidates = (*KEYS, LABELS + key.rpartition(".")[2])
        hint = did_you_mean(key, candidates, f"write one of {', '.join(KEYS)}, {LABELS}NAME")
        raise ConstraintError(f"{_shown(key)} is not a key of a constraint", hint)
    return Constraint(key=key, value=match["value"], negated=match["operator"] == "!=")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
