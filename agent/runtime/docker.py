"""Docker Engine behind the Engine protocol, by aiodocker over the unix socket.

aiodocker has no time-outs of its own and its default connector hangs behind 100 waits: each call
here has a named deadline, and the connector has no limit (the core bounds what is in flight).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import aiohttp
import msgspec
import structlog
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from agent.commands import CreateContainer
from agent.events import Container, FaultKind, NodeRef, Phase
from agent.goods import Goods
from agent.labels import LABEL_NODE, LABEL_TASK, container_name
from agent.runtime.abilities import EngineVersion, lacking, request_for, shortfall, version_of
from agent.runtime.base import EngineError, EngineEventSeen, LogQuery
from agent.runtime.calls import (
    CREATE_DEADLINE_S,
    ENGINE_TROUBLES,
    PING_DEADLINE_S,
    QUERY_DEADLINE_S,
    REMOVE_DEADLINE_S,
    START_DEADLINE_S,
    STOP_MARGIN_S,
    deadline,
    refusal,
    status_of,
)
from agent.runtime.execs import Execs
from agent.runtime.faults import fault_of
from agent.runtime.frames import frames, raw_frames
from agent.runtime.goods import disk_bytes, generic_goods, pids
from agent.runtime.images import Images
from agent.runtime.kernel import EngineBridge, look
from agent.runtime.networks import Networks
from agent.runtime.views import container_view, engine_bridge, inventory_view
from agent.runtime.volumes import require_external
from bayplan.model import ContainerSpec, Hook, Inventory, LogStream, Overlay, Resources

#: The engine's events that matter; health probes' exec_* would flood.
_WATCHED_EVENTS = ["create", "start", "die", "oom", "destroy", "health_status"]
_log = structlog.get_logger(__name__)


class DockerEngine:
    """See agent.runtime.base.Engine. An async context manager; needs a running loop."""

    def __init__(
        self,
        socket_path: str,
        identity: NodeRef,
        agent_version: str,
        declared: Goods | None = None,
        tunnel_key: Callable[[], str] = lambda: "",
    ) -> None:
        self._identity = identity
        self._declared = declared or Goods()
        self._agent_version = agent_version
        self._tunnel_key = tunnel_key
        self._ours = {"label": [f"{LABEL_NODE}={identity.node_id}"]}
        connector = aiohttp.UnixConnector(path=socket_path, limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        self._docker = Docker(url="unix://localhost", connector=connector, session=self._session)
        self._execs = Execs(self._docker)
        self._images = Images(self._docker)
        self._networks = Networks(self._docker, identity)
        self._version: EngineVersion | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._docker.close()
        await self._session.close()

    # --- questions -----------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Succeed if the engine answers. Cheap: unlike `version` it runs no programs on the host."""
        ping = self._docker._query("_ping", versioned_api=False)
        async with deadline(PING_DEADLINE_S), ping as response:
            await response.read()

    async def _meet(self) -> EngineVersion:
        """Take note of the engine's version, which may change while we run."""
        async with deadline(QUERY_DEADLINE_S):
            shown = await self._docker._query_json("version", versioned_api=False)
            self._version = version_of(shown)
            self._docker.api_version = f"v{shown['ApiVersion']}"
            return self._version

    async def inventory(self) -> Inventory:
        """What the machine is and has."""
        async with deadline(QUERY_DEADLINE_S):
            info = await self._docker.system.info()
            goods = await asyncio.to_thread(generic_goods, self._declared)
            found = await asyncio.to_thread(_found, info.get("DockerRootDir", ""))
            kernel = await asyncio.to_thread(look, await self._default_bridge())
            return inventory_view(info, self._agent_version, goods, found, kernel, self._tunnel_key())

    async def _default_bridge(self) -> EngineBridge:
        try:
            return engine_bridge(await self._docker._query_json("networks/bridge"))
        except DockerError as error:
            if error.status != 404:
                raise
            return EngineBridge()

    async def list_ids(self) -> list[str]:
        """The ids of all containers of ours."""
        filters = msgspec.json.encode(self._ours).decode()
        async with deadline(QUERY_DEADLINE_S):
            listed = await self._docker.containers.list(all=True, filters=filters)
        return [found.id for found in listed if f"/{_name_of(found['Labels'])}" in found["Names"]]

    async def list_networks(self) -> list[str]:
        """The names of all networks of ours."""
        return await self._networks.names()

    async def inspect(self, container_id: str) -> Container:
        """One container, now. NO_CONTAINER if it is gone or not ours."""
        async with deadline(QUERY_DEADLINE_S):
            shown = await self._docker.containers.container(container_id).show()
        labels = shown["Config"]["Labels"] or {}
        if labels.get(LABEL_NODE) != self._identity.node_id or shown["Name"] != f"/{_name_of(labels)}":
            reason = f"the name {shown['Name'].lstrip('/')} is taken by a container of someone else"
            raise refusal(reason)
        return container_view(shown)

    async def image_digest(self, image: str) -> str | None:
        """The digest of an image that is here: its repository's, else its own id. None if it is not."""
        return await self._images.digest(image)

    @asynccontextmanager
    async def watch(self, since_ns: int) -> AsyncIterator[AsyncIterator[EngineEventSeen]]:
        """Events of our containers since then; entered once the stream is open."""
        filters = {"type": ["container"], "event": _WATCHED_EVENTS, **self._ours}
        params = {
            "since": f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09d}",
            "filters": msgspec.json.encode(filters).decode(),
        }
        await self._meet()  # an engine that comes back may be another version
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
        async with deadline(QUERY_DEADLINE_S):
            shown = await self._docker.containers.container(name).show()
        async with AsyncExitStack() as stack:
            response = await self._stream(stack, f"containers/{name}/logs", params)
            chunks = raw_frames if shown["Config"]["Tty"] else frames
            try:
                async for frame in chunks(response):
                    yield frame
            except ENGINE_TROUBLES as error:
                raise EngineError(fault_of(error, QUERY_DEADLINE_S)) from error

    async def _stream(
        self, stack: AsyncExitStack, path: str, params: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """A response that goes on; closed with the stack."""
        endless = aiohttp.ClientTimeout(total=None)
        async with deadline(QUERY_DEADLINE_S):
            response = await self._docker._do_query(path, "GET", params=params, timeout=endless)
        stack.callback(response.close)
        return response

    # --- deeds ---------------------------------------------------------------------------------------

    async def create(self, command: CreateContainer) -> Container:
        """Make the container, or adopt the one that a lost create left behind."""
        version = self._version or await self._meet()
        _check(command.spec, version)
        await require_external(self._docker, command.config)
        for attachment in command.spec.networks:
            if attachment.network not in command.overlays:
                await self._networks.ensure(attachment, command.stack)
        body, later = request_for(version.api, command.config)
        name = container_name(command.task_id)
        try:
            container = _just_made(command, body, await self._make(name, command.spec.platform, body))
        except EngineError as error:
            # Other conflicts are refusals, e.g. a volume of the name that another driver has.
            if status_of(error) != 409 or "already in use by" not in error.fault.reason:
                raise
            container = await self.inspect(name)
        if container.phase is Phase.CREATED:
            for network, endpoint in later.items():
                if network not in container.networks:
                    await self._networks.connect(container.container_id, network, endpoint)
        return container

    async def _make(self, name: str, platform: str, body: dict[str, Any]) -> str:
        """The id of a new container. What the engine leaves out of the request is in the log."""
        params = {"name": name} | ({"platform": platform} if platform else {})
        async with deadline(CREATE_DEADLINE_S):
            made = await self._docker._query_json("containers/create", "POST", params=params, data=body)
        for warning in made.get("Warnings") or ():
            _log.warning("the engine does not honour all of a container", container=name, cause=warning)
        return str(made["Id"])

    async def start(self, container_id: str) -> None:
        """Start a container; one that runs is started already."""
        try:
            async with deadline(START_DEADLINE_S):
                await self._docker.containers.container(container_id).start()
        except EngineError as error:
            if "network" in error.fault.reason:
                self._networks.forget()  # someone removed it: the next create makes it again
            raise

    async def stop(self, container_id: str, grace_ms: int) -> None:
        """Stop a container; one that does not run is stopped already."""
        grace_s = -(-grace_ms // 1000)
        async with deadline(grace_s + STOP_MARGIN_S):
            await self._docker.containers.container(container_id).stop(t=grace_s)

    async def remove(self, container_id: str) -> None:
        """Remove a container and its anonymous volumes; one that is gone is removed already."""
        try:
            async with deadline(REMOVE_DEADLINE_S):
                await self._docker.containers.container(container_id).delete(force=True, v=True)
        except EngineError as error:
            if error.fault.kind is not FaultKind.NO_CONTAINER:
                raise

    async def execute(self, container_id: str, hook: Hook) -> tuple[int, bytes]:
        """Run a command in a container to its end: its exit code and what it said first."""
        return await self._execs.run(container_id, hook)

    async def pull(self, image: str, platform: str = "") -> None:
        """Bring an image here, or its newest version."""
        await self._images.pull(image, platform)

    async def keep_overlay(self, overlay: Overlay, mtu: int) -> None:
        """Have the engine's part of a network that spans nodes there."""
        await self._networks.keep_overlay(overlay, mtu)

    async def remove_network(self, network: str) -> None:
        """Remove a network of ours; one that is gone or not ours is removed already."""
        await self._networks.remove(network)


def _check(spec: ContainerSpec, version: EngineVersion) -> None:
    """Raise EngineError for what this engine cannot do; where there is a way without it, say so."""
    for ability in lacking(spec, version.api):
        if not ability.instead:
            raise refusal(shortfall(ability, version))
        _log.warning("the engine is too old for all of a container", cause=shortfall(ability, version))


def _name_of(labels: dict[str, str]) -> str:
    return container_name(labels.get(LABEL_TASK, ""))


def _just_made(command: CreateContainer, body: Mapping[str, Any], container_id: str) -> Container:
    endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
    return Container(
        task_id=command.task_id,
        container_id=container_id,
        phase=Phase.CREATED,
        networks=tuple(endpoints) or (body["HostConfig"].get("NetworkMode") or "bridge",),
        addresses={
            name: address
            for name, endpoint in endpoints.items()
            if (address := endpoint.get("IPAMConfig", {}).get("IPv4Address"))
        },
        stop_grace_ms=body["StopTimeout"] * 1000,
    )


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[EngineEventSeen]:
    try:
        async for line in response.content:
            event = msgspec.json.decode(line)
            attributes: dict[str, str] = event["Actor"]["Attributes"]
            if attributes.get("name") == _name_of(attributes):
                yield _event(event, attributes)
    except ENGINE_TROUBLES as error:
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


def _found(root: str) -> Resources:
    """What the engine does not tell of its machine. Reads files."""
    return Resources(disk_bytes=disk_bytes(root), pids=pids())
