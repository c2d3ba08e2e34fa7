"""What `inspect` shows of services and nodes, as JSON and for people."""

from __future__ import annotations

from bayplan.model import (
    Affinity,
    Availability,
    ContainerSpec,
    HomePolicy,
    Inventory,
    NodeStatus,
    Resources,
    RestartCondition,
    RestartPolicy,
    Schedule,
    ServiceMode,
    ServiceSpec,
    Strategy,
    UpdatePolicy,
)
from bayplan.render.docker_json import node_json, service_json
from bayplan.render.pretty import node_lines, service_lines
from bayplan.render.reservation import reserved
from bayplan.views import NodeView, Origin, Reservation, ServiceView

VIEW = ServiceView(
    id="s1", name="shop_job", stack="shop", mode=ServiceMode.REPLICATED_JOB, next_run_ms=86_400_000
)


def spec(**fields: object) -> ServiceSpec:
    return ServiceSpec(name="job", container=ContainerSpec(image="demo:1"), **fields)  # type: ignore[arg-type]


def shown(lines: list[str]) -> dict[str, str]:
    """The values by their keys."""
    pairs = (line.partition(":") for line in lines if not line.startswith(" "))
    return {key: value.strip() for key, _, value in pairs}


def test_a_schedule_is_shown_with_its_zone_and_its_next_run() -> None:
    job = spec(
        schedule=Schedule(cron="@daily", timezone="Europe/Berlin", catch_up_ms=3_600_000), ttl_ms=60_000
    )
    lines = shown(service_lines(VIEW, job))
    assert lines["Schedule"] == "@daily (Europe/Berlin), made up for within 1h"
    assert lines["Next run"] == "1970-01-02T00:00:00.000Z"
    assert lines["Time to live"] == "1m"
    assert service_json(VIEW, job)["Schedule"] == {
        "Cron": "@daily",
        "TimeZone": "Europe/Berlin",
        "CatchUp": 3_600_000_000_000,
        "NextRun": "1970-01-02T00:00:00.000Z",
    }


def test_a_service_without_a_schedule_has_none() -> None:
    plain = ServiceView(id="s1", name="shop_job", stack="shop")
    assert service_json(plain, spec())["Schedule"] is None
    assert {"Schedule", "Next run", "Fenced", "Time to live"} & shown(
        service_lines(plain, spec())
    ).keys() == set()


def test_policies_are_told_whole() -> None:
    lines = shown(
        service_lines(
            VIEW,
            spec(
                update=UpdatePolicy(parallelism=0, delay_ms=2_000, canaries=2),
                restart=RestartPolicy(
                    condition=RestartCondition.ON_FAILURE, delay_ms=2_000, max_attempts=3, window_ms=60_000
                ),
                fence=True,
            ),
        )
    )
    assert lines["Update"] == (
        "all at once, auto, 2s between, watched for 5s, on failure rollback, 2 canaries, within 5m a step"
    )
    assert lines["Restart"] == "on-failure, after 2s, doubling, at most 3 times within 1m"
    assert lines["Fenced"] == "an isolated node stops its copy before another starts"
    assert service_json(VIEW, spec(update=UpdatePolicy(canaries=2)))["Spec"]["UpdateConfig"]["Canaries"] == 2


def test_where_tasks_may_run_is_told_whole() -> None:
    placed = spec(
        strategy=Strategy.SPREAD,
        affinities=(
            Affinity(service="db"),
            Affinity(service="job", topology="node.labels.zone", anti=True, required=True),
        ),
        priority=80,
        homes=HomePolicy.STAY,
        generic={"gpu": 2},
        reservations=Resources(disk_bytes=1024**3, pids=100),
    )
    lines = service_lines(VIEW, placed)
    assert lines[lines.index("Affinities:    near db") + 1].strip() == (
        "away from job in node.labels.zone, required"
    )
    told = shown(lines)
    assert (told["Strategy"], told["Priority"]) == ("spread", "80")
    assert told["Volumes"] == "its tasks stay where its volumes have data"
    found = service_json(VIEW, placed)
    assert found["Affinities"] == [
        {"Service": "db", "Topology": "node", "Anti": False, "Required": False},
        {"Service": "job", "Topology": "node.labels.zone", "Anti": True, "Required": True},
    ]
    assert (found["Strategy"], found["Priority"], found["VolumeHomes"]) == ("spread", 80, "stay")
    assert found["Spec"]["TaskTemplate"]["Resources"]["Reservations"] == {
        "NanoCPUs": 0,
        "MemoryBytes": 0,
        "DiskBytes": 1024**3,
        "Pids": 100,
        "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}],
    }


def test_what_a_task_sets_aside_names_disk_and_processes() -> None:
    asked = Resources(cpu_millis=50, memory_bytes=1024**2, disk_bytes=1024**3, pids=100)
    aside = Reservation(resources=asked, cpu_origin=Origin.DEFAULT, memory_origin=Origin.DEFAULT)
    assert reserved(aside) == "0.05 CPU (default), 1MiB (default), 1GiB disk, 100 pids"


def test_what_constraints_may_ask_of_a_node_is_shown() -> None:
    node = NodeView(
        id="n",
        name="n1",
        status=NodeStatus.READY,
        availability=Availability.ACTIVE,
        inventory=Inventory(
            capacity=Resources(cpu_millis=2_000, disk_bytes=1024**3, pids=100),
            generic={"gpu": 2},
            engine_labels={"disk": "ssd"},
        ),
    )
    lines = shown(node_lines(node))
    assert (lines["Engine labels"], lines["Generic"]) == ("disk=ssd", "gpu 2")
    assert lines["Has"] == "2 CPU, 1GiB disk, 100 pids"
    described = node_json(node)["Description"]
    assert described["Engine"]["Labels"] == {"disk": "ssd"}
    assert described["Resources"]["GenericResources"][0]["DiscreteResourceSpec"]["Value"] == 2


def test_what_is_unusual_about_a_node_is_shown() -> None:
    node = NodeView(
        id="n", name="n1", status=NodeStatus.DOWN, availability=Availability.DRAIN, engine_silent_ms=12_000,
        held="2 of 3 nodes fell silent", shaky_ms=60_000, drain_until_ms=86_400_000,
    )  # fmt: skip
    lines = shown(node_lines(node))
    assert lines["Engine silent"] == "12s"
    assert lines["Held"] == "2 of 3 nodes fell silent"
    assert lines["Spared for"] == "1m"
    assert lines["Drain until"] == "1970-01-02T00:00:00.000Z"
    status = node_json(node)["Status"]
    assert (status["EngineSilentMs"], status["Held"]) == (12_000, "2 of 3 nodes fell silent")
