"""What `inspect` shows of services and nodes, as JSON and for people."""

from __future__ import annotations

from bayplan.model import (
    Availability,
    ContainerSpec,
    NodeStatus,
    RestartCondition,
    RestartPolicy,
    Schedule,
    ServiceMode,
    ServiceSpec,
    UpdatePolicy,
)
from bayplan.render.docker_json import node_json, service_json
from bayplan.render.pretty import node_lines, service_lines
from bayplan.views import NodeView, ServiceView

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
