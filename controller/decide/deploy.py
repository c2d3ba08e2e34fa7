"""What a deploy changes: the wished stack against the services that are there.

Also the check of a stack from any client: the compose loader has checked it before, but the
controller believes nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from bayplan import constraints
from bayplan.errors import Problem, ProblemKind
from bayplan.limits import REPLICAS_MAX, SERVICE_NAME, SERVICES_MAX, STACK_NAME
from bayplan.model import ServiceSpec, StackSpec
from bayplan.views import ServiceAction, ServiceChange
from controller.records import Service

#: A service's spec, encoded, in bytes.
SPEC_BYTES_MAX = 1_000_000


class Change(NamedTuple):
    """What happens to one service; `service` is None when it is new, `spec` None when it goes."""

    action: ServiceAction
    name: str
    service: Service | None
    spec: ServiceSpec | None

    @property
    def version(self) -> int:
        """The service's version afterwards."""
        before = self.service.version if self.service else 0
        return before + (self.action in (ServiceAction.CREATE, ServiceAction.UPDATE))

    def shown(self) -> ServiceChange:
        """The change as users see it."""
        return ServiceChange(service=self.name, action=self.action, version=self.version)


def compare(
    stack: StackSpec, present: dict[str, tuple[Service, ServiceSpec]], prune: bool
) -> tuple[Change, ...]:
    """The changes in the order of the stack, removals last. `present` is by full name."""
    wished = {f"{stack.name}_{spec.name}": spec for spec in stack.services}
    changes = [_compare(name, spec, present.get(name)) for name, spec in wished.items()]
    if prune:
        changes += [
            Change(ServiceAction.REMOVE, name, present[name][0], None)
            for name in sorted(present)
            if name not in wished
        ]
    return tuple(changes)


def _compare(name: str, spec: ServiceSpec, before: tuple[Service, ServiceSpec] | None) -> Change:
    if before is None:
        return Change(ServiceAction.CREATE, name, None, spec)
    service, old = before
    if _essence(old) != _essence(spec):
        return Change(ServiceAction.UPDATE, name, service, spec)
    action = ServiceAction.SAME if service.replicas == spec.replicas else ServiceAction.SCALE
    return Change(action, name, service, spec)


def _essence(spec: ServiceSpec) -> ServiceSpec:
    """What makes a new version: neither the number of replicas nor where in a file a line stands."""
    return msgspec.structs.replace(spec, replicas=0, places={})


def check(stack: StackSpec) -> tuple[Problem, ...]:
    """What is wrong with a stack."""
    found = list(_check_names(stack))
    for spec in stack.services:
        found += [_invalid(text, spec, place) for text, place in _check_service(spec)]
    return tuple(found)


def _check_names(stack: StackSpec) -> Iterable[Problem]:
    if not STACK_NAME.fullmatch(stack.name):
        yield _invalid(
            f"stack name {stack.name!r} must be lower case letters, digits, '-' and '_', at most 63, "
            "and begin with a letter or digit"
        )
    if not stack.services:
        yield _invalid(f"stack {stack.name!r} has no services")
    if len(stack.services) > SERVICES_MAX:
        yield _invalid(f"stack {stack.name!r} has {len(stack.services)} services; at most {SERVICES_MAX}")
    names = [spec.name for spec in stack.services]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _invalid(f"service {name!r} is there twice")


def _check_service(spec: ServiceSpec) -> Iterable[tuple[str, str]]:
    """Faults of one service, each with the field whose place tells where."""
    if not SERVICE_NAME.fullmatch(spec.name):
        yield f"service name {spec.name!r} must be letters, digits, '.', '-' and '_', at most 63", "service"
    if not spec.container.image:
        yield f"service {spec.name!r} has no image", "service"
    if not 0 <= spec.replicas <= REPLICAS_MAX:
        yield f"service {spec.name!r} wants {spec.replicas} replicas; 0 to {REPLICAS_MAX}", "replicas"
    amounts = (spec.reservations, spec.container.limits)
    if any(each.cpu_millis < 0 or each.memory_bytes < 0 for each in amounts):
        yield f"service {spec.name!r} has a negative amount of CPU or memory", "resources"
    for port in (*spec.container.ports, *spec.container.expose):
        if not 1 <= port.target <= 65_535 or not 0 <= port.published <= 65_535:
            yield f"service {spec.name!r}: port {port.published}:{port.target} is out of range", "ports"
    for text in spec.constraints:
        try:
            constraints.parse(text)
        except ValueError as error:
            yield f"service {spec.name!r}: {error}", "constraints"
    if len(msgspec.msgpack.encode(spec)) > SPEC_BYTES_MAX:
        yield f"service {spec.name!r} is larger than {SPEC_BYTES_MAX} bytes", "service"


def _invalid(summary: str, spec: ServiceSpec | None = None, field: str = "") -> Problem:
    place = spec.places.get(field, spec.places.get("service", "")) if spec else ""
    return Problem(kind=ProblemKind.INVALID, summary=summary, place=place)
