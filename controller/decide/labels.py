"""What labels a node may have: such that constraints can ask for each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bayplan.errors import ProblemKind, refuse

#: Labels of a node.
LABELS_MAX = 100
#: Longest key or value of a label.
LABEL_CHARS_MAX = 255

#: As in a constraint, `node.labels.KEY == VALUE` (bayplan.constraints).
_KEY = re.compile(r"[^\s=!<>~]+")
_VALUE = re.compile(r"(\S([^\n\r]*\S)?)?")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises ProblemError (INVALID) when no node can have these."""
    if len(labels) > LABELS_MAX:
        raise refuse(ProblemKind.INVALID, f"{len(labels)} labels; a node has at most {LABELS_MAX}")
    for key, value in labels.items():
        if not key or max(len(key), len(value)) > LABEL_CHARS_MAX:
            summary = f"label {key[:80]!r} is empty or longer than {LABEL_CHARS_MAX} letters"
            raise refuse(ProblemKind.INVALID, summary)
        if not _KEY.fullmatch(key):
            summary, hint = (
                f"label {key[:80]!r} has a space or one of = ! < > ~ in its key",
                "no constraint could name it",
            )
            raise refuse(ProblemKind.INVALID, summary, hint=hint)
        if not _VALUE.fullmatch(value):
            summary = f"the value of label {key[:80]!r} begins or ends with a space, or has several lines"
            raise refuse(ProblemKind.INVALID, summary, hint="no constraint could name it")
