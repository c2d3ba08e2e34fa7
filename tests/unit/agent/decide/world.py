"""One task's spec, and what becomes of it."""

from __future__ import annotations

from typing import Any

from agent.decide.container import create_config
from agent.events import NodeRef
from bayplan.model import Assignment, ContainerSpec, Desired

NODE = NodeRef(node_id="n1", cluster_id="c1", name="web-1", architecture="x86_64")
TASK = Assignment(
    task_id="t1", service="shop_web", stack="shop", slot=2, version=3, desired=Desired.RUN, spec_id="s"
)


def spec(**fields: Any) -> ContainerSpec:
    return ContainerSpec(**({"image": "web:1"} | fields))


def config(**fields: Any) -> dict[str, Any]:
    """The create request."""
    return create_config(NODE, TASK, spec(**fields))


def host(**fields: Any) -> dict[str, Any]:
    """Its HostConfig."""
    made: dict[str, Any] = config(**fields)["HostConfig"]
    return made
