"""What the controller asks of its durable memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.records import Change


class StoreError(Exception):
    """The store cannot be used; says what is wrong and what to do."""


class TaskSource(Protocol):
    """All tasks as they are, slice by slice: what a checkpoint is made of."""

    def __len__(self) -> int:
        """How many tasks there are."""

    def slice(self, begin: int) -> tuple[list[Change], int]:
        """The changes that make some tasks as they are now, and where the next slice begins (0: nowhere).

        Each task is in one slice, always the same while it lives.
        """


class Store(Protocol):
    """Keeps records. One controller at a time has it open."""

    async def load(self) -> list[Change]:
        """The changes that lead from nothing to what is kept, in order. Raises StoreError."""

    async def append(self, changes: Sequence[Change]) -> None:
        """Take over changes, all or none; on return they survive SIGKILL and power loss."""

    def checkpoint_from(self, tasks: TaskSource) -> None:
        """From now on the log of tasks is kept short: `tasks` are as they are after each append's changes."""

    async def close(self) -> None:
        """Release it."""
