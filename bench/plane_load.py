"""What bench.plane asks of the controller: stacks of services, and nodes on which they find room."""

from __future__ import annotations

from bayplan.model import (
    ContainerSpec,
    HealthCheck,
    PortSpec,
    Resources,
    ServiceSpec,
    StackSpec,
    UpdatePolicy,
)

#: Tasks of one service and services of one stack: the API takes up to 10,000 and 1,000.
TASKS_PER_SERVICE, SERVICES_PER_STACK = 1_000, 100
#: What one task sets aside, and how much of the fleet all tasks of a row take together.
TASK = Resources(cpu_millis=50, memory_bytes=64 << 20)
FULL = 0.8


def capacity(nodes: int, tasks: int) -> Resources:
    """Nodes of such a size that the tasks fill FULL of them."""
    each = max(1.0, tasks / nodes) / FULL + 1
    return Resources(cpu_millis=int(TASK.cpu_millis * each), memory_bytes=int(TASK.memory_bytes * each))


def service(name: str, replicas: int, build: int = 1) -> ServiceSpec:
    """A service as they are found: a few variables, a health check, a port that others on its network use."""
    container = ContainerSpec(
        image="registry.example/plane:1",
        command=("serve", "--name", name),
        environment=("LOG_LEVEL=info", f"SERVICE={name}", f"BUILD={build}"),
        labels={"team": "bench"},
        health_check=HealthCheck(test=("CMD", "check")),
        expose=(PortSpec(target=8080),),
    )
    update = UpdatePolicy(parallelism=0, monitor_ms=1_000)
    return ServiceSpec(
        name=name, container=container, replicas=replicas, reservations=TASK, update=update, drain_ms=0
    )


def stacks(tasks: int, per_service: int = TASKS_PER_SERVICE, prefix: str = "bench") -> list[StackSpec]:
    """Services of `per_service` tasks, the last one of what is left, in stacks of SERVICES_PER_STACK."""
    sizes = [min(per_service, tasks - begun) for begun in range(0, tasks, per_service)]
    services = [service(f"s{number:04}", size) for number, size in enumerate(sizes)]
    return [
        StackSpec(name=f"{prefix}{number}", services=tuple(services[begun : begun + SERVICES_PER_STACK]))
        for number, begun in enumerate(range(0, len(services), SERVICES_PER_STACK))
    ]
