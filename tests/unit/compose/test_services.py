"""What each key of a service becomes."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.model import (
    HealthCheck,
    LogConfig,
    Mount,
    MountKind,
    NetworkAttachment,
    PortMode,
    PortSpec,
    Protocol,
    Resources,
    RestartCondition,
    RestartPolicy,
    UpdateOrder,
    UpdatePolicy,
    VolumeSpec,
)
from tests.unit.compose.world import loaded, service, wrapped

BIND, VOLUME, TMPFS = MountKind.BIND, MountKind.VOLUME, MountKind.TMPFS
MIB = 1024**2


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ("command: a 'b c' --d=$$E", "command", ("a", "b c", "--d=$E")),
        ("command: [a, 1, true]", "command", ("a", "1", "true")),
        ("command: ''", "command", ()),
        ("command:", "command", None),
        ("entrypoint: /run.sh x", "entrypoint", ("/run.sh", "x")),
        ("entrypoint: []", "entrypoint", ()),
        ("environment: {B: 1.10, A: True, C: , D: 'no'}", "environment", ("A=true", "B=1.10", "C", "D=no")),
        ("environment: [B=1, A, C=x=y, D=]", "environment", ("A", "B=1", "C=x=y", "D=")),
        ("labels: {a: 1, b: , c.d: Host(`x`)}", "labels", {"a": "1", "b": "", "c.d": "Host(`x`)"}),
        ("labels: [a=1, b]", "labels", {"a": "1", "b": ""}),
        ("hostname: h1", "hostname", "h1"),
        ("user: 1000:1000", "user", "1000:1000"),
        ("working_dir: /app", "working_dir", "/app"),
        ("tty: true", "tty", True),
        ("stdin_open: yes", "stdin_open", True),
        ("read_only: 'true'", "read_only", True),
        ("init: on", "init", True),
        ("stop_signal: SIGQUIT", "stop_signal", "SIGQUIT"),
        ("stop_grace_period: 1m30s", "stop_grace_ms", 90_000),
        ("stop_grace_period: 0s", "stop_grace_ms", 0),
        ("", "stop_grace_ms", 10_000),
        (
            "expose: [80, '81/udp', 90-91]",
            "expose",
            (
                PortSpec(target=80),
                PortSpec(target=81, protocol=Protocol.UDP),
                PortSpec(target=90),
                PortSpec(target=91),
            ),
        ),
        (
            "logging: {driver: journald, options: {max-file: 3}}",
            "log",
            LogConfig(driver="journald", options={"max-file": "3"}),
        ),
        ("cap_add: [CAP_NET_ADMIN, sys_time]", "cap_add", ("NET_ADMIN", "SYS_TIME")),
        ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
        (
            "extra_hosts: ['a:1.2.3.4', 'b=::1', 'c:[::1]', 'd:host-gateway']",
            "extra_hosts",
            ("a:1.2.3.4", "b:::1", "c:::1", "d:host-gateway"),
        ),
        (
            "extra_hosts: {a: 1.2.3.4, b: [1.1.1.1, 2.2.2.2]}",
            "extra_hosts",
            ("a:1.2.3.4", "b:1.1.1.1", "b:2.2.2.2"),
        ),
    ],
)
def test_a_key_becomes_a_field_of_the_container(body: str, field: str, value: Any) -> None:
    assert getattr(service(body).container, field) == value


def test_a_name_without_value_takes_the_environments() -> None:
    assert service("environment: [A, B=]", A="host", B="host").container.environment == ("A=host", "B=")


def everywhere(target: int, published: int = 0) -> PortSpec:
    return PortSpec(target=target, published=published, mode=PortMode.INGRESS)


@pytest.mark.parametrize(
    ("body", "ports"),
    [
        ("ports: [8080:80, 443]", [everywhere(80, 8080), everywhere(443)]),
        ("ports: [22:22]", [everywhere(22, 22)]),
        ("ports: ['80:80', '80:80']", [everywhere(80, 80)]),
        (
            "ports: [{target: 80, published: '8080', protocol: udp, host_ip: 127.0.0.1, mode: host}]",
            [PortSpec(target=80, published=8080, protocol=Protocol.UDP, host_ip="127.0.0.1")],
        ),
        ("ports: [{target: 80, mode: ingress}]", [everywhere(80)]),
        ("ports: [{target: 80-81, published: 90-91}]", [everywhere(80, 90), everywhere(81, 91)]),
    ],
)
def test_ports_are_published(body: str, ports: list[PortSpec]) -> None:
    assert service(body).container.ports == tuple(ports)


@pytest.mark.parametrize(
    ("written", "mount"),
    [
        ("data:/d", Mount(kind=VOLUME, source="shop_data", target="/d", volume=VolumeSpec())),
        (
            "data:/d/:ro,nocopy",
            Mount(
                kind=VOLUME,
                source="shop_data",
                target="/d",
                read_only=True,
                no_copy=True,
                volume=VolumeSpec(),
            ),
        ),
        ("old:/d:rw", Mount(kind=VOLUME, source="legacy", target="/d")),
        ("/d", Mount(kind=VOLUME, target="/d")),
        (
            "/host:/d:rslave,ro",
            Mount(
                kind=BIND,
                source="/host",
                target="/d",
                read_only=True,
                create_source=True,
                propagation="rslave",
            ),
        ),
        ("/host:/d", Mount(kind=BIND, source="/host", target="/d", create_source=True)),
        ("./a/../b:/d", Mount(kind=BIND, source="/srv/app/b", target="/d", create_source=True)),
        ("../b:/d", Mount(kind=BIND, source="/srv/b", target="/d", create_source=True)),
        (".:/d", Mount(kind=BIND, source="/srv/app", target="/d", create_source=True)),
        ("~/b:/d", Mount(kind=BIND, source="/home/me/b", target="/d", create_source=True)),
        ("~:/d", Mount(kind=BIND, source="/home/me", target="/d", create_source=True)),
        (
            "{type: volume, source: data, target: /d, volume: {nocopy: false}}",
            Mount(kind=VOLUME, source="shop_data", target="/d", volume=VolumeSpec()),
        ),
        ("{type: volume, target: /d}", Mount(kind=VOLUME, target="/d")),
        (
            "{type: bind, source: ./b, target: /d, read_only: true, bind: {create_host_path: true}}",
            Mount(kind=BIND, source="/srv/app/b", target="/d", read_only=True, create_source=True),
        ),
        (
            "{type: tmpfs, target: /d, tmpfs: {size: 64m, mode: 01777}}",
            Mount(kind=TMPFS, target="/d", tmpfs_size_bytes=64 * MIB, tmpfs_mode=0o1777),
        ),
    ],
)
def test_volumes_are_mounted(written: str, mount: Mount) -> None:
    assert service(
        f"volumes: [{written if written[0] == '{' else repr(written)}]", HOME="/home/me"
    ).container.mounts == (mount,)


@pytest.mark.parametrize("body", ["tmpfs: '/d:size=64m,mode=1777'", "tmpfs: ['/d:mode=1777,size=65536k']"])
def test_tmpfs_is_mounted(body: str) -> None:
    mount = Mount(kind=TMPFS, target="/d", tmpfs_size_bytes=64 * MIB, tmpfs_mode=0o1777)
    assert service(body).container.mounts == (mount,)


@pytest.mark.parametrize(
    ("body", "networks"),
    [
        ("", [NetworkAttachment(network="shop_default", aliases=("web",))]),
        ("networks: [back]", [NetworkAttachment(network="shop_back", aliases=("web",))]),
        (
            "networks: {default: , back: {aliases: [a, web]}}",
            [
                NetworkAttachment(network="shop_default", aliases=("web",)),
                NetworkAttachment(network="shop_back", aliases=("web", "a")),
            ],
        ),
        ("container_name: box", [NetworkAttachment(network="shop_default", aliases=("web", "box"))]),
    ],
)
def test_a_service_is_in_its_networks_under_its_names(body: str, networks: list[NetworkAttachment]) -> None:
    assert service(body).container.networks == tuple(networks)


@pytest.mark.parametrize(
    ("body", "check"),
    [
        ("healthcheck: {test: curl localhost}", HealthCheck(test=("CMD-SHELL", "curl localhost"))),
        (
            "healthcheck: {test: [CMD, curl, 1], interval: 5s, timeout: 1s, start_period: 2s, retries: 7}",
            HealthCheck(
                test=("CMD", "curl", "1"),
                interval_ms=5_000,
                timeout_ms=1_000,
                start_period_ms=2_000,
                retries=7,
            ),
        ),
        (
            "healthcheck: {interval: 5s}",
            HealthCheck(test=(), interval_ms=5_000, timeout_ms=0, retries=0),
        ),
        ("healthcheck: {test: x, interval: 0s, retries: 0}", HealthCheck(test=("CMD-SHELL", "x"))),
        ("", None),
        ("healthcheck: {disable: false}", None),
    ],
)
def test_a_health_check_has_usual_values_or_the_images(body: str, check: HealthCheck | None) -> None:
    container = service(body).container
    assert (container.health_check, container.health_check_disabled) == (check, False)


@pytest.mark.parametrize(
    "written", ["{test: [NONE]}", "{test: NONE}", "{disable: true}", "{test: x, disable: true}"]
)
def test_a_health_check_can_be_switched_off(written: str) -> None:
    container = service(f"healthcheck: {written}").container
    assert (container.health_check, container.health_check_disabled) == (None, True)


@pytest.mark.parametrize(
    ("body", "limits", "reservations"),
    [
        (
            "mem_limit: 64m\nmem_reservation: 32m\ncpus: 0.5",
            Resources(cpu_millis=500, memory_bytes=64 * MIB),
            Resources(memory_bytes=32 * MIB),
        ),
        (
            "deploy: {resources: {limits: {cpus: 2, memory: 64M}, reservations: {cpus: .5, memory: 32M}}}",
            Resources(cpu_millis=2_000, memory_bytes=64 * MIB),
            Resources(cpu_millis=500, memory_bytes=32 * MIB),
        ),
        (
            "mem_limit: 64m\ndeploy: {resources: {limits: {memory: 65536k}}}",
            Resources(memory_bytes=64 * MIB),
            Resources(),
        ),
        ("", Resources(), Resources()),
    ],
)
def test_resources_come_from_either_version(body: str, limits: Resources, reservations: Resources) -> None:
    web = service(body)
    assert (web.container.limits, web.reservations) == (limits, reservations)


@pytest.mark.parametrize(
    ("body", "policy"),
    [
        ("", RestartPolicy()),
        ("restart: always", RestartPolicy()),
        ("restart: unless-stopped", RestartPolicy()),
        ("restart: no", RestartPolicy(condition=RestartCondition.NONE)),
        ("restart: 'no'", RestartPolicy(condition=RestartCondition.NONE)),
        ("restart: on-failure", RestartPolicy(condition=RestartCondition.ON_FAILURE)),
        ("restart: on-failure:3", RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=3)),
        (
            "restart: no\ndeploy: {restart_policy: {condition: any, delay: 5s, max_attempts: 2, window: 1m}}",
            RestartPolicy(delay_ms=5_000, max_attempts=2, window_ms=60_000),
        ),
        ("deploy: {restart_policy: {condition: unless-stopped}}", RestartPolicy()),
        (
            "deploy: {restart_policy: {condition: none, delay: 0s}}",
            RestartPolicy(condition=RestartCondition.NONE, delay_ms=0),
        ),
    ],
)
def test_restart_is_mapped_unless_deploy_says_more(body: str, policy: RestartPolicy) -> None:
    assert service(body).restart == policy


def test_deploy_says_how_many_and_where() -> None:
    web = service(
        """
        deploy:
          mode: replicated
          replicas: 3
          labels: {team: a}
          update_config: {parallelism: 0, delay: 5s, order: stop-first}
          placement:
            constraints: [node.labels.zone==a, node.role != manager]
            max_replicas_per_node: 2
        """
    )
    assert (web.replicas, web.max_replicas_per_node, web.labels) == (3, 2, {"team": "a"})
    assert web.constraints == ("node.labels.zone == a", "node.role != manager")
    assert web.update == UpdatePolicy(parallelism=0, delay_ms=5_000, order=UpdateOrder.STOP_FIRST)
    assert web.container.labels == {}


@pytest.mark.parametrize(
    ("body", "replicas"), [("", 1), ("scale: 0", 0), ("scale: 2", 2), ("scale: 2\ndeploy: {replicas: 2}", 2)]
)
def test_scale_is_another_word_for_replicas(body: str, replicas: int) -> None:
    assert service(body).replicas == replicas


def test_env_files_give_way_to_later_ones_and_to_the_service() -> None:
    files = {"a.env": "A=1\nB=1\nC=1\nF=1\n", "b.env": "B=2\nC=2\nD\n"}
    web = service("env_file: [a.env, ./b.env]\nenvironment: {C: 3, E: , F: }", files, D="host", E="host")
    assert web.container.environment == ("A=1", "B=2", "C=3", "D=host", "E=host", "F=1")


def test_every_place_points_at_its_line() -> None:
    web = service(
        """
        ports: [80]
        volumes: [data:/d]
        healthcheck: {test: x}
        deploy:
          replicas: 2
          resources:
            limits: {memory: 64M}
          placement:
            constraints: [node.id==a]
        """
    )
    lines = {field: int(place.removeprefix("compose.yml:")) for field, place in web.places.items()}
    assert lines == {
        "service": 2,
        "image": 3,
        "ports": 4,
        "volumes": 5,
        "healthcheck": 6,
        "replicas": 8,
        "resources": 9,
        "constraints": 12,
    }


def test_resources_that_are_not_written_point_at_the_service() -> None:
    assert service("").places == {
        "service": "compose.yml:2",
        "image": "compose.yml:3",
        "resources": "compose.yml:2",
    }


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        (
            "build: .",
            "compose.yml:4: services.web.build is ignored without --build: the image is used",
        ),
        ("container_name: box", "compose.yml:4: services.web.container_name becomes a network alias"),
        (
            "healthcheck: {test: [CMD-SHELL, a, b]}",
            "compose.yml:4: services.web.healthcheck.test has several texts after CMD-SHELL: the first is "
            "the whole command, the others its $0, $1...",
        ),
        (
            "pull_policy: daily",
            "compose.yml:4: services.web.pull_policy daily is taken as missing: the image is pulled where a "
            "node has none of that name",
        ),
        (
            "network_mode: host\nports: [80]",
            "compose.yml:5: services.web.ports has no effect: the container's own ports are the node's",
        ),
        (
            "volumes: [{type: tmpfs, target: /t, bind: {}}]",
            "compose.yml:4: services.web.volumes[0] is of type tmpfs: its options of bind have no effect",
        ),
        (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 1777}}]",
            "compose.yml:4: services.web.volumes[0].tmpfs.mode is decimal: 1777 is the mode 3361; an octal "
            "mode begins with 0",
        ),
        (
            "attach: false",
            "compose.yml:4: services.web.attach has no effect: the command does not stay with the containers",
        ),
        (
            "restart: always\ndeploy: {restart_policy: {condition: any}}",
            "compose.yml:4: services.web.restart gives way to deploy.restart_policy",
        ),
        (
            "volumes: ['data:/d:z']",
            "compose.yml:4: services.web.volumes[0] has the option z, an SELinux label, which is not set: "
            "label the path on the nodes with chcon",
        ),
    ],
)
def test_what_has_another_effect_is_warned_of(body: str, warning: str) -> None:
    assert loaded(wrapped(body)).warnings == (warning,)


def test_a_plain_file_has_no_warnings_and_x_keys_are_ignored() -> None:
    text = "version: '2.4'\nname: other\nx-a: &a {image: nginx, x-b: 1}\nservices:\n  web: *a\n"
    assert loaded(text).warnings == ()
    assert loaded(text).stack.name == "shop"
    assert [web.name for web in loaded(text).stack.services] == ["web"]
