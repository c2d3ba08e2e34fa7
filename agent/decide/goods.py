"""What a container gets of its node's countable goods: variables that name them, and its own GPUs. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from bayplan.model import Assignment, ContainerSpec, DeviceRequest

GPU = "gpu"


def goods_environment(assignment: Assignment) -> list[str]:
    """`DOCKER_RESOURCE_GPU=UUID1,UUID2`, as Swarm's (swarmkit, api/genericresource/helpers.go)."""
    return [f"DOCKER_RESOURCE_{kind.upper()}={value}" for kind, value in sorted(assignment.goods.items())]


def with_own_devices(spec: ContainerSpec, assignment: Assignment) -> ContainerSpec:
    """The spec with the very GPUs that are the task's own in the place of their number, for which an engine
    would give each container the same ones. It stays as it was written where GPUs have no names, or all of
    them are asked for."""
    value = assignment.goods.get(GPU, "")
    if not value or value.isdigit():
        return spec
    left = value.split(",")
    requests = []
    for request in spec.device_requests:
        count = request.count if GPU in request.capabilities else 0
        requests.append(_naming(request, left[:count]) if count > 0 else request)
        left = left[max(0, count) :]
    return replace(spec, device_requests=tuple(requests))


def _naming(request: DeviceRequest, names: list[str]) -> DeviceRequest:
    return replace(request, count=0, device_ids=tuple(names)) if names else request
