"""Placement constraints, `node.labels.zone == a`: their grammar, shared by the loader and the scheduler."""

from __future__ import annotations

import difflib
import re

from bayplan.model import Model

#: What a constraint may ask about; those ending in a dot take a label's name.
KEYS = (
    "node.hostname",
    "node.id",
    "node.labels.",
    "node.platform.arch",
    "node.platform.os",
    "node.role",
)
_FORM = re.compile(r"\s*(?P<key>[^\s=!]+)\s*(?P<op>==|!=)\s*(?P<value>\S.*?)\s*")


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
    """A constraint from its text. Raises ValueError that names the nearest right form."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"constraint {text!r} is not of the form `node.labels.zone == a` or `... != a`")
    key = match["key"]
    if not _known(key):
        near = difflib.get_close_matches(key, [known.rstrip(".") for known in KEYS], 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(KEYS)}"
        raise ValueError(f"constraint {text!r} asks about {key!r}, which nodes do not have{hint}")
    return Constraint(key=key, value=match["value"], negated=match["op"] == "!=")


def _known(key: str) -> bool:
    label = key.removeprefix("node.labels.")
    return bool(label) if label != key else key in KEYS
