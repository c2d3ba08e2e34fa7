"""Liveness, restarts and the registry's rows, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.lifecycle import TaskState
from bayplan.model import (
    BoundPort,
    Desired,
    Health,
    NodeStatus,
    PortSpec,
    Protocol,
    RestartCondition,
    RestartPolicy,
    TaskStatus,
)
from controller.decide import registry, restarts
from controller.decide.liveness import Signs, Timing, judge
from controller.records import Node, Task
from tests.unit.controller.world import service


@pytest.mark.parametrize(
    ("silent_ms", "connected", "ever", "status"),
    [
        (0, True, True, NodeStatus.READY),
        (3_999, True, True, NodeStatus.READY),
        (4_000, True, True, NodeStatus.SUSPECT),
        (0, False, True, NodeStatus.SUSPECT),
        (5_999, False, True, NodeStatus.SUSPECT),
        (6_000, True, True, NodeStatus.DOWN),
        (9_999, False, False, NodeStatus.UNKNOWN),
        (10_000, False, False, NodeStatus.DOWN),
    ],
)
def test_a_nodes_lease(silent_ms: int, connected: bool, ever: bool, status: NodeStatus) -> None:
    found, again_ms = judge(Timing(), Signs(1_000, connected, ever), 1_000 + silent_ms)
    assert found is status
    assert again_ms > 1_000 + silent_ms or status is NodeStatus.DOWN


@pytest.mark.parametrize(
    ("policy", "state", "ends", "wanted"),
    [
        ({}, TaskState.COMPLETE, [0], True),
        ({"condition": RestartCondition.ON_FAILURE}, TaskState.COMPLETE, [0], False),
        ({"condition": RestartCondition.ON_FAILURE}, TaskState.FAILED, [0], True),
        ({"condition": RestartCondition.NONE}, TaskState.FAILED, [0], False),
        ({"condition": RestartCondition.NONE}, TaskState.LOST, [0], True),
        ({"max_attempts": 2}, TaskState.FAILED, [1, 2], True),
        ({"max_attempts": 2}, TaskState.FAILED, [1, 2, 3], False),
        ({"max_attempts": 2, "window_ms": 100}, TaskState.FAILED, [1, 2, 950], True),
    ],
)
def test_who_gets_a_successor(
    policy: dict[str, Any], state: TaskState, ends: list[int], wanted: bool
) -> None:
    assert restarts.wants_successor(RestartPolicy(**policy), state, ends) is wanted


@pytest.mark.parametrize(
    ("delay_ms", "waits"),
    [(0, [0, 1_000, 2_000, 4_000]), (5_000, [5_000, 10_000, 20_000, 40_000])],
)
def test_the_wait_doubles_up_to_five_minutes(delay_ms: int, waits: list[int]) -> None:
    policy = RestartPolicy(delay_ms=delay_ms)
    assert [restarts.delay_ms(policy, n) for n in (1, 2, 3, 4)] == waits
    assert restarts.delay_ms(policy, 1_000) == 300_000


def seen(state: TaskState = TaskState.RUNNING, **fields: Any) -> registry.Seen:
    """A task of slot 1 on n1; `status`, `node_status`, `spec` and fields of the task may be given."""
    status = TaskStatus(task_id="t", state=state, address="172.18.0.2", **fields.pop("status", {}))
    spec = service(**fields.pop("spec", {}))
    node = Node(id="i", name="n1", address="10.0.0.1")
    node_status = fields.pop("node_status", NodeStatus.READY)
    task = Task(id="t", service_id="s", slot=fields.pop("slot", 1), version=1, node_id="i", **fields)
    return registry.Seen(task=task, status=status, spec=spec, node=node, node_status=node_status)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (seen(), ""),
        (seen(status={"health": Health.HEALTHY}), ""),
        (seen(node_status=NodeStatus.SUSPECT), ""),
        (seen(status={"health": Health.UNHEALTHY}), "its health check fails"),
        (seen(TaskState.STARTING), "its health check has not passed yet"),
        (seen(TaskState.STOPPING), "it is stopping"),
        (seen(desired=Desired.STOP), "it is stopping"),
        (seen(removing=True), "it is stopping"),
        (seen(node_status=NodeStatus.DOWN), "its node is down"),
    ],
)
def test_who_can_be_used(row: registry.Seen, reason: str) -> None:
    (instance,) = registry.instances([row])
    assert (instance.reason, instance.ready) == (reason, not reason)


def test_who_has_ended_is_not_shown() -> None:
    assert registry.instances([seen(TaskState.FAILED)]) == ()


@pytest.mark.parametrize(
    ("host_ip", "address"), [("", "10.0.0.1"), ("0.0.0.0", "10.0.0.1"), ("127.0.0.1", "127.0.0.1")]
)
def test_a_published_port_is_reached_at_the_node(host_ip: str, address: str) -> None:
    bound = (BoundPort(target=80, published=8080, host_ip=host_ip),)
    (instance,) = registry.instances([seen(spec={"ports": [8080]}, status={"ports": bound})])
    assert (instance.address, instance.port) == (address, 8080)


def test_of_ports_that_differ_by_family_the_one_for_the_nodes_address_is_given() -> None:
    bound = (BoundPort(target=80, published=32777, host_ip="::"), BoundPort(target=80, published=32778))
    (instance,) = registry.instances([seen(spec={"ports": [80]}, status={"ports": bound})])
    assert (instance.address, instance.port) == ("10.0.0.1", 32778)


def test_an_exposed_port_is_reached_at_the_container() -> None:
    row = seen(spec={"container": {"expose": (PortSpec(target=6379),)}})
    (instance,) = registry.instances([row])
    assert (instance.address, instance.port) == ("172.18.0.2", 6379)


def test_ports_have_the_names_of_the_spec() -> None:
    ports = (
        PortSpec(target=80, published=8080, name="http"),
        PortSpec(target=80, published=8081, name="old"),
        PortSpec(target=443, name="https"),
        PortSpec(target=53, protocol=Protocol.UDP, published=53),
    )
    expose = (PortSpec(target=9090, name="metrics"),)
    bound = (
        BoundPort(target=80, published=8080),
        BoundPort(target=80, published=8081),
        BoundPort(target=443, published=32768),
        BoundPort(target=53, published=53, protocol=Protocol.UDP),
    )
    row = seen(status={"ports": bound})
    spec = replace(row.spec, container=replace(row.spec.container, ports=ports, expose=expose))
    (entry,) = registry.entries([row._replace(spec=spec)])
    assert [(port.name, port.published) for port in entry.ports] == [
        ("http", 8080),
        ("old", 8081),
        ("https", 32768),
        ("", 53),
        ("metrics", 0),
    ]


def test_instances_on_suspect_nodes_come_last() -> None:
    rows = [seen(slot=1, node_status=NodeStatus.SUSPECT), seen(slot=2)]
    assert [instance.slot for instance in registry.instances(rows)] == [2, 1]


def test_a_revision_is_beyond_those_of_earlier_epochs() -> None:
    assert registry.next_revision(1, 0) == 1
    assert registry.next_revision(1, 7) == 8
    assert registry.next_revision(2, 0) > registry.next_revision(1, 10_000)
