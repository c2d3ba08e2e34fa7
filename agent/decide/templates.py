"""Placeholders that Swarm files write, such as `{{.Task.Slot}}`, put in for one task.

Swarm knows them in hostnames, environment values and mount sources. Other double braces are a program's
own and stay as they are.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from agent.events import NodeRef
from bayplan.model import Assignment, ContainerSpec
from bayplan.placeholders import PLACEHOLDER, listed


class SpecError(Exception):
    """A spec of which no container can be made; the text says why, for people."""


def expand(spec: ContainerSpec, identity: NodeRef, assignment: Assignment) -> ContainerSpec:
    """The spec with every placeholder replaced. Raises SpecError for one that is not known.

    A service's id is its full name here, which no second service of the cluster has.
    """
    slot = str(assignment.slot)
    values = {
        ".Node.Hostname": identity.name,
        ".Node.ID": identity.node_id,
        ".Node.Platform.Architecture": identity.architecture,
        ".Node.Platform.OS": "linux",
        ".Service.ID": assignment.service,
        ".Service.Name": assignment.service,
        ".Task.ID": assignment.task_id,
        ".Task.Name": f"{assignment.service}.{slot}.{assignment.task_id}",
        ".Task.Slot": slot,
    }

    def put_in(text: str) -> str:
        return PLACEHOLDER.sub(lambda found: _value(found, values), text) if "{{" in text else text

    return replace(
        spec,
        hostname=put_in(spec.hostname),
        environment=tuple(map(put_in, spec.environment)),
        mounts=tuple(
            replace(mount, source=put_in(mount.source)) if "{{" in mount.source else mount
            for mount in spec.mounts
        ),
    )


def _value(found: re.Match[str], values: dict[str, str]) -> str:
    if found[1] not in values:
        raise SpecError(f"unknown placeholder {found[0]}: known are {listed()}")
    return values[found[1]]
