"""Which nodes' copies of the registry fall behind, and when they have caught up.

Pure: it is told how the copies are, look after look, and says only what is new.
"""

from __future__ import annotations

from dataclasses import dataclass

from bayplan.client import CopiesNow
from bayplan.directory.directory import NUMBERS_PER_EPOCH
from bayplan.render.amounts import counted

#: Nodes named in one line; of further ones the number is told.
NAMES_MAX = 5


@dataclass(frozen=True)
class Drifted:
    """Nodes whose copies lack so many changes (the worst of them), or which lack nothing any more (0)."""

    nodes: tuple[str, ...]
    behind: int

    def __str__(self) -> str:
        """`the copy on n3 is 2 changes behind`."""
        several = len(self.nodes) > 1
        copies = f"the {'copies' if several else 'copy'} on {named(self.nodes)} {'are' if several else 'is'}"
        if not self.behind:
            return f"{copies} up to date again"
        if self.behind >= NUMBERS_PER_EPOCH:
            return f"{copies} from before the controller's start"
        return f"{copies} {'up to ' if several else ''}{counted(self.behind, 'change')} behind"


class Drift:
    """Remembers from one look to the next. A copy is behind when it lacks what there was at the look before:
    what is only on its way is no news. Copies of admins have no node and are not told of."""

    def __init__(self) -> None:
        self._index = 0
        self._behind: frozenset[str] = frozenset()

    def look(self, now: CopiesNow) -> list[Drifted]:
        """Who fell behind since the look before, and who has caught up. Who left is forgotten."""
        lacks = {
            copy.node: now.index - copy.index
            for copy in now.copies
            if copy.node and (copy.index < self._index or (copy.silent and copy.index < now.index))
        }
        here = {copy.node for copy in now.copies}
        fell, caught_up = lacks.keys() - self._behind, self._behind & here - lacks.keys()
        self._index, self._behind = now.index, frozenset(lacks)
        said = [Drifted(tuple(sorted(fell)), max(lacks[node] for node in fell))] if fell else []
        return said + ([Drifted(tuple(sorted(caught_up)), 0)] if caught_up else [])


def named(nodes: tuple[str, ...]) -> str:
    """`n1, n2`, and of many how many more."""
    more = len(nodes) - NAMES_MAX
    return ", ".join(nodes[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
