"""Volumes that others have made: a container that mounts one is not given an empty one of the name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiodocker import Docker

from agent.labels import LABEL_NODE
from agent.runtime.base import EngineError
from agent.runtime.calls import QUERY_DEADLINE_S, deadline, refusal, status_of


async def require_external(docker: Docker, config: Mapping[str, Any]) -> None:
    """Raise EngineError unless every volume is there that this create request does not make."""
    for name in external_names(config):
        try:
            async with deadline(QUERY_DEADLINE_S):
                await docker._query_json(f"volumes/{name}")
        except EngineError as error:
            if status_of(error) != 404:
                raise
            raise refusal(
                f"volume {name} is external and does not exist on this node: "
                f"make it with `docker volume create {name}`"
            ) from error


def external_names(config: Mapping[str, Any]) -> Iterator[str]:
    """Named volumes that are not to be made where they are missing: those do not get our labels."""
    for mount in config["HostConfig"].get("Mounts") or ():
        labels = mount.get("VolumeOptions", {}).get("Labels", {})
        if mount["Type"] == "volume" and mount["Source"] and LABEL_NODE not in labels:
            yield mount["Source"]
