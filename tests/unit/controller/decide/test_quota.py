"""What a stack sets aside, against what it may."""

from __future__ import annotations

import pytest

from bayplan.errors import ProblemError
from bayplan.model import Resources
from controller.decide.quota import AMOUNT_MAX, TASKS_MAX, Used, check, fault, used
from controller.records import Quota
from tests.unit.controller.world import GIB, service

NOTHING = Resources()


def quota(tasks: int = 0, **limit: int) -> Quota:
    return Quota(stack="shop", limit=Resources(**limit), tasks=tasks)


def uses(tasks: int = 0, **amounts: int) -> Used:
    return Used(Resources(**amounts), tasks)


def test_all_replicas_count_with_what_each_sets_aside() -> None:
    services = [
        (service(cpu=500, memory=GIB), 3),
        (service("db", container={"limits": Resources(cpu_millis=2_000)}), 1),
    ]
    defaults = Resources(cpu_millis=50, memory_bytes=64)
    assert used(services, defaults) == uses(4, cpu_millis=3_500, memory_bytes=3 * GIB + 64)
    assert used([], defaults) == uses()


@pytest.mark.parametrize(
    ("limit", "before", "after", "details"),
    [
        (quota(cpu_millis=2_000), uses(cpu_millis=1_000), uses(cpu_millis=2_000), ()),
        (
            quota(cpu_millis=2_000),
            uses(cpu_millis=1_000),
            uses(cpu_millis=2_500),
            ("CPU: 2.5 CPU wanted, 2 CPU allowed: 0.5 CPU too much (now 1 CPU)",),
        ),
        (
            quota(tasks=2, memory_bytes=GIB),
            uses(2, memory_bytes=GIB),
            uses(3, memory_bytes=3 * GIB),
            (
                "memory: 3 GiB wanted, 1 GiB allowed: 2 GiB too much (now 1 GiB)",
                "tasks: 3 wanted, 2 allowed: 1 too much (now 2)",
            ),
        ),
        (
            quota(disk_bytes=1, pids=5),
            uses(),
            uses(disk_bytes=3, pids=6),
            (
                "disk: 3 B wanted, 1 B allowed: 2 B too much (now 0 B)",
                "processes: 6 wanted, 5 allowed: 1 too much (now 0)",
            ),
        ),
        (quota(cpu_millis=1_000), uses(cpu_millis=9_000), uses(cpu_millis=8_000), ()),  # it shrinks
        (quota(cpu_millis=1_000), uses(9, cpu_millis=9_000), uses(99, cpu_millis=9_000), ()),  # not in CPU
        (quota(tasks=1), uses(), uses(1, cpu_millis=10**9, memory_bytes=10**15), ()),  # no limit there
    ],
)
def test_what_grows_beyond_is_named_with_how_much(
    limit: Quota, before: Used, after: Used, details: tuple[str, ...]
) -> None:
    found = fault(limit, before, after)
    assert (found.details if found else ()) == details


def test_the_way_out_is_a_command_that_would_do() -> None:
    found = fault(quota(tasks=1, cpu_millis=1), uses(), uses(3, cpu_millis=1_500, memory_bytes=5))
    assert found is not None
    assert found.hint.endswith("`bayplan stack quota set shop --cpus 1.5 --tasks 3`")
    assert found.summary == "the quota of stack shop is exceeded"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (quota(), "limits nothing"),
        (quota(tasks=-1), "a quota of -1 tasks"),
        (quota(tasks=TASKS_MAX + 1), "tasks: 0 to"),
        (quota(cpu_millis=-1), "a quota of -1 CPU is out of range"),
        (quota(pids=AMOUNT_MAX + 1), "processes is out of range"),
        (Quota(stack="No Stack", tasks=1), "'No Stack' is no stack's name"),
    ],
)
def test_a_quota_that_makes_no_sense_is_refused(wrong: Quota, said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        check(wrong)
    assert said in caught.value.problem.summary
