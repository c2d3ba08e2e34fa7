"""Networks of one engine: made where they are missing, re-made where they are out of date, removed.

A network of ours carries a digest of its definition. One with another definition is re-made if nobody
is on it; else it is used as it is. Networks of others are used and never changed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from typing import Any

import msgspec
import structlog
from aiodocker import Docker

from agent.events import Fault, FaultKind, NodeRef
from agent.labels import (
    LABEL_CLUSTER,
    LABEL_DEFINITION,
    LABEL_NODE,
    LABEL_STACK,
    PREDEFINED_NETWORKS,
    bridge_name,
)
from agent.runtime.base import EngineError
from agent.runtime.calls import (
    CREATE_DEADLINE_S,
    QUERY_DEADLINE_S,
    REMOVE_DEADLINE_S,
    deadline,
    refusal,
    status_of,
)
from bayplan.model import IpamPool, NetworkAttachment, NetworkSpec, Overlay

#: Drivers that a node by itself does not have, and what is made instead.
_SUBSTITUTES = {"": "bridge", "overlay": "bridge"}
_DIGEST_CHARS = 16
#: How often, and after how many seconds, a network is tried again that the engine calls used but shows idle.
LET_GO_TRIES_MAX, LET_GO_S = 5, 0.1
_BRIDGE_OPTION = "com.docker.network.bridge.name"
_MTU_OPTION = "com.docker.network.driver.mtu"
#: What users may set of the bridge of a network that spans nodes.
_BRIDGE_OPTIONS = "com.docker.network.bridge."
_log = structlog.get_logger(__name__)


class Networks:
    """What the engine's networks need. Raises EngineError."""

    def __init__(self, docker: Docker, identity: NodeRef) -> None:
        self._docker = docker
        self._identity = identity
        self._ours = {"label": [f"{LABEL_NODE}={identity.node_id}"]}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        #: Names of networks that are known to be there, with the digest of their definition.
        self._made: dict[str, str] = {}

    async def names(self) -> list[str]:
        """The names of all networks of ours."""
        async with deadline(QUERY_DEADLINE_S):
            return sorted(network["Name"] for network in await self._docker.networks.list(filters=self._ours))

    async def ensure(self, attachment: NetworkAttachment, stack: str) -> None:
        """Make the network unless it is there; an external one must be."""
        name, spec = attachment.network, attachment.spec
        if name in PREDEFINED_NETWORKS:
            return
        if spec.external:
            await self._require(name)
            return
        digest = definition_digest(spec)
        async with self._locks[name]:
            if self._made.get(name) != digest and await self._make(name, spec, digest, stack):
                self._made[name] = digest

    async def keep_overlay(self, overlay: Overlay, mtu: int) -> None:
        """Have the bridge network of an overlay there, made of what it is told now."""
        name = overlay.network
        body = overlay_request(overlay, mtu)
        digest = _digest(msgspec.json.encode(body, order="sorted"))
        async with self._locks[name]:
            found = await self._find(name)
            if found is not None and not self._is_ours(found):
                raise refusal(
                    f"the engine has a network {name} that is not bayplan's: `docker network rm {name}`"
                )
            if found is not None and found["Labels"].get(LABEL_DEFINITION) == digest:
                return
            if found is not None and not await self._was_idle(found):
                _require_same_segment(found, body)
                _log.warning("a network in use keeps its old definition", network=name)
                return
            body["Labels"] |= self._labels(overlay.stack, digest)
            await self._create(name, body)

    async def connect(self, container_id: str, network: str, endpoint: dict[str, Any]) -> None:
        """Put a container that does not run yet on a further network."""
        async with deadline(CREATE_DEADLINE_S):
            found = await self._docker.networks.get(network)
            await found.connect({"Container": container_id, "EndpointConfig": endpoint})

    async def remove(self, network: str) -> None:
        """Remove a network of ours; one that is gone or not ours is removed already."""
        async with self._locks[network]:
            self._made.pop(network, None)
            found = await self._find(network)
            if found is not None and self._is_ours(found):
                await self._delete(found)

    def forget(self) -> None:
        """Someone removed a network: look again before the next container."""
        self._made.clear()

    async def _require(self, name: str) -> None:
        if await self._find(name) is None:
            raise refusal(
                f"network {name} is external and does not exist on this node: "
                f"make it with `docker network create {name}`"
            )

    async def _make(self, name: str, spec: NetworkSpec, digest: str, stack: str) -> bool:
        """False: there is another one of the name, and it stays."""
        found = await self._find(name)
        if found is not None:
            if not self._is_ours(found) or found["Labels"].get(LABEL_DEFINITION) == digest:
                return True
            if not await self._was_idle(found):
                _log.warning("a network in use keeps its old definition", network=name)
                return False
        try:
            await self._create(name, network_request(name, spec, self._labels(stack, digest)))
        except EngineError as error:
            if status_of(error) == 409:
                return False  # someone was quicker: look again at the next container
            raise
        return True

    async def _create(self, name: str, body: dict[str, Any]) -> None:
        try:
            async with deadline(CREATE_DEADLINE_S):
                await self._docker.networks.create(body)
        except EngineError as error:
            reason = f"network {name} cannot be made: {error.fault.reason}"
            raise EngineError(Fault(kind=error.fault.kind, reason=reason)) from error.__cause__

    def _labels(self, stack: str, digest: str) -> dict[str, str]:
        return {
            LABEL_NODE: self._identity.node_id,
            LABEL_CLUSTER: self._identity.cluster_id,
            LABEL_STACK: stack,
            LABEL_DEFINITION: digest,
        }

    async def _was_idle(self, found: dict[str, Any]) -> bool:
        """Remove a network; False: someone is on it. The engine may still count a container that has just
        ended and that it shows no more."""
        for _ in range(LET_GO_TRIES_MAX):
            try:
                await self._delete(found)
                return True
            except EngineError as error:
                if status_of(error) != 403:
                    raise
            if await self._is_used(found):
                return False
            await asyncio.sleep(LET_GO_S)
        return False

    async def _is_used(self, found: dict[str, Any]) -> bool:
        async with deadline(QUERY_DEADLINE_S):
            shown = await (await self._docker.networks.get(found["Id"])).show()
        return bool(shown.get("Containers"))

    async def _find(self, name: str) -> dict[str, Any] | None:
        async with deadline(QUERY_DEADLINE_S):
            listed = await self._docker.networks.list(filters={"name": name})
        return next((found for found in listed if found["Name"] == name), None)

    async def _delete(self, found: dict[str, Any]) -> None:
        async with deadline(REMOVE_DEADLINE_S):
            await (await self._docker.networks.get(found["Id"])).delete()

    def _is_ours(self, found: dict[str, Any]) -> bool:
        return (found["Labels"] or {}).get(LABEL_NODE) == self._identity.node_id


def definition_digest(spec: NetworkSpec) -> str:
    """Equal for equal definitions, whatever the order of their entries."""
    return _digest(msgspec.json.encode(spec, order="sorted"))


def _digest(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()[:_DIGEST_CHARS]


def overlay_request(overlay: Overlay, mtu: int) -> dict[str, Any]:
    """The body of `POST /networks/create` for an overlay's part on this node. What changes while it lives,
    its other nodes and further blocks, is not in it."""
    options = {key: value for key, value in overlay.driver_options.items() if key.startswith(_BRIDGE_OPTIONS)}
    wanted = overlay.driver_options.get(_MTU_OPTION, "")
    own_mtu = min(int(wanted), mtu) if wanted.isdigit() else mtu
    pool = {"Subnet": overlay.subnet, "Gateway": overlay.gateway}
    if overlay.blocks:  # for containers that somebody runs on it by hand
        pool["IPRange"] = overlay.blocks[0]
    return {
        "Name": overlay.network,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Options": options | {_BRIDGE_OPTION: bridge_name(overlay.vni), _MTU_OPTION: str(own_mtu)},
        "Internal": overlay.internal,
        "Attachable": overlay.attachable,
        "Labels": dict(overlay.labels),
        "IPAM": {"Driver": "default", "Config": [pool]},
    }


def _require_same_segment(found: dict[str, Any], body: dict[str, Any]) -> None:
    """Raises EngineError for a network that containers are on and that is another one than is wanted."""
    pools = (found.get("IPAM") or {}).get("Config") or [{}]
    ways = ("Subnet", "Gateway")
    same_pool = all(pools[0].get(way) == body["IPAM"]["Config"][0][way] for way in ways)
    options = found.get("Options") or {}
    if same_pool and options.get(_BRIDGE_OPTION) == body["Options"][_BRIDGE_OPTION]:
        return
    reason = (
        f"containers on this node still use an older network {body['Name']}: it is made once they are gone"
    )
    raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason=reason))


def network_request(name: str, spec: NetworkSpec, labels: dict[str, str]) -> dict[str, Any]:
    """The body of `POST /networks/create`. Our labels win over the user's."""
    body: dict[str, Any] = {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": _SUBSTITUTES.get(spec.driver, spec.driver),
        "Options": spec.driver_options,
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "EnableIPv6": spec.ipv6,
        "Labels": spec.labels | labels,
    }
    if spec.ipam_driver or spec.ipam_options or spec.pools:
        body["IPAM"] = {
            "Driver": spec.ipam_driver or "default",
            "Options": spec.ipam_options,
            "Config": [_pool(pool) for pool in spec.pools],
        }
    return body


def _pool(pool: IpamPool) -> dict[str, Any]:
    given = {
        "Subnet": pool.subnet,
        "Gateway": pool.gateway,
        "IPRange": pool.ip_range,
        "AuxiliaryAddresses": pool.aux_addresses,
    }
    return {key: value for key, value in given.items() if value}
