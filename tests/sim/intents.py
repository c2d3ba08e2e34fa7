"""What users were promised: what each stack must be, by the replies they got.

Replies come in the order of the commits. A request whose reply was lost in a crash may have happened
or not; anything else is certain. A stack as it may be is its services' specs by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from bayplan.model import Availability, ServiceSpec, StackSpec
from controller.records import Record, Service, ServiceVersion

Wanted = dict[str, ServiceSpec]
#: All that a stack may be after a request that is carried out.
Change = Callable[[Wanted], list[Wanted]]


class Intents:
    """The stacks as they may be, and the requests that wait for an answer."""

    def __init__(self) -> None:
        self.may_be: dict[str, list[Wanted]] = {}
        self._asked: dict[str, tuple[str, Change]] = {}
        #: Answers by stack.
        self.answers: dict[str, int] = {}
        #: Every spec that a service may have had.
        self._ever: dict[str, list[ServiceSpec]] = {}
        #: Availabilities of nodes by name, and the requests about them that wait.
        self.node_may_be: dict[str, set[Availability]] = {}
        self._nodes_asked: dict[str, tuple[str, Availability]] = {}
        #: Nodes that were removed, and the requests for that which wait.
        self.nodes_gone: set[str] = set()
        self._removals: dict[str, str] = {}

    def waiting(self) -> list[str]:
        """The stacks about which somebody waits for an answer, once for each request."""
        return [stack for stack, _ in self._asked.values()]

    def deploy(self, ticket: str, spec: StackSpec) -> None:
        """Somebody asks for a stack, and for nothing else in it."""
        wanted = {f"{spec.name}_{each.name}": _essence(each) for each in spec.services}
        self._asked[ticket] = (spec.name, lambda before: [wanted])

    def remove(self, ticket: str, stack: str) -> None:
        """Somebody asks for a stack to go."""
        self._asked[ticket] = (stack, lambda before: [{}])

    def scale(self, ticket: str, stack: str, service: str, replicas: int) -> None:
        """Somebody asks for another number of replicas."""

        def change(before: Wanted) -> list[Wanted]:
            if service not in before:
                return [before]
            return [{**before, service: msgspec.structs.replace(before[service], replicas=replicas)}]

        self._asked[ticket] = (stack, change)

    def update(self, ticket: str, stack: str, service: str, spec: ServiceSpec) -> None:
        """Somebody asks for another spec of one service."""
        new = _essence(spec)
        self._asked[ticket] = (
            stack,
            lambda before: [{**before, service: new} if service in before else before],
        )

    def go_back(self, ticket: str, stack: str, service: str) -> None:
        """Somebody asks for what ran before, or (a restart) for what runs, which after a rollback is not what
        was asked for last: some spec that this service had once."""

        def change(before: Wanted) -> list[Wanted]:
            if service not in before:
                return [before]
            replicas, once = before[service].replicas, list(self._ever.get(service, []))
            once += [msgspec.structs.replace(spec, replicas=replicas) for spec in once]
            return [before, *({**before, service: spec} for spec in once)]

        self._asked[ticket] = (stack, change)

    def remove_service(self, ticket: str, stack: str, service: str) -> None:
        """Somebody asks for one service to go."""
        self._asked[ticket] = (
            stack,
            lambda before: [{name: spec for name, spec in before.items() if name != service}],
        )

    def update_node(self, ticket: str, node: str, availability: Availability) -> None:
        """Somebody asks for a node to be drained, paused or active."""
        self._nodes_asked[ticket] = (node, availability)

    def remove_node(self, ticket: str, node: str) -> None:
        """Somebody asks for a node to go."""
        self._removals[ticket] = node

    def nodes_allowed(self, node: str) -> set[Availability]:
        """What a node's availability may be now."""
        asked = {availability for name, availability in self._nodes_asked.values() if name == node}
        return asked | self.node_may_be.get(node, {Availability.ACTIVE})

    def answered(self, ticket: str, accepted: bool) -> str:
        """A reply arrived. Returns the stack that it is about, or an empty string."""
        removed = self._removals.pop(ticket, "")
        if removed and accepted:
            self.nodes_gone.add(removed)
        if ticket in self._nodes_asked:
            node, availability = self._nodes_asked.pop(ticket)
            if accepted:
                self.node_may_be[node] = {availability}
        if ticket not in self._asked:
            return ""
        stack, change = self._asked.pop(ticket)
        self.answers[stack] = self.answers.get(stack, 0) + 1
        if accepted:
            reached = [after for before in self._may_be(stack) for after in change(before)]
            self._take(stack, [each for number, each in enumerate(reached) if each not in reached[:number]])
        return stack

    def unanswered(self) -> None:
        """The controller died: each request that waits may have happened."""
        for stack in sorted(set(self.waiting())):
            self._take(stack, self.allowed(stack))
        for stack in self.waiting():
            self.answers[stack] = self.answers.get(stack, 0) + 1
        self._asked.clear()
        for node in {node for node, _ in self._nodes_asked.values()}:
            self.node_may_be[node] = self.nodes_allowed(node)
        self._nodes_asked.clear()
        self._removals.clear()

    def found(self, stack: str, readings: list[Wanted]) -> None:
        """What was in doubt is known now."""
        known = [wanted for wanted in self._may_be(stack) if wanted in readings]
        if stack not in self.waiting() and known:
            self.may_be[stack] = known

    def allowed(self, stack: str) -> list[Wanted]:
        """All that a stack may be now: any of the requests that wait may be committed, in any order."""
        changes = [change for name, change in self._asked.values() if name == stack]
        reached = list(self._may_be(stack))
        for before in reached:  # grows while it is walked
            for after in (each for change in changes for each in change(before)):
                if after not in reached:
                    reached.append(after)
        return reached

    def _take(self, stack: str, may_be: list[Wanted]) -> None:
        self.may_be[stack] = may_be
        for wanted in may_be:
            for name, spec in wanted.items():
                ever = self._ever.setdefault(name, [])
                if spec not in ever:
                    ever.append(spec)

    def _may_be(self, stack: str) -> list[Wanted]:
        return self.may_be.get(stack, [{}])


def in_records(records: Iterable[Record]) -> dict[str, list[Wanted]]:
    """The stacks as the records can be read. Where a policy went back from what a user asked for, either
    version may be what was asked for last: who asks for what runs already changes nothing."""
    services = []
    specs: dict[tuple[str, int], ServiceSpec] = {}
    for record in records:
        if isinstance(record, Service) and not record.removed:
            services.append(record)
        elif isinstance(record, ServiceVersion):
            specs[record.service_id, record.version] = record.spec
    stacks: dict[str, list[Wanted]] = {}
    for service in services:
        current, asked = (
            _essence(specs[service.id, version]) for version in (service.version, service.asked_version)
        )
        essences = [
            msgspec.structs.replace(current, replicas=service.replicas),
            msgspec.structs.replace(asked, replicas=service.replicas),
            asked,  # it was of another mode, whose number of tasks is not that of what runs
        ]
        essences = [each for number, each in enumerate(essences) if each not in essences[:number]]
        readings = stacks.get(service.stack, [{}])
        stacks[service.stack] = [{**each, service.name: spec} for each in readings for spec in essences]
    return stacks


def _essence(spec: ServiceSpec) -> ServiceSpec:
    """The spec as the user wrote it: a restart's generation and the files' digests are the controller's."""
    files = tuple(msgspec.structs.replace(mount, digest="") for mount in spec.container.files)
    container = msgspec.structs.replace(spec.container, files=files)
    return msgspec.structs.replace(spec, places={}, generation=0, container=container)
