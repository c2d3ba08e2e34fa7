"""The agent on a real engine."""

from __future__ import annotations

from bayplan.lifecycle import TaskState
from bayplan.model import (
    ContainerSpec,
    NetworkAttachment,
)
from tests.engine.agent_world import IMAGE, World


def sleeper(**fields: object) -> ContainerSpec:
    """A container that runs until it is told to end, and then ends at once."""
    command = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
    return ContainerSpec(**({"image": IMAGE, "command": command} | fields))  # type: ignore[arg-type]


def shell(line: str, **fields: object) -> ContainerSpec:
    """A container that runs one shell line."""
    return ContainerSpec(**({"image": IMAGE, "command": ("sh", "-c", line)} | fields))  # type: ignore[arg-type]


async def test_an_assigned_task_runs_and_a_withdrawn_one_leaves_nothing(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper(networks=(NetworkAttachment(network="shop_default", aliases=("web",)),)))
    status = await world.reach("t1", TaskState.RUNNING)
    shown = world.host.inspect("bp-t1")
    assert shown["Id"] == status.container_id
    assert status.address.startswith("10.21.")
    assert shown["Config"]["Labels"]["bayplan.node"] == "n1"  # type: ignore[index]
    assert world.host.networks() == ["shop_default"]
    world.withdraw("t1")
    await world.until("t1 is gone", lambda: "t1" in world.gone)
    assert world.host.containers() == []
    await world.until("the network is gone", lambda: world.host.networks() == [])
    assert world.acked == world.revision
