"""A registrar that puts what registers into a directory of tests, with leases that tests end."""

from __future__ import annotations

from bayplan.directory import Entry
from bayplan.directory.registrar import Registration, Renewal
from bayplan.errors import ProblemKind, refuse
from tests.memory_source import MemorySource


class MemoryRegistrar:
    """A `Registrar`. `reachable` and `refused` (a reason) are the tests' to set."""

    def __init__(self, source: MemorySource) -> None:
        self.source = source
        self.reachable, self.refused = True, ""
        self.calls, self.renewals = 0, 0
        self._leases: dict[tuple[str, str], dict[str, Registration]] = {}

    async def register(self, registration: Registration) -> None:
        self._answer()
        self._of(registration.stack, registration.service)[registration.id] = registration
        self._show(registration.stack, registration.service)

    async def renew(self, renewal: Renewal) -> None:
        self._answer()
        self.renewals += 1
        leases = self._of(renewal.stack, renewal.service)
        if renewal.id not in leases:
            raise refuse(ProblemKind.NOT_FOUND, f"the lease of {renewal.id} is over")
        registration = leases[renewal.id]
        said = {name: getattr(renewal, name) for name in ("standing", "reason", "output")}
        fields = {name: getattr(registration, name) for name in registration.__struct_fields__}
        leases[renewal.id] = Registration(**(fields | said))
        self._show(renewal.stack, renewal.service)

    async def deregister(self, stack: str, service: str, entry_id: str) -> None:
        self._answer()
        self._of(stack, service).pop(entry_id, None)
        self._show(stack, service)

    def forget(self) -> None:
        """All leases are over."""
        for (stack, service), leases in self._leases.items():
            leases.clear()
            self._show(stack, service)

    def _answer(self) -> None:
        self.calls += 1
        if not self.reachable:
            raise refuse(ProblemKind.UNREACHABLE, "the controller does not answer")
        if self.refused:
            raise refuse(ProblemKind.REFUSED, self.refused)

    def _of(self, stack: str, service: str) -> dict[str, Registration]:
        return self._leases.setdefault((stack, service), {})

    def _show(self, stack: str, service: str) -> None:
        leases = self._of(stack, service)
        if leases:
            self.source.put(stack, service, *[_entry(each) for each in leases.values()])
        else:
            self.source.drop(stack, service)


def _entry(of: Registration) -> Entry:
    return Entry(
        id=of.id, standing=of.standing, node=of.node, address=of.address, port=of.port, weight=of.weight,
        tags=of.tags, meta=of.meta, reason=of.reason, output=of.output,
    )  # fmt: skip
