"""What the controller asks of its durable memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.records import Change, Record


class StoreError(Exception):
    """The store cannot be used; says what is wrong and what to do."""


class Store(Protocol):
    """Keeps records. One controller at a time has it open."""

    async def load(self) -> list[Record]:
        """Every record. Raises StoreError."""

    async def append(self, changes: Sequence[Change]) -> None:
        """Take over changes, all or none; on return they survive SIGKILL and power loss."""

    async def close(self) -> None:
        """Release it."""
