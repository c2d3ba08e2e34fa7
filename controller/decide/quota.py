"""What the services of a stack set aside together, against what the stack may. Pure.

Counted is what is wanted, not what runs: all replicas, and not the second copy of a slot during an update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bayplan.errors import Problem, ProblemKind, refuse
from bayplan.limits import REPLICAS_MAX, SERVICES_MAX, STACK_NAME
from bayplan.model import Resources, ServiceSpec
from bayplan.units import format_bytes, format_cpus
from controller.decide.reservations import reserve
from controller.records import Quota

#: Quotas of one cluster.
QUOTAS_MAX = 10_000
#: Most tasks that a quota can name: as many as a stack can have.
TASKS_MAX = REPLICAS_MAX * SERVICES_MAX
#: Most of any other amount: sums stay far within 64 bits.
AMOUNT_MAX = 2**60

#: The amounts of a quota: in `Resources`, in words, as text, and as an option of the command line.
_AMOUNTS: tuple[tuple[str, str, Callable[[int], str], str], ...] = (
    ("cpu_millis", "CPU", format_cpus, "--cpus"),
    ("memory_bytes", "memory", format_bytes, "--memory"),
    ("disk_bytes", "disk", format_bytes, "--disk"),
    ("pids", "processes", str, "--pids"),
)


class Used(NamedTuple):
    """What tasks set aside together, and how many they are."""

    resources: Resources = Resources()
    tasks: int = 0


def used(services: Iterable[tuple[ServiceSpec, int]], defaults: Resources) -> Used:
    """What so many tasks of each of these services come to."""
    sums, tasks = {name: 0 for name, *_ in _AMOUNTS}, 0
    for spec, number in services:
        each = reserve(spec, defaults).resources
        tasks += number
        for name in sums:
            sums[name] += number * getattr(each, name)
    return Used(Resources(**sums), tasks)


def check(quota: Quota) -> None:
    """Raises ProblemError (INVALID) when a stack can have no such quota."""
    if not STACK_NAME.fullmatch(quota.stack):
        summary = f"{quota.stack[:80]!r} is no stack's name"
        raise refuse(ProblemKind.INVALID, summary, hint="lower case letters, digits, '-' and '_', at most 63")
    for name, words, _, _ in _AMOUNTS:
        if not 0 <= getattr(quota.limit, name) <= AMOUNT_MAX:
            raise refuse(
                ProblemKind.INVALID, f"a quota of {getattr(quota.limit, name)} {words} is out of range"
            )
    if not 0 <= quota.tasks <= TASKS_MAX:
        raise refuse(ProblemKind.INVALID, f"a quota of {quota.tasks} tasks: 0 to {TASKS_MAX} are possible")
    if quota == Quota(stack=quota.stack):
        hint = f"name an amount, or take the quota away: `bayplan stack quota rm {quota.stack}`"
        raise refuse(ProblemKind.INVALID, "a quota that limits nothing is none", hint=hint)


def fault(quota: Quota, before: Used, after: Used) -> Problem | None:
    """Why a change that leads from `before` to `after` is refused: what grows beyond the quota, by how much.
    What is beyond it already may stay and shrink."""
    details, options = [], []
    for name, words, show, option in _AMOUNTS:
        limit, was, wanted = (
            getattr(each, name) for each in (quota.limit, before.resources, after.resources)
        )
        line = _excess(words, limit, was, wanted, show)
        details += [line] if line else []
        # All limits are set at once: those that are kept are named again.
        options += [f"{option} {_argument(name, wanted if line else limit)}"] if limit else []
    line = _excess("tasks", quota.tasks, before.tasks, after.tasks, str)
    details += [line] if line else []
    options += [f"--tasks {after.tasks if line else quota.tasks}"] if quota.tasks else []
    if not details:
        return None
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"the quota of stack {quota.stack} is exceeded",
        details=tuple(details),
        hint=f"nothing was changed; ask for less, or allow it: "
        f"`bayplan stack quota set {quota.stack} {' '.join(options)}`",
        why="bayplan stack quota ls",
    )


def _excess(words: str, limit: int, before: int, after: int, show: Callable[[int], str]) -> str:
    if not limit or after <= limit or after <= before:
        return ""
    over = f"{show(after)} wanted, {show(limit)} allowed: {show(after - limit)} too much"
    return f"{words}: {over} (now {show(before)})"


def _argument(name: str, amount: int) -> str:
    """An amount as the command line takes it, rounded up to what people write."""
    if name == "cpu_millis":
        return format_cpus(amount).removesuffix(" CPU")
    if name == "pids":
        return str(amount)
    return f"{-(-amount // 2**20)}m"
