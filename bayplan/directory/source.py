"""Where surfaces take the directory from: the controller's own, or an agent's copy."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from bayplan.directory.directory import Directory

#: For so long an answer may be used that names an instance: what DNS and others say of it, in ms.
ANSWER_LIFE_MS = 2_000


class Origin(NamedTuple):
    """How good the directory is. `node` is the name of the node that answers (empty: the controller) and
    `node_id` its id; `age_ms` how long ago the controller was last heard, 0 while it is heard; `whole` is
    false as long as nothing has ever been heard of it, or while the controller has started lately and its
    nodes still come back: what is not found then may exist all the same."""

    node: str = ""
    node_id: str = ""
    age_ms: int = 0
    whole: bool = True


class Source(Protocol):
    """The directory, how good it is, and when it changes."""

    @property
    def directory(self) -> Directory: ...

    def origin(self) -> Origin:
        """How good the directory is now."""
        ...

    async def changed(self, index: int, key: str = "") -> None:
        """Return when the service of this key (all: "") has changed after an index: at once, if it already
        has, or if this directory has not come as far. Raises ProblemError (REFUSED) when too many wait."""
        ...
