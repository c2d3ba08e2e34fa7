"""What a plan says in words. Pure."""

from __future__ import annotations

from bayplan.model import ServiceSpec, UpdateOrder
from bayplan.units import format_duration_ms


def rolls(spec: ServiceSpec) -> str:
    """How the tasks of a service are replaced: `2 at a time, stop-first, 10s apart`."""
    policy = spec.update
    many = f"{policy.parallelism} at a time" if policy.parallelism else "all at once"
    order = {UpdateOrder.STOP_FIRST: "stop-first", UpdateOrder.START_FIRST: "start-first"}[policy.order]
    apart = f", {format_duration_ms(policy.delay_ms)} apart" if policy.delay_ms else ""
    return f"{many}, {order}{apart}"


def more_tasks(count: int) -> str:
    """What stands for the tasks that a plan does not list."""
    return f"and {count} more"
