"""What users were promised: what each stack must be, by the replies they got.

A request whose reply was lost in a crash may have happened or not; anything else is certain. Users of
the simulation ask one thing of a stack at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bayplan.model import ServiceSpec, StackSpec
from controller.records import Record, Service, ServiceVersion

#: A stack as it may be: the specs of its services by name, without what does not make a version.
Wanted = dict[str, ServiceSpec]


class Intents:
    """The stacks as they may be."""

    def __init__(self) -> None:
        self.may_be: dict[str, list[Wanted]] = {}
        self._asked: dict[str, tuple[str, list[Wanted]]] = {}

    def busy(self, stack: str) -> bool:
        """Whether somebody waits for an answer about this stack."""
        return stack in self.waiting()

    def waiting(self) -> list[str]:
        """The stacks about which somebody waits for an answer."""
        return [stack for stack, _ in self._asked.values()]

    def deploy(self, ticket: str, spec: StackSpec) -> None:
        """Somebody asks for a stack, and for nothing else in it."""
        wanted = {f"{spec.name}_{each.name}": _essence(each) for each in spec.services}
        self._asked[ticket] = (spec.name, [wanted])

    def remove(self, ticket: str, stack: str) -> None:
        """Somebody asks for a stack to go."""
        self._asked[ticket] = (stack, [{}])

    def scale(self, ticket: str, stack: str, service: str, replicas: int) -> None:
        """Somebody asks for another number of replicas."""
        outcomes = [_scaled(each, service, replicas) for each in self.may_be.get(stack, [{}])]
        self._asked[ticket] = (stack, outcomes)

    def answered(self, ticket: str, accepted: bool) -> str:
        """A reply arrived. Returns the stack that it is about, or an empty string."""
        stack, outcomes = self._asked.pop(ticket, ("", []))
        if stack and accepted:
            self.may_be[stack] = outcomes
        return stack

    def unanswered(self) -> None:
        """The controller died: each request that waits may have happened."""
        for stack, outcomes in self._asked.values():
            self.may_be[stack] = [*self.may_be.get(stack, [{}]), *outcomes]
        self._asked.clear()

    def found(self, stack: str, wanted: Wanted) -> None:
        """What was in doubt is known now."""
        if not self.busy(stack) and wanted in self.may_be.get(stack, [{}]):
            self.may_be[stack] = [wanted]

    def allowed(self, stack: str) -> list[Wanted]:
        """All that a stack may be now."""
        asked = [each for name, outcomes in self._asked.values() if name == stack for each in outcomes]
        return [*self.may_be.get(stack, [{}]), *asked]


def in_records(records: Iterable[Record]) -> dict[str, Wanted]:
    """The stacks as the records have them."""
    services = []
    specs: dict[tuple[str, int], ServiceSpec] = {}
    for record in records:
        if isinstance(record, Service) and not record.removed:
            services.append(record)
        elif isinstance(record, ServiceVersion):
            specs[record.service_id, record.version] = record.spec
    stacks: dict[str, Wanted] = {}
    for service in services:
        spec = specs[service.id, service.version]
        assert spec.replicas == service.replicas, f"{service} and its spec differ"
        stacks.setdefault(service.stack, {})[service.name] = _essence(spec)
    return stacks


def _scaled(wanted: Wanted, service: str, replicas: int) -> Wanted:
    if service not in wanted:
        return wanted
    return {**wanted, service: msgspec.structs.replace(wanted[service], replicas=replicas)}


def _essence(spec: ServiceSpec) -> ServiceSpec:
    return msgspec.structs.replace(spec, places={})
