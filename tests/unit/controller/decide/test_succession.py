"""Which goes first, the old task or the new one, and why."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.model import (
    Device,
    Mount,
    MountKind,
    NetworkAttachment,
    ServiceMode,
    UpdateOrder,
    UpdatePolicy,
)
from controller.decide.succession import AS_ASKED, UNHINDERED, resolve
from tests.unit.controller.world import service

START_FIRST, STOP_FIRST = UpdateOrder.START_FIRST, UpdateOrder.STOP_FIRST
DATA = Mount(kind=MountKind.VOLUME, target="/data", source="shop_data")
FOLDER = Mount(kind=MountKind.BIND, target="/data", source="/srv/data")


def chosen(order: UpdateOrder = UpdateOrder.AUTO, **fields: Any) -> tuple[UpdateOrder, str]:
    return resolve(UpdatePolicy(order=order), service(**fields))


def mounting(mount: Mount) -> dict[str, Any]:
    return {"container": {"mounts": (mount,)}}


def test_the_successor_starts_first_where_nothing_stands_against_it() -> None:
    assert chosen() == (START_FIRST, UNHINDERED)
    assert chosen(replicas=5, ports=[0]) == (START_FIRST, UNHINDERED)


@pytest.mark.parametrize(
    "mount",
    [
        Mount(kind=MountKind.VOLUME, target="/data", source="shop_data", read_only=True),
        Mount(kind=MountKind.BIND, target="/data", source="/srv/data", read_only=True),
        Mount(kind=MountKind.VOLUME, target="/cache"),
        Mount(kind=MountKind.TMPFS, target="/run"),
    ],
)
def test_what_two_tasks_cannot_both_write_to_does_not_stand_against_it(mount: Mount) -> None:
    assert chosen(**mounting(mount)) == (START_FIRST, UNHINDERED)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mode": ServiceMode.GLOBAL}, "it has one task on each node"),
        (mounting(DATA), "it writes to volume shop_data"),
        (mounting(FOLDER), "it writes to /srv/data of its node"),
        ({"ports": [8080]}, "it publishes port 8080 of its node"),
        ({"container": {"network_mode": "host"}}, "it uses the ports of its node"),
        (
            {"container": {"networks": (NetworkAttachment(network="n", ipv4_address="10.1.0.9"),)}},
            "its address 10.1.0.9 is fixed",
        ),
        (
            {"container": {"devices": (Device(source="/dev/tty1", target="/dev/tty1"),)}},
            "it uses /dev/tty1 of its node",
        ),
        ({"max_replicas_per_node": 1}, "a node may have 1 of its tasks"),
    ],
)
def test_else_the_old_task_stops_first_unless_the_user_wants_it_otherwise(
    fields: dict[str, Any], reason: str
) -> None:
    assert chosen(**fields) == (STOP_FIRST, reason)
    assert chosen(START_FIRST, **fields) == (START_FIRST, AS_ASKED)


def test_a_job_and_a_fenced_service_never_have_two_tasks_in_a_slot() -> None:
    assert chosen(START_FIRST, fence=True) == (STOP_FIRST, "it is fenced: a slot never has two tasks")
    assert chosen(START_FIRST, mode=ServiceMode.REPLICATED_JOB) == (STOP_FIRST, "it is a job")


def test_stop_first_is_as_it_was_asked_for() -> None:
    assert chosen(STOP_FIRST) == (STOP_FIRST, AS_ASKED)
