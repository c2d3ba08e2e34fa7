"""The way to the core for those who register: see `bayplan.directory.registrar.Registrar`."""

from __future__ import annotations

from collections.abc import Callable

from bayplan.directory.registrar import Registration, Renewal
from bayplan.errors import ProblemKind, refuse
from bayplan.pump import InboxFullError
from controller.doors.gate import Gate
from controller.events import DeregisterAsked, Event, RegisterAsked, RenewAsked


class CoreRegistrar:
    """`by` is the id of the node that asks for them; empty for an admin."""

    def __init__(self, gate: Gate, by: str = "") -> None:
        self._gate = gate
        self._by = by

    async def _ask(self, make: Callable[[str], Event]) -> None:
        """Raises ProblemError: UNREACHABLE when the controller is too busy to hear of it."""
        try:
            await self._gate.ask(make)
        except InboxFullError as error:
            hint = "try again in a few seconds"
            raise refuse(ProblemKind.UNREACHABLE, "the controller is busy", hint=hint) from error

    async def register(self, registration: Registration) -> None:
        """Raises ProblemError."""
        await self._ask(lambda ticket: RegisterAsked(ticket=ticket, registration=registration, by=self._by))

    async def renew(self, renewal: Renewal) -> None:
        """Raises ProblemError."""
        await self._ask(lambda ticket: RenewAsked(ticket=ticket, renewal=renewal))

    async def deregister(self, stack: str, service: str, entry_id: str) -> None:
        """Raises ProblemError."""
        await self._ask(
            lambda ticket: DeregisterAsked(ticket=ticket, stack=stack, service=service, id=entry_id)
        )
