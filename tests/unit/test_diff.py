"""What a difference between two specs is called, and that nothing secret shows in it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.diff import VALUE_CHARS_MAX, service_fields, stack_plan
from bayplan.model import (
    ContainerSpec,
    Dependency,
    DependencyCondition,
    FileKind,
    FileMount,
    HealthCheck,
    Mount,
    MountKind,
    NetworkAttachment,
    PortMode,
    PortSpec,
    Resources,
    ServiceSpec,
    StackFile,
    StackSpec,
)


def service(name: str = "web", **container: Any) -> ServiceSpec:
    return ServiceSpec(name=name, container=ContainerSpec(image="demo:1", **container))


def changes(before: ServiceSpec, after: ServiceSpec) -> list[tuple[str, str, str]]:
    return [(field.path, field.before, field.after) for field in service_fields(before, after)]


def of_container(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    return changes(service(**before), service(**after))


def test_equal_specs_do_not_differ_wherever_they_were_written() -> None:
    assert changes(service(), replace(service(), places={"image": "c.yml:3"})) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"command": ("serve", "a b")}, ("container.command", "", "serve 'a b'")),
        ({"command": ("x",)}, {"command": ()}, ("container.command", "x", "[]")),
        (
            {"environment": ("A=1", "B=2")},
            {"environment": ("A=1", "B=3")},
            ("container.environment.B", "2", "3"),
        ),
        ({"labels": {"a": "1"}}, {}, ("container.labels.a", "1", "")),
        ({"stop_grace_ms": 10_000}, {"stop_grace_ms": 90_000}, ("container.stop_grace", "10s", "1m30s")),
        (
            {},
            {"limits": Resources(memory_bytes=512 * 1024**2)},
            ("container.limits.memory", "", "512 MiB"),
        ),
        (
            {"ports": (PortSpec(target=80, published=8080, mode=PortMode.INGRESS),)},
            {"ports": (PortSpec(target=80, published=8081, host_ip="127.0.0.1"),)},
            ("container.ports.80/tcp", "8080:80/tcp", "127.0.0.1:8081:80/tcp (host)"),
        ),
        (
            {},
            {"mounts": (Mount(kind=MountKind.VOLUME, source="shop_data", target="/data", read_only=True),)},
            ("container.mounts./data", "", "shop_data:/data:ro"),
        ),
        (
            {"networks": (NetworkAttachment(network="a"), NetworkAttachment(network="b"))},
            {"networks": (NetworkAttachment(network="b"), NetworkAttachment(network="a"))},
            ("container.networks", "a, b", "b, a"),
        ),
        (
            {"health_check": HealthCheck(test=("CMD", "true"))},
            {"health_check": HealthCheck(test=("CMD", "true"), interval_ms=5_000)},
            ("container.health_check.interval", "30s", "5s"),
        ),
    ],
)
def test_a_change_stands_under_its_path_in_the_words_of_a_compose_file(
    before: dict[str, Any], after: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert of_container(before, after) == [expected]


def test_fields_of_the_service_itself_have_no_prefix() -> None:
    needs = Dependency(service="db", condition=DependencyCondition.HEALTHY)
    assert changes(service(), replace(service(), replicas=3, depends_on=(needs,))) == [
        ("replicas", "1", "3"),
        ("depends_on.db", "", "healthy"),
    ]


def test_new_content_of_a_secret_shows_as_its_digest() -> None:
    def mount(digest: str) -> FileMount:
        return FileMount(kind=FileKind.SECRET, source="shop_key", target="/run/secrets/key", digest=digest)

    before, after = {"files": (mount("a" * 64),)}, {"files": (replace(mount("b" * 64), mode=0o400),)}
    assert of_container(before, after) == [
        (
            "container.files./run/secrets/key",
            "secret shop_key@aaaaaaaaaaaa",
            "secret shop_key@bbbbbbbbbbbb, mode 0400",
        )
    ]


@pytest.mark.parametrize("name", ["DB_PASSWORD", "MYSQL_PASS", "API_KEY", "GITHUB_TOKEN", "AppSecret"])
def test_values_of_variables_that_are_secret_by_name_are_not_shown(name: str) -> None:
    (change,) = of_container({"environment": (f"{name}=hunter2",)}, {"environment": (f"{name}=hunter3",)})
    assert change == (f"container.environment.{name}", "(hidden)", "(hidden)")


def test_a_password_within_a_url_is_not_shown() -> None:
    (change,) = of_container({}, {"environment": ("DB=postgres://me:hunter2@db/shop",)})
    assert change[2] == "postgres://me:***@db/shop"
    (change,) = of_container(
        {"environment": ("DB=http://me:hunter2@db",)}, {"environment": ("DB=http://me:hunter3@db",)}
    )
    assert change[1:] == ("http://me:***@db (hidden)", "http://me:***@db (hidden)")


def test_a_long_value_is_cut() -> None:
    (change,) = of_container({}, {"environment": (f"A={'x' * 5_000}",)})
    assert len(change[2]) == VALUE_CHARS_MAX + 3


def test_two_stacks_give_a_plan_with_removals_last() -> None:
    secret = StackFile(kind=FileKind.SECRET, name="shop_key")
    before = StackSpec(name="shop", services=(service("old"), service("web"), service("api"), service("db")))
    after = StackSpec(
        name="shop",
        services=(
            service("new"), replace(service("web"), replicas=2), service("api", user="me"), service("db")
        ),
        files=(secret,),
    )  # fmt: skip
    plan = stack_plan(before, after, index=7)
    assert plan.index == 7
    assert [(each.change.service, each.change.action) for each in plan.services] == [
        ("shop_new", "create"),
        ("shop_web", "scale"),
        ("shop_api", "update"),
        ("shop_db", "same"),
        ("shop_old", "remove"),
    ]
    assert [(file.name, file.action) for file in plan.files] == [("shop_key", "create")]
