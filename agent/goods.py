"""Countable goods of this machine beside CPU and memory, as its owner declares them: `ssd=2`, `gpu=UUID1`.

Docker's forms (`dockerd --node-generic-resource`): a number counts goods that are all alike, another word
names one of them, and is given again for each. Which there are in truth is not known here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from bayplan.errors import ProblemKind, refuse
from bayplan.model import Good, Model

#: Most of one countable good on a machine.
COUNT_MAX = 1_000_000
#: Most goods with names on a machine.
NAMED_MAX = 1_000

_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
#: What somebody may have meant as a number is no name.
_NUMBER = re.compile(r"[-+]?[0-9][0-9._]*|0[xX][0-9A-Fa-f]*")
_NAME = re.compile(r"[^\s,=]{1,128}")
_HINT = "write it as NAME=N, e.g. gpu=2, or as NAME=ID for each one, e.g. gpu=GPU-1 gpu=GPU-2"


class Goods(Model, frozen=True, kw_only=True):
    """How many of each kind that is only counted, and those with names."""

    counted: dict[str, int] = {}
    named: tuple[Good, ...] = ()

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind, the named ones too."""
        return self.counted | Counter(good.kind for good in self.named)

    def over(self, other: Goods) -> Goods:
        """These, and of the other what is of no kind of these."""
        mine = self.kinds
        return Goods(
            counted={kind: count for kind, count in other.counted.items() if kind not in mine} | self.counted,
            named=(*self.named, *(good for good in other.named if good.kind not in mine)),
        )


def parse(texts: Iterable[str]) -> Goods:
    """What was declared. Raises ProblemError."""
    counted: dict[str, int] = {}
    named: dict[Good, None] = {}
    for text in texts:
        kind, _, value = text.partition("=")
        if _KIND.fullmatch(kind) and _is_count(value):
            counted[kind] = int(value)
        elif _KIND.fullmatch(kind) and _NAME.fullmatch(value) and not _NUMBER.fullmatch(value):
            named[Good(kind=kind, name=value)] = None
        else:
            raise refuse(ProblemKind.INVALID, f"not a generic resource: {text[:200]!r}", hint=_HINT)
    for good in named:
        if good.kind in counted:
            summary = f"the generic resource {good.kind!r} is given both as a number and by name"
            raise refuse(ProblemKind.INVALID, summary, hint=_HINT)
    if len(named) > NAMED_MAX:
        raise refuse(ProblemKind.INVALID, f"{len(named)} generic resources with names; at most {NAMED_MAX}")
    return Goods(counted=counted, named=tuple(named))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= COUNT_MAX
