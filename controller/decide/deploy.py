"""What a deploy changes: the wished stack against the services that are there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from bayplan.model import ServiceSpec, StackSpec
from bayplan.views import ServiceAction, ServiceChange
from controller.decide import order
from controller.records import Service


class Present(NamedTuple):
    """A service that is there: its record, its spec, and what its image's name meant (empty: unknown)."""

    service: Service
    spec: ServiceSpec
    image_digest: str = ""


class Change(NamedTuple):
    """What happens to one service; `service` is None when it is new, `spec` None when it goes.

    `image_before` and `image_after` are the digests of its image where both are known and differ.
    """

    action: ServiceAction
    name: str
    service: Service | None
    spec: ServiceSpec | None
    image_before: str = ""
    image_after: str = ""

    @property
    def version(self) -> int:
        """The service's version afterwards."""
        if self.service is None:
            return 1
        return self.service.next_version if self.action is ServiceAction.UPDATE else self.service.version

    def shown(self) -> ServiceChange:
        """The change as users see it."""
        return ServiceChange(service=self.name, action=self.action, version=self.version)


def compare(
    stack: StackSpec, present: Mapping[str, Present], prune: bool, images: Mapping[str, str]
) -> tuple[Change, ...]:
    """The changes in the order of the stack, removals last. `present` is by full name.

    `images` are digests by image name, as nodes told them: a name that means another image than the one
    that runs is an update, and so is a service whose dependency with `restart` is updated.
    """
    wished = {f"{stack.name}_{spec.name}": spec for spec in stack.services}
    changes = {name: compare_one(name, spec, present.get(name), images) for name, spec in wished.items()}
    updated = {_short(stack, name) for name, each in changes.items() if each.action is ServiceAction.UPDATE}
    for short in order.restarted_with(stack.services, updated):
        name = f"{stack.name}_{short}"
        if changes[name].action in (ServiceAction.SAME, ServiceAction.SCALE):
            changes[name] = changes[name]._replace(action=ServiceAction.UPDATE)
    gone = [name for name in sorted(present) if prune and name not in wished]
    removals = [Change(ServiceAction.REMOVE, name, present[name].service, None) for name in gone]
    return (*changes.values(), *removals)


def _short(stack: StackSpec, name: str) -> str:
    return name.removeprefix(f"{stack.name}_")


def compare_one(
    name: str, spec: ServiceSpec, before: Present | None, images: Mapping[str, str] = MappingProxyType({})
) -> Change:
    """The change to one service, by itself. A compose file does not tell the generation: it stays."""
    if before is None:
        return Change(ServiceAction.CREATE, name, None, spec)
    generation = max(spec.generation, before.spec.generation)
    spec = msgspec.structs.replace(spec, generation=generation)
    now = images.get(spec.container.image, "")
    moved = bool(before.image_digest and now) and before.image_digest != now
    digests = (before.image_digest, now) if moved else ("", "")
    if moved or _essence(before.spec) != _essence(spec):
        return Change(ServiceAction.UPDATE, name, before.service, spec, *digests)
    same = before.service.replicas == spec.replicas
    return Change(ServiceAction.SAME if same else ServiceAction.SCALE, name, before.service, spec)


def _essence(spec: ServiceSpec) -> ServiceSpec:
    """What makes a new version: neither the number of replicas nor where in a file a line stands."""
    return msgspec.structs.replace(spec, replicas=0, places={})
