"""The names and labels by which containers and networks are found again on an engine.

Only those with our node's id are ours: two agents on one engine do not touch each other's.
"""

from __future__ import annotations

LABEL_NODE = "bayplan.node"
LABEL_CLUSTER = "bayplan.cluster"
LABEL_TASK = "bayplan.task"
LABEL_SERVICE = "bayplan.service"
LABEL_STACK = "bayplan.stack"
LABEL_SLOT = "bayplan.slot"
LABEL_VERSION = "bayplan.version"
#: On a network: the digest of its definition.
LABEL_DEFINITION = "bayplan.definition"

#: Networks that every engine has; they are never made or removed.
PREDEFINED_NETWORKS = frozenset({"bridge", "host", "none"})


def container_name(task_id: str) -> str:
    """The container's name: one a task, so that making it twice is a conflict and not a copy."""
    return f"bp-{task_id}"
