"""Takes off this host whatever an agent has made here for its cluster, and nothing else.

Containers, networks with their links, packet filters, files. Named volumes stay: they hold users' data. The
node's record in the cluster is the controller's to remove.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from agent.decide.rules import TABLES
from agent.events import NodeRef
from agent.identity import Membership
from agent.runtime import forwarding, tables
from agent.runtime.base import EngineError
from agent.runtime.docker import DockerEngine
from agent.runtime.links import LinkError
from agent.runtime.nft import Nft, NftError, NftMissingError
from agent.runtime.overlay import OverlayKeeper
from bayplan import __version__
from bayplan.errors import ProblemKind, refuse

#: Containers being removed at once.
REMOVALS_IN_FLIGHT_MAX = 8


class Left(NamedTuple):
    """What was taken away."""

    containers: int
    networks: int


async def leave(member: Membership, data_dir: Path, run_dir: Path, docker_socket: str) -> Left:
    """Take it all away, the identity last: what fails can be done again. Raises ProblemError."""
    node = NodeRef(node_id=member.node_id, cluster_id=member.cluster_id)
    try:
        async with DockerEngine(docker_socket, node, __version__) as engine:
            left = await _empty(engine)
            await OverlayKeeper(engine, member.node_id, "").take_down()
        await asyncio.to_thread(_remove_rules)
    except EngineError as error:
        raise refuse(
            ProblemKind.UNREACHABLE,
            "the containers of this node cannot be removed",
            error.fault.reason,
            hint=f"start the engine at {docker_socket}, then run this again",
        ) from error
    except (LinkError, NftError, forwarding.ForwardingError) as error:
        raise refuse(
            ProblemKind.REFUSED,
            "the links and rules of this node cannot be removed",
            str(error),
            hint="run this as root; see `ip link` and `nft list tables`",
        ) from error
    for folder in (run_dir / member.node_id, data_dir):
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return left


async def _empty(engine: DockerEngine) -> Left:
    slots = asyncio.Semaphore(REMOVALS_IN_FLIGHT_MAX)

    async def remove(container_id: str) -> None:
        async with slots:
            await engine.remove(container_id)

    containers = await engine.list_ids()
    await asyncio.gather(*map(remove, containers))
    networks = await engine.list_networks()
    for network in networks:
        await engine.remove_network(network)
    return Left(len(containers), len(networks))


def _remove_rules() -> None:
    """Raises NftError, ForwardingError. Where there is no nftables there are no rules."""
    forwarding.remove()
    with suppress(NftMissingError):
        nft = Nft()
        try:
            tables.remove(nft, TABLES)
        finally:
            nft.close()
