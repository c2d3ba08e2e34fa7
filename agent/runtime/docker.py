"""Docker Engine behind the Engine protocol, by aiodocker over the unix socket.

aiodocker has no time-outs of its own and its default connector hangs behind 100 waits: each call
here has a named deadline, and the connector has no limit (the core bounds what is in flight).
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import aiohttp
import msgspec
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from agent.events import Container, CreateContainer, Fault, FaultKind, NodeRef, Phase
from agent.labels import (
    LABEL_CLUSTER,
    LABEL_NODE,
    LABEL_STACK,
    LABEL_TASK,
    PREDEFINED_NETWORKS,
    container_name,
)
from agent.runtime.base import EngineError, EngineEventSeen, LogQuery
from agent.runtime.faults import fault_of
from agent.runtime.views import container_view, inventory_view
from bayplan.model import Inventory, LogStream, NetworkAttachment

#: Deadlines of calls, in seconds. A start on a busy machine takes seconds, a question does not.
PING_DEADLINE_S = 8.0
QUERY_DEADLINE_S = 15.0
CREATE_DEADLINE_S = 60.0
START_DEADLINE_S = 60.0
REMOVE_DEADLINE_S = 60.0
#: A stop may take its grace and this.
STOP_MARGIN_S = 20.0
#: A pull ends when nothing was heard of it for this long, or after the whole time.
PULL_IDLE_DEADLINE_S = 90.0
PULL_DEADLINE_S = 1_800.0
#: The engine's events that matter; health probes' exec_* would flood.
_WATCHED_EVENTS = ["create", "start", "die", "oom", "destroy", "health_status"]
#: Output comes in frames: stream, three zero bytes, length.
_FRAME_HEADER = struct.Struct(">BxxxL")
_ENGINE_TROUBLES = (
    DockerError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,
    msgspec.MsgspecError,
    EOFError,
)


class DockerEngine:
    """See agent.runtime.base.Engine. An async context manager; needs a running loop."""

    def __init__(self, socket_path: str, identity: NodeRef, agent_version: str) -> None:
        self._identity = identity
        self._agent_version = agent_version
        self._ours = {"label": [f"{LABEL_NODE}={identity.node_id}"]}
        connector = aiohttp.UnixConnector(path=socket_path, limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        self._docker = Docker(url="unix://localhost", connector=connector, session=self._session)
        self._network_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._networks_made: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._docker.close()
        await self._session.close()

    # --- questions -----------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Succeed if the engine answers."""
        async with _deadline(PING_DEADLINE_S):
            await self._docker._query_json("version", versioned_api=False)

    async def inventory(self) -> Inventory:
        """What the machine is and has."""
        async with _deadline(QUERY_DEADLINE_S):
            return inventory_view(await self._docker.system.info(), self._agent_version)

    async def list_ids(self) -> list[str]:
        """The ids of all containers of ours."""
        filters = msgspec.json.encode(self._ours).decode()
        async with _deadline(QUERY_DEADLINE_S):
            listed = await self._docker.containers.list(all=True, filters=filters)
        return [found.id for found in listed if f"/{_name_of(found['Labels'])}" in found["Names"]]

    async def list_networks(self) -> list[str]:
        """The names of all networks of ours."""
        async with _deadline(QUERY_DEADLINE_S):
            return sorted(network["Name"] for network in await self._docker.networks.list(filters=self._ours))

    async def inspect(self, container_id: str) -> Container:
        """One container, now. NO_CONTAINER if it is gone or not ours."""
        async with _deadline(QUERY_DEADLINE_S):
            shown = await self._docker.containers.container(container_id).show()
        labels = shown["Config"]["Labels"] or {}
        if labels.get(LABEL_NODE) != self._identity.node_id or shown["Name"] != f"/{_name_of(labels)}":
            reason = f"the name {shown['Name'].lstrip('/')} is taken by a container of someone else"
            raise EngineError(Fault(kind=FaultKind.REFUSED, reason=reason))
        return container_view(shown)

    async def has_image(self, image: str) -> bool:
        """Whether the image is here."""
        try:
            async with _deadline(QUERY_DEADLINE_S):
                await self._docker.images.inspect(image)
        except EngineError as error:
            if error.fault.kind is FaultKind.NO_IMAGE:
                return False
            raise
        return True

    @asynccontextmanager
    async def watch(self, since_ns: int) -> AsyncIterator[AsyncIterator[EngineEventSeen]]:
        """Events of our containers since then; entered once the stream is open."""
        filters = {"type": ["container"], "event": _WATCHED_EVENTS, **self._ours}
        params = {
            "since": f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09d}",
            "filters": msgspec.json.encode(filters).decode(),
        }
        async with AsyncExitStack() as stack:
            # Not aiodocker's events: once the engine has restarted its second subscribe() stays dead.
            response = await self._stream(stack, "events", params)
            yield _events(response)

    async def logs(self, name: str, query: LogQuery) -> AsyncIterator[tuple[LogStream, bytes]]:
        """Chunks of output, each line begun by its time stamp and a space."""
        params = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "follow": str(int(query.follow)),
            "tail": "all" if query.tail < 0 else str(query.tail),
            "since": f"{query.since_ms / 1000:.3f}",
        }
        async with _deadline(QUERY_DEADLINE_S):
            shown = await self._docker.containers.container(name).show()
        async with AsyncExitStack() as stack:
            response = await self._stream(stack, f"containers/{name}/logs", params)
            frames = _raw_frames if shown["Config"]["Tty"] else _frames
            try:
                async for frame in frames(response):
                    yield frame
            except _ENGINE_TROUBLES as error:
                raise EngineError(fault_of(error, QUERY_DEADLINE_S)) from error

    async def _stream(
        self, stack: AsyncExitStack, path: str, params: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """A response that goes on; closed with the stack."""
        endless = aiohttp.ClientTimeout(total=None)
        async with _deadline(QUERY_DEADLINE_S):
            response = await self._docker._do_query(path, "GET", params=params, timeout=endless)
        stack.callback(response.close)
        return response

    # --- deeds ---------------------------------------------------------------------------------------

    async def create(self, command: CreateContainer) -> Container:
        """Make the container, or adopt the one that a lost create left behind."""
        name = container_name(command.task_id)
        for attachment in command.spec.networks:
            await self._ensure_network(attachment.network, command.stack)
        try:
            async with _deadline(CREATE_DEADLINE_S):
                made = await self._docker.containers.create(command.config, name=name)
            container = _just_made(command, made.id)
        except EngineError as error:
            if not _is_conflict(error):
                raise
            container = await self.inspect(name)
        missing = [at for at in command.spec.networks if at.network not in container.networks]
        if container.phase is Phase.CREATED:
            for attachment in missing:
                await self._connect(container.container_id, attachment)
        return container

    async def start(self, container_id: str) -> None:
        """Start a container; one that runs is started already."""
        try:
            async with _deadline(START_DEADLINE_S):
                await self._docker.containers.container(container_id).start()
        except EngineError as error:
            if "network" in error.fault.reason:
                self._networks_made.clear()  # someone removed it: the next create makes it again
            raise

    async def stop(self, container_id: str, grace_ms: int) -> None:
        """Stop a container; one that does not run is stopped already."""
        grace_s = -(-grace_ms // 1000)
        async with _deadline(grace_s + STOP_MARGIN_S):
            await self._docker.containers.container(container_id).stop(t=grace_s)

    async def remove(self, container_id: str) -> None:
        """Remove a container and its anonymous volumes; one that is gone is removed already."""
        try:
            async with _deadline(REMOVE_DEADLINE_S):
                await self._docker.containers.container(container_id).delete(force=True, v=True)
        except EngineError as error:
            if error.fault.kind is not FaultKind.NO_CONTAINER:
                raise

    async def pull(self, image: str) -> None:
        """Bring an image here. A registry's trouble is a refusal: the controller tries elsewhere or later."""
        try:
            async with _deadline(PULL_DEADLINE_S):
                progress = aiter(self._docker.images.pull(image, stream=True))
                while True:
                    async with asyncio.timeout(PULL_IDLE_DEADLINE_S):
                        await anext(progress)
        except StopAsyncIteration:
            pass
        except EngineError as error:
            raise _pull_error(image, error) from error
        # A stream that broke off ends as quietly as one that is done.
        if not await self.has_image(image):
            raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason=f"the pull of {image} broke off"))

    async def remove_network(self, network: str) -> None:
        """Remove a network of ours; one that is gone or not ours is removed already."""
        async with self._network_locks[network], _deadline(REMOVE_DEADLINE_S):
            self._networks_made.discard(network)
            listed = await self._docker.networks.list(filters={"name": network, **self._ours})
            for found in listed:
                if found["Name"] == network:
                    await (await self._docker.networks.get(found["Id"])).delete()

    async def _ensure_network(self, network: str, stack: str) -> None:
        """Make a plain bridge network unless there is one of the name. Raises EngineError."""
        if network in PREDEFINED_NETWORKS or network in self._networks_made:
            return
        labels = {
            LABEL_NODE: self._identity.node_id,
            LABEL_CLUSTER: self._identity.cluster_id,
            LABEL_STACK: stack,
        }
        body = {"Name": network, "CheckDuplicate": True, "Driver": "bridge", "Labels": labels}
        async with self._network_locks[network]:
            if network in self._networks_made:
                return
            try:
                async with _deadline(CREATE_DEADLINE_S):
                    await self._docker.networks.create(body)
            except EngineError as error:
                if not _is_conflict(error):
                    raise
            self._networks_made.add(network)

    async def _connect(self, container_id: str, attachment: NetworkAttachment) -> None:
        body = {"Container": container_id, "EndpointConfig": {"Aliases": list(attachment.aliases)}}
        async with _deadline(CREATE_DEADLINE_S):
            network = await self._docker.networks.get(attachment.network)
            await network.connect(body)


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Turn whatever the engine does wrong into an EngineError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except _ENGINE_TROUBLES as error:
        raise EngineError(fault_of(error, seconds)) from error


def _is_conflict(error: EngineError) -> bool:
    return isinstance(error.__cause__, DockerError) and error.__cause__.status == 409


def _pull_error(image: str, error: EngineError) -> EngineError:
    """Cases: the engine is away; nothing was heard for too long; the registry's or the engine's no."""
    if isinstance(error.__cause__, DockerError) and error.__cause__.status == 900:
        return error
    reason = error.fault.reason
    if isinstance(error.__cause__, TimeoutError):
        reason = f"nothing came for {PULL_IDLE_DEADLINE_S:g} s"
    return EngineError(Fault(kind=FaultKind.REFUSED, reason=f"image {image} cannot be pulled: {reason}"))


def _name_of(labels: dict[str, str]) -> str:
    return container_name(labels.get(LABEL_TASK, ""))


def _just_made(command: CreateContainer, container_id: str) -> Container:
    first = command.spec.networks[:1]
    return Container(
        task_id=command.task_id,
        container_id=container_id,
        phase=Phase.CREATED,
        networks=tuple(attachment.network for attachment in first) or ("bridge",),
        stop_grace_ms=command.config["StopTimeout"] * 1000,
    )


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[EngineEventSeen]:
    try:
        async for line in response.content:
            event = msgspec.json.decode(line)
            attributes: dict[str, str] = event["Actor"]["Attributes"]
            if attributes.get("name") == _name_of(attributes):
                yield _event(event, attributes)
    except _ENGINE_TROUBLES as error:
        raise EngineError(fault_of(error, QUERY_DEADLINE_S)) from error


def _event(event: dict[str, Any], attributes: dict[str, str]) -> EngineEventSeen:
    exit_code = attributes.get("exitCode")
    return EngineEventSeen(
        action=event["Action"].partition(":")[0],
        container_id=event["Actor"]["ID"],
        task_id=attributes[LABEL_TASK],
        time_ns=event["timeNano"],
        exit_code=None if exit_code is None else int(exit_code),
    )


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[LogStream, bytes]]:
    try:
        while True:
            header = await response.content.readexactly(_FRAME_HEADER.size)
            stream, length = _FRAME_HEADER.unpack(header)
            chunk = await response.content.readexactly(length)
            yield LogStream.STDERR if stream == 2 else LogStream.STDOUT, chunk
    except asyncio.IncompleteReadError:
        return


async def _raw_frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[LogStream, bytes]]:
    """A container with a terminal has one stream and no frames."""
    async for chunk in response.content.iter_any():
        yield LogStream.STDOUT, chunk
