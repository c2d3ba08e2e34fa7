"""Calls about the registry: who answers for a service, now and after each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bayplan.client.answers import CopiesNow, Copy, InstancesNow
from bayplan.client.calls import READ_S, Calls, call, values, watch
from bayplan.directory.registrar import Registration, Renewal
from bayplan.model import Instance
from bayplan.v1 import registry_pb2
from bayplan.v1.registry_pb2_grpc import RegistryServiceStub
from bayplan.views import RegistryEntry
from bayplan.wire import to_pb


class RegistryCalls(Calls):
    """RegistryService."""

    def lookup(self, stack: str, service: str, every: bool) -> tuple[Instance, ...]:
        """The ready instances, or every one. Raises NOT_FOUND with the reason when there is none."""
        request = registry_pb2.LookupRequest(stack=stack, service=service, all=every)
        return values(call(self._stub(RegistryServiceStub).Lookup, request, READ_S).instances)

    def copies(self) -> CopiesNow:
        """Who keeps a copy of the directory, those furthest behind first."""
        request = registry_pb2.ListFollowersRequest()
        answer = call(self._stub(RegistryServiceStub).ListFollowers, request, READ_S)
        copies = tuple(Copy(each.node, each.index, each.silent) for each in answer.followers)
        return CopiesNow(answer.index, copies)

    def register(self, registration: Registration) -> None:
        """An instance that is no task is found until its lease ends. Raises INVALID or REFUSED."""
        request = registry_pb2.RegisterRequest(registration=to_pb(registration))
        call(self._stub(RegistryServiceStub).Register, request, READ_S)

    def renew(self, renewal: Renewal) -> None:
        """Its lease goes on. Raises NOT_FOUND when it is over."""
        request = registry_pb2.RegistryServiceRenewRequest(renewal=to_pb(renewal))
        call(self._stub(RegistryServiceStub).Renew, request, READ_S)

    def deregister(self, stack: str, service: str, entry_id: str) -> None:
        """It is found no more."""
        request = registry_pb2.DeregisterRequest(stack=stack, service=service, id=entry_id)
        call(self._stub(RegistryServiceStub).Deregister, request, READ_S)

    def override(
        self, stack: str, service: str, entry_id: str, *, drain: bool | None, weight: int | None, clear: bool
    ) -> None:
        """What an operator says of an instance; None leaves it as it is. Raises NOT_FOUND."""
        request = registry_pb2.OverrideRequest(
            stack=stack, service=service, id=entry_id, drain=drain, weight=weight, clear=clear
        )
        call(self._stub(RegistryServiceStub).Override, request, READ_S)

    def registry(self) -> tuple[RegistryEntry, ...]:
        request = registry_pb2.ListRequest()
        return values(call(self._stub(RegistryServiceStub).List, request, READ_S).services)

    def watch_instances(
        self, stack: str, service: str, watcher: str = "", notice: Callable[[str], None] | None = None
    ) -> Iterator[InstancesNow]:
        """The ready instances now and after each change, without end.

        With a `watcher` (a name of its own) a task that shall stop serves until the watcher has called
        `acknowledge` with the newer revision, or the service's drain time has passed.
        """
        request = registry_pb2.WatchRequest(stack=stack, service=service, watcher=watcher)
        method = self._stub(RegistryServiceStub).Watch
        return watch(method, request, _instances_now, notice or (lambda _text: None))

    def acknowledge(self, stack: str, service: str, watcher: str, revision: int) -> None:
        """The watcher uses no instance any more that is not in the view of this revision."""
        request = registry_pb2.AcknowledgeRequest(
            stack=stack, service=service, watcher=watcher, revision=revision
        )
        call(self._stub(RegistryServiceStub).Acknowledge, request, READ_S)


def _instances_now(answer: Any) -> InstancesNow:
    return InstancesNow(answer.revision, values(answer.instances))
