"""What the controller refuses of a stack, whoever sends it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import (
    Affinity,
    BlockIo,
    Dependency,
    Device,
    FileKind,
    FileMount,
    HealthCheck,
    Hook,
    MemoryTuning,
    Mount,
    MountKind,
    NetworkAttachment,
    PortSpec,
    Resources,
    Schedule,
    ServiceMode,
    ServiceSpec,
    StackFile,
    StackSpec,
    Ulimit,
    UpdatePolicy,
)
from controller.decide.check import PROBLEMS_MAX, check
from tests.unit.controller.world import service, stack


def container(**fields: Any) -> StackSpec:
    wished = service()
    return stack(
        msgspec.structs.replace(wished, container=msgspec.structs.replace(wished.container, **fields))
    )


def aside(**amounts: int) -> StackSpec:
    return stack(msgspec.structs.replace(service(), reservations=Resources(**amounts)))


def near(*affinities: Affinity) -> StackSpec:
    return stack(msgspec.structs.replace(service(), affinities=affinities))


def needs(name: str, *others: str, **fields: Any) -> ServiceSpec:
    wanted = {"required": True} | fields
    return service(name, depends_on=tuple(Dependency(service=each, **wanted) for each in others))


def files(*brought: StackFile) -> StackSpec:
    return msgspec.structs.replace(stack(service()), files=brought)


def secret(name: str = "shop_key", **fields: Any) -> StackFile:
    return StackFile(kind=FileKind.SECRET, name=name, **fields)


def mount(**fields: Any) -> Mount:
    return Mount(**{"kind": MountKind.VOLUME, "target": "/data"} | fields)


@pytest.mark.parametrize(
    ("wished", "said"),
    [
        (stack(service(ttl_ms=1)), "service 'web' has a ttl, which is for jobs, and it is none"),
        (
            stack(service(schedule=Schedule(cron="0 3 * * *"))),
            "service 'web' has a schedule, which is for jobs, and it is none",
        ),
        (
            stack(service(mode=ServiceMode.GLOBAL_JOB, schedule=Schedule(cron="0 3 * * *"), ttl_ms=1)),
            "service 'web' has both a schedule and a ttl, but a scheduled job never finishes",
        ),
        (
            stack(service(mode=ServiceMode.GLOBAL_JOB, schedule=Schedule(cron="0 25 * * *"))),
            "service 'web': '0 25 * * *' is no schedule: bad hour",
        ),
        (
            stack(service(mode=ServiceMode.GLOBAL_JOB, schedule=Schedule(cron="0 3 * * *", timezone="Mars"))),
            "service 'web': 'Mars' is no time zone; write it like Europe/Berlin",
        ),
        (stack(service(), name="Shop"), "stack name"),
        (stack(name="shop"), "no services"),
        (stack(service(), service()), "twice"),
        (stack(service("we b")), "service name"),
        (stack(service(image="")), "no image"),
        (stack(service(image="app 1")), "no image's name"),
        (stack(service(replicas=-1)), "replicas"),
        (stack(service(replicas=10_001)), "10001 replicas; 0 to 10000"),
        (stack(service(ports=[70_000])), "out of range"),
        (stack(service(constraints=("node.labls.a == b",))), "did you mean node.labels"),
        (stack(msgspec.structs.replace(service(), reservations=Resources(cpu_millis=-1))), "cpu_millis -1"),
        (stack(service(memory=2**60)), "more CPU, memory or disk than any machine"),
        (aside(disk_bytes=2**60), "more CPU, memory or disk than any machine"),
        (aside(disk_bytes=-1), "disk_bytes -1 is out of range"),
        (aside(pids=5_000_000), "5000000 processes aside; at most 4194304"),
        (container(limits=Resources(pids=1)), "pids_limit is the field"),
        (stack(service(constraints=("node.labels.a > x",))), "'x' is not a number"),
        (stack(service(constraints=("node.labels.a =~ (((",))), "is no regular expression"),
        (stack(service(constraints=("node.id == " + "x" * 600,))), "a constraint has 611 characters"),
        (stack(service(constraints=("node.id != a",) * 51)), "has 51 items of constraints; at most 50"),
        (stack(service(preferences=("node.zone",))), "is not an attribute of nodes"),
        (stack(service(preferences=("node.id",) * 11)), "has 11 items of preferences; at most 10"),
        (near(Affinity(service="a b")), "an affinity to 'a b', which is no service's name"),
        (near(Affinity(service="")), "an affinity to '', which is no service's name"),
        (near(Affinity(service="db", topology="zone")), "did you mean node.labels.zone?"),
        (near(*[Affinity(service="db")] * 21), "has 21 items of affinity; at most 20"),
        (stack(service(priority=101)), "has the priority 101; 0 to 100"),
        (stack(service(priority=-1)), "priority -1 is out of range"),
        (stack(service(labels={"": "x"})), "a label whose name has 0 letters"),
        (container(labels={"k" * 256: "x"}), "a label whose name has 256 letters; 1 to 255"),
        (container(labels={"k": "x" * 16_385}), "a value of 16385 letters; at most 16384"),
        (container(labels={f"k{n}": "" for n in range(1_001)}), "labels has 1001 items"),
        (stack(service(replicas=10**12)), "1000000000000 replicas; 0 to 10000"),
        (stack(service(generic={"gpu": -1})), "generic -1 is out of range"),
        (stack(service(max_replicas_per_node=-1)), "max_replicas_per_node -1"),
        (stack(service(update=UpdatePolicy(max_failure_ratio=1.5))), "not between 0 and 1"),
        (stack(service(update=UpdatePolicy(canaries=1), fence=True)), "a fenced slot never has two tasks"),
        (stack(service(update=UpdatePolicy(max_failure_ratio=float("nan")))), "not between 0 and 1"),
        (container(environment=("A=" + "x" * 2_000_000,)), "at most 1000000"),
        (container(environment=tuple(f"A{n}=" for n in range(1_001))), "1001 items"),
        (container(environment=("=x",)), "no name"),
        (container(labels={"a": "x\0y"}), "NUL"),
        (container(ports=(PortSpec(target=80, published=81), PortSpec(target=82, published=81))), "twice"),
        (container(expose=(PortSpec(target=0),)), "out of range"),
        (container(ports=(PortSpec(target=80, host_ip="here"),)), "no address"),
        (container(mounts=(mount(target="data"),)), "no absolute path"),
        (container(mounts=(mount(target="/"),)), "no absolute path"),
        (container(mounts=(mount(target="/a/../etc"),)), "no absolute path"),
        (container(mounts=(mount(kind=MountKind.BIND, source="./x"),)), "no absolute path"),
        (container(mounts=(mount(source="../x"),)), "no volume's name"),
        (container(mounts=(mount(), mount(target="/data/"))), "two mounts"),
        (container(mounts=(mount(tmpfs_mode=-1),)), "tmpfs_mode -1"),
        (container(networks=(NetworkAttachment(network="a"),) * 2), "twice"),
        (container(network_mode="container:x"), "not host or none"),
        (container(network_mode="host", networks=(NetworkAttachment(network="a"),)), "exclude each other"),
        (container(stop_grace_ms=-1), "stop_grace_ms -1"),
        (container(stop_signal="KILL; rm"), "no signal"),
        (container(health_check=HealthCheck(test=())), "no command"),
        (container(health_check=HealthCheck(test=("x",), retries=-1)), "retries -1"),
        (container(post_start=(Hook(command=()),)), "empty"),
        (container(ulimits=(Ulimit(name="nofile", soft=-2, hard=1),)), "soft -2"),
        (container(devices=(Device(source="x", target="/x"),)), "absolute paths"),
        (container(memory=MemoryTuning(swappiness=101)), "swappiness 101"),
        (container(block_io=BlockIo(weight=5)), "between 10 and 1000"),
        (
            container(files=(FileMount(kind=FileKind.SECRET, source="shop_key", target="/k"),)),
            "has no secret 'shop_key'",
        ),
        (stack(needs("a", "b")), "depends on 'b', which is not there"),
        (stack(needs("a", "b"), needs("b", "c"), needs("c", "a")), "a -> b -> c -> a"),
        (stack(needs("a", "a")), "a -> a"),
        (files(secret(), secret()), "'secret/shop_key' is there twice"),
        (files(secret("../key")), "secret name"),
        (files(secret(content=b"x" * (FILE_BYTES_MAX + 1))), "at most 500 KiB"),
        (files(secret(labels={"a": "x" * 70_000})), "labels"),
        (files(*(secret(f"k{n}", content=b"x" * FILE_BYTES_MAX) for n in range(25))), "12 MiB"),
    ],
)
def test_a_stack_from_any_client_is_checked(wished: StackSpec, said: str) -> None:
    assert any(said in problem.summary for problem in check(wished)), check(wished)


@pytest.mark.parametrize(
    "good",
    [
        stack(service(ports=[80]), service("api")),
        stack(needs("a", "b"), service("b")),
        stack(needs("a", "absent", required=False)),
        container(memory=MemoryTuning(swap_bytes=-1, oom_score_adjustment=-500)),
        container(ulimits=(Ulimit(name="memlock", soft=-1, hard=-1),)),
        container(mounts=(mount(source="shop_data"), mount(target="/b", kind=MountKind.BIND, source="/b"))),
        container(mounts=(mount(source="data-{{.Task.Slot}}"),)),
        container(network_mode="host"),
        files(secret(content=b"x" * FILE_BYTES_MAX)),
        files(secret("db_password", external=True)),
    ],
)
def test_a_good_stack_passes(good: StackSpec) -> None:
    assert check(good) == ()


def test_a_fault_points_at_the_users_file() -> None:
    wished = stack(service(container={"mounts": (mount(target="x"),)}, places={"volumes": "c.yml:7"}))
    assert [problem.place for problem in check(wished)] == ["c.yml:7"]
    wished = stack(service(container={"mounts": (mount(target="x"),)}, places={"service": "c.yml:2"}))
    assert [problem.place for problem in check(wished)] == ["c.yml:2"]


def test_no_answer_is_endless() -> None:
    wished = stack(*(service(f"s{n}", image="") for n in range(500)))
    assert len(check(wished)) == PROBLEMS_MAX


def test_an_error_repeats_only_a_part_of_a_long_name() -> None:
    assert all(
        len(problem.summary) < 300 for problem in check(stack(service("x" * 100_000), name="y" * 100_000))
    )
