"""The aggregated discovery stream: what a client subscribes to is told, and told again when it changes.

Each kind of resource has one response on its way at most: whatever changes until the client has accepted or
refused it comes together in the next. What a client refuses is said in the log, and not repeated to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import structlog
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2

from bayplan.directory import Source
from bayplan.surfaces.xds.resources import Kind, Resources

#: Clients that may be connected at the same time, and names that each may ask for of a kind.
STREAMS_MAX = 1_000
NAMES_MAX = 10_000
#: While the directory is not whole, what is missing in it is looked at again this often, in seconds.
UNSURE_S = 0.5

_KINDS = {kind.value: kind for kind in Kind}
_log = structlog.get_logger(__name__)


@dataclass
class _Subscription:
    """What a client wants of a kind (None: all), what it was told, and whether it has answered to that."""

    names: frozenset[str] | None
    sent: dict[str, any_pb2.Any] = field(default_factory=dict)
    nonce: str = ""
    answered: bool = True
    due: bool = True


class AdsDoor(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # has no stubs
    """AggregatedDiscoveryService, state of the world. `DeltaAggregatedResources` is left unimplemented:
    neither gRPC nor Envoy asks for it by itself."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._resources = Resources(source.directory)
        self._streams = 0

    async def StreamAggregatedResources(
        self,
        requests: AsyncIterator[discovery_pb2.DiscoveryRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[discovery_pb2.DiscoveryResponse]:
        """One client, until it leaves."""
        if self._streams >= STREAMS_MAX:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{STREAMS_MAX} clients are connected")
        self._streams += 1
        stream = _Stream(self._source, self._resources)
        parts = [asyncio.create_task(stream.listen(requests)), asyncio.create_task(stream.watch())]
        try:
            async for response in stream.responses():
                yield response
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self._streams -= 1
            for part in parts:
                part.cancel()


class _Stream:
    """The subscriptions of one client."""

    def __init__(self, source: Source, resources: Resources) -> None:
        self._source, self._resources = source, resources
        self._subscriptions: dict[Kind, _Subscription] = {}
        self._wake = asyncio.Event()
        self._over: Exception | None = None
        self._is_over = False
        self._count = 0

    async def listen(self, requests: AsyncIterator[discovery_pb2.DiscoveryRequest]) -> None:
        """Take in what the client says, until it says no more."""
        try:
            async for request in requests:
                self._heard(request)
                self._wake.set()
        except ValueError as error:
            self._over = error
        finally:
            self._is_over = True
            self._wake.set()

    def _heard(self, request: discovery_pb2.DiscoveryRequest) -> None:
        """A subscription, or the answer to a response. Raises ValueError for what is neither."""
        kind = _KINDS.get(request.type_url)
        if kind is None:
            raise ValueError(f"{request.type_url} is not served here: only {', '.join(sorted(_KINDS))}")
        if len(request.resource_names) > NAMES_MAX:
            raise ValueError(f"{len(request.resource_names)} names are asked for, {NAMES_MAX} at most")
        wanted = frozenset(request.resource_names) if set(request.resource_names) - {"*"} else None
        known = self._subscriptions.get(kind)
        if known is None:
            self._subscriptions[kind] = _Subscription(wanted)
            return
        if request.response_nonce and request.response_nonce != known.nonce:
            return  # about a response that another one has followed since
        if request.HasField("error_detail"):
            _log.warning("an xDS client refuses", kind=kind.name, cause=request.error_detail.message[:500])
        known.answered = True
        if wanted != known.names:
            for name in (known.names or frozenset()) - (wanted or frozenset()):
                known.sent.pop(name, None)
            # A name that is new to the client is told even when nothing has changed.
            known.names, known.due = wanted, True

    async def watch(self) -> None:
        """Notice changes of the directory."""
        index = self._source.directory.index
        while True:
            for subscription in self._subscriptions.values():
                subscription.due = True
            self._wake.set()
            whole = self._source.origin().whole
            waiting = asyncio.timeout(None if whole else UNSURE_S)
            try:
                async with waiting:
                    await self._source.changed(index)
            except TimeoutError:
                pass
            index = self._source.directory.index

    async def responses(self) -> AsyncIterator[discovery_pb2.DiscoveryResponse]:
        """What the client is to be told, when it can take it. Raises ValueError for what it must not ask."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._over is not None:
                raise self._over
            if self._is_over:
                return
            for kind in Kind:
                response = self._next(kind)
                if response is not None:
                    yield response

    def _next(self, kind: Kind) -> discovery_pb2.DiscoveryResponse | None:
        mine = self._subscriptions.get(kind)
        if mine is None or not mine.due or not mine.answered:
            return None
        mine.due = False
        origin = self._source.origin()
        if not origin.whole and not len(self._source.directory):
            return None  # nothing is known yet: an empty answer would be taken for the truth
        wanted = self._resources.named(kind, mine.names, whole=origin.whole)
        news = {name: each for name, each in wanted.items() if mine.sent.get(name) is not each}
        is_less = kind.whole and mine.sent.keys() - wanted.keys()
        mine.sent = wanted
        if mine.nonce and not news and not is_less:
            return None
        self._count += 1
        mine.nonce, mine.answered = str(self._count), False
        return discovery_pb2.DiscoveryResponse(
            version_info=str(self._source.directory.index),
            resources=list((wanted if kind.whole else news).values()),
            type_url=kind.value,
            nonce=mine.nonce,
        )
