"""What a container gets of its node's countable goods."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.decide.container import create_config
from bayplan.model import ContainerSpec, DeviceRequest
from tests.unit.agent.decide.world import NODE, TASK

GPUS = DeviceRequest(capabilities=("gpu",), count=2)


def test_goods_are_in_the_environment_as_swarm_names_them() -> None:
    assignment = replace(TASK, goods={"ssd": "2", "gpu": "GPU-1,GPU-2"})
    config = create_config(NODE, assignment, ContainerSpec(image="a", environment=("A=1",)))
    assert config["Env"] == ["A=1", "DOCKER_RESOURCE_GPU=GPU-1,GPU-2", "DOCKER_RESOURCE_SSD=2"]


@pytest.mark.parametrize(
    ("value", "requests", "ids", "counts"),
    [
        ("GPU-1,GPU-2", (GPUS,), [["GPU-1", "GPU-2"]], [0]),
        ("a,b,c", (GPUS, replace(GPUS, count=1)), [["a", "b"], ["c"]], [0, 0]),
        ("2", (GPUS,), [None], [2]),
        ("", (GPUS,), [None], [2]),
        ("a", (replace(GPUS, count=-1),), [None], [-1]),
        ("a", (replace(GPUS, capabilities=("tpu",)),), [None], [2]),
        ("a", (replace(GPUS, count=0, device_ids=("x",)),), [["x"]], [0]),
    ],
)
def test_gpus_with_names_are_given_by_name(
    value: str, requests: tuple[DeviceRequest, ...], ids: list[list[str] | None], counts: list[int]
) -> None:
    assignment = replace(TASK, goods={"gpu": value} if value else {})
    config = create_config(NODE, assignment, ContainerSpec(image="a", device_requests=requests))
    found = config["HostConfig"]["DeviceRequests"]
    assert [each.get("DeviceIDs") or None for each in found] == ids
    assert [each.get("Count", 0) for each in found] == counts
