"""What the flags of `service create`, `service update` and `run` make of a spec."""

from __future__ import annotations

import click
import pytest

from bayplan.cli.describing import edited
from bayplan.cli.flags import CREATE, FLAGS, RUN, UPDATE
from bayplan.cli.joining import names_of
from bayplan.cli.mounts import parse_file, parse_mount, parse_short_mount
from bayplan.model import (
    Affinity,
    ContainerSpec,
    FailureAction,
    FileKind,
    HealthCheck,
    HomePolicy,
    Mount,
    MountKind,
    PortMode,
    PortSpec,
    Protocol,
    RestartCondition,
    Schedule,
    ServiceMode,
    ServiceSpec,
    Strategy,
    UpdateOrder,
    VolumeSpec,
)

PLAIN = ServiceSpec(name="web", container=ContainerSpec(image="demo:1"))


def apply(spec: ServiceSpec = PLAIN, **given: str | list[str]) -> ServiceSpec:
    """The spec after flags by their keys, as in `apply(env_add=["A=1"])`."""
    return edited(spec, {key: [value] if isinstance(value, str) else value for key, value in given.items()})


def refused(spec: ServiceSpec = PLAIN, **given: str | list[str]) -> str:
    with pytest.raises(click.UsageError) as caught:
        apply(spec, **given)
    return caught.value.message


def test_a_spec_without_flags_stays_as_it_is() -> None:
    assert edited(PLAIN, {}) == PLAIN


def test_every_flag_has_a_key_of_its_own_in_each_command() -> None:
    for command in (CREATE, UPDATE, RUN):
        offered = [flag for flag in FLAGS if command in flag.commands]
        assert len({flag.key for flag in offered}) == len(offered)
        words = [word for flag in offered for word in flag.words]
        assert len(set(words)) == len(words)


def test_a_variable_is_set_in_its_place_and_others_stay() -> None:
    once = apply(env_add=["A=1", "B=2"])
    assert once.container.environment == ("A=1", "B=2")
    again = apply(once, env_rm=["B"], env_add=["A=3", "C=4"])
    assert again.container.environment == ("A=3", "C=4")


def test_a_variable_without_a_value_takes_that_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "here")
    monkeypatch.delenv("ABSENT", raising=False)
    assert apply(env_add=["GIVEN", "ABSENT"]).container.environment == ("GIVEN=here",)


def test_what_is_not_there_cannot_be_removed_and_what_is_there_is_told() -> None:
    spec = apply(env_add=["A=1"])
    assert refused(spec, env_rm=["B"]) == "--env-rm: 'B' is not there to be removed; there is: A"


def test_ports_take_both_of_dockers_forms() -> None:
    spec = apply(publish_add=["8080:80", "published=53,target=5353,protocol=udp,mode=host"])
    assert spec.container.ports == (
        PortSpec(target=80, published=8080, mode=PortMode.INGRESS),
        PortSpec(target=5353, published=53, protocol=Protocol.UDP),
    )
    assert apply(spec, publish_rm=["80"]).container.ports == spec.container.ports[1:]
    assert apply(spec, publish_rm=["5353/udp"]).container.ports == spec.container.ports[:1]


@pytest.mark.parametrize("text", ["80:80:80:80", "published=80,port=80", "eighty"])
def test_a_wrong_port_names_the_flag_and_the_good_form(text: str) -> None:
    message = refused(publish_add=[text])
    assert message.startswith("--publish: ")
    assert "write" in message


def test_limits_are_amounts_as_everywhere() -> None:
    spec = apply(limit_cpu="0.5", limit_memory="512M", reserve_cpu="0.25", reserve_memory="64M")
    assert (spec.container.limits.cpu_millis, spec.container.limits.memory_bytes) == (500, 512 * 1024**2)
    assert (spec.reservations.cpu_millis, spec.reservations.memory_bytes) == (250, 64 * 1024**2)


def test_a_health_check_from_flags_has_the_usual_times() -> None:
    spec = apply(health_cmd="wget -q localhost", health_interval="5s", health_retries="2")
    assert spec.container.health_check == HealthCheck(
        test=("CMD-SHELL", "wget -q localhost"), interval_ms=5_000, retries=2
    )


def test_a_time_alone_leaves_the_rest_of_the_images_own_check() -> None:
    check = apply(health_interval="5s").container.health_check
    assert check == HealthCheck(test=(), interval_ms=5_000, timeout_ms=0, retries=0)


def test_no_healthcheck_turns_it_off_and_a_command_on_again() -> None:
    spec = apply(apply(health_cmd="true"), no_healthcheck="")
    assert spec.container.health_check is None
    assert spec.container.health_check_disabled
    assert not apply(spec, health_cmd="true").container.health_check_disabled


def test_update_flags_edit_one_policy_each() -> None:
    spec = apply(
        update_parallelism="0", update_delay="10s", update_order="start-first", update_monitor="3s",
        update_max_failure_ratio="0.2", update_failure_action="pause", canaries="2", deadline="1m",
        rollback_order="stop-first",
    )  # fmt: skip
    assert spec.update.parallelism == 0
    assert (spec.update.delay_ms, spec.update.monitor_ms, spec.update.deadline_ms) == (10_000, 3_000, 60_000)
    assert (spec.update.order, spec.rollback.order) == (UpdateOrder.START_FIRST, UpdateOrder.STOP_FIRST)
    assert (spec.update.max_failure_ratio, spec.update.canaries) == (0.2, 2)
    assert spec.update.failure_action is FailureAction.PAUSE
    assert spec.rollback.failure_action is PLAIN.rollback.failure_action


@pytest.mark.parametrize(
    ("flag", "text", "says"),
    [
        (
            "update_order",
            "first-stop",
            "--update-order: 'first-stop' is none of auto, stop-first, start-first",
        ),
        ("update_max_failure_ratio", "20", "--update-max-failure-ratio: '20' is not a share"),
        ("update_delay", "10", "--update-delay: '10' is not a duration"),
        ("replicas", "many", "--replicas: 'many' is not a whole number"),
        ("constraint_add", "node.label.zone==a", "did you mean"),
        ("placement_pref_add", "node.labels.zone", "write spread=node.labels.NAME"),
        ("image", "Nginx", "write it in lower case"),
        ("strategy", "sprad", "--strategy: 'sprad' is none of pack, spread"),
        ("volume_homes", "home", "--volume-homes: 'home' is none of prefer, stay"),
        ("priority", "101", "--priority: '101' is not a whole number from 0 to 100"),
        ("priority", "-1", "--priority: '-1' is not a whole number from 0 to 100"),
        ("priority", "nan", "--priority: 'nan' is not a whole number"),
        ("reserve_pids", "1000000000000", "--reserve-pids: '1000000000000' is not a whole number from 0 to"),
        ("reserve_disk", "-1g", "--reserve-disk: '-1g' is not a size: write it like 512MiB, 1g"),
        ("reserve_cpu", "NaN", "--reserve-cpu: 'NaN' is not a number of CPUs"),
        ("reserve_memory", "9999999P", "--reserve-memory: '9999999P' is too large for a size"),
        ("replicas", "1000000000000", "--replicas: '1000000000000' is not a whole number from 0 to"),
        ("generic_resource_add", "gpu=-1", "--generic-resource: '-1' is not a whole number from 1 to"),
        ("constraint_add", "node.cpus > many", "--constraint: 'many' is not a number (column 13)"),
        ("constraint_add", "node.hostname =~ (a", "is no regular expression: a ( is not closed (column 18)"),
        ("constraint_add", "engine.version version >= two", "write it like version >= 2.1, < 3"),
        ("constraint_add", "node.labels.zone in a, b", "is no set of values (column 21); write it like"),
        ("constraint_add", "node.labels.zone ~ a", "is no operator"),
        ("affinity_add", "a b", "--affinity: 'a b' is not a service's name"),
        ("affinity_add", "topology=node", "names no service: write NAME, or service=NAME"),
        ("affinity_add", "service=a,topolgy=node", "did you mean topology?"),
        ("anti_affinity_add", "service=a,topology=zone", "did you mean node.labels.zone?"),
        ("anti_affinity_add", "service=a,required=perhaps", "neither true nor false"),
        ("affinity_rm", "db", "--affinity-rm: 'db' is not there to be removed; there is: none"),
    ],
)
def test_wrong_words_are_usage_errors_with_the_way_out(flag: str, text: str, says: str) -> None:
    assert says in refused(**{flag: text})


def test_restart_words_are_dockers() -> None:
    spec = apply(
        restart_condition="on-failure", restart_delay="2s", restart_max_attempts="3", restart_window="1m"
    )
    assert spec.restart.condition is RestartCondition.ON_FAILURE
    assert (spec.restart.delay_ms, spec.restart.max_attempts, spec.restart.window_ms) == (2_000, 3, 60_000)


def test_constraints_and_preferences_are_kept_in_their_usual_form() -> None:
    spec = apply(constraint_add=["node.labels.zone==a"], placement_pref_add=["spread=node.labels.zone"])
    assert spec.constraints == ("node.labels.zone == a",)
    assert spec.preferences == ("node.labels.zone",)
    assert apply(spec, constraint_rm=["node.labels.zone == a"]).constraints == ()


def test_affinities_are_names_or_say_more() -> None:
    spec = apply(
        affinity_add=["db", "service=cache,topology=node.labels.zone,required"],
        anti_affinity_add=["service=web,topology=node"],
    )
    cache = Affinity(service="cache", topology="node.labels.zone", required=True)
    assert spec.affinities == (Affinity(service="db"), cache, Affinity(service="web", anti=True))
    again = apply(spec, affinity_add=["service=db,required"], anti_affinity_rm=["web"])
    assert again.affinities == (Affinity(service="db", required=True), cache)


def test_what_x_bayplan_says_of_placement_has_a_flag() -> None:
    spec = apply(
        strategy="spread", priority="80", volume_homes="stay", reserve_disk="10G", reserve_pids="100"
    )
    assert (spec.strategy, spec.priority, spec.homes) == (Strategy.SPREAD, 80, HomePolicy.STAY)
    assert (spec.reservations.disk_bytes, spec.reservations.pids) == (10 * 1024**3, 100)


def test_labels_of_the_service_are_not_those_of_its_containers() -> None:
    spec = apply(label_add=["team=web", "bare"], container_label_add=["tier=front"])
    assert spec.labels == {"team": "web", "bare": ""}
    assert spec.container.labels == {"tier": "front"}
    assert apply(spec, label_rm=["bare"]).labels == {"team": "web"}


def test_a_network_has_the_service_under_its_short_name() -> None:
    (network,) = apply(network_add=["back"]).container.networks
    assert (network.network, network.aliases, network.spec.external) == ("back", ("web",), True)
    assert apply(network_add=["host"]).container.network_mode == "host"
    assert "stand alone" in refused(network_add=["host", "back"])


def test_another_image_forgets_where_the_old_one_was_written() -> None:
    written = ServiceSpec(
        name="web", container=ContainerSpec(image="demo:1"), places={"image": "c.yml:3", "x": "c.yml:4"}
    )
    changed = apply(written, image="demo:2")
    assert changed.container.image == "demo:2"
    assert changed.places == {"x": "c.yml:4"}


def test_force_makes_a_new_generation_of_the_same_spec() -> None:
    assert apply(force="") == ServiceSpec(name="web", container=PLAIN.container, generation=1)


def test_a_global_service_has_no_number_of_replicas() -> None:
    spec = ServiceSpec(name="web", container=PLAIN.container, mode=ServiceMode.GLOBAL)
    assert "one task on each node" in refused(spec, replicas="3")


def test_a_schedule_needs_its_times_first() -> None:
    assert apply(schedule="@daily", timezone="Europe/Berlin", catch_up="1h").schedule == Schedule(
        cron="@daily", timezone="Europe/Berlin", catch_up_ms=3_600_000
    )
    assert "add --schedule" in refused(timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        (
            "type=volume,source=data,target=/data",
            Mount(kind=MountKind.VOLUME, source="data", target="/data", volume=VolumeSpec()),
        ),
        (
            "src=data,dst=/data,readonly",
            Mount(kind=MountKind.VOLUME, source="data", target="/data", read_only=True, volume=VolumeSpec()),
        ),
        (
            "type=bind,source=/srv,target=/srv,bind-propagation=rshared",
            Mount(kind=MountKind.BIND, source="/srv", target="/srv", propagation="rshared"),
        ),
        (
            "type=tmpfs,target=/tmp,tmpfs-size=64M,tmpfs-mode=1777",
            Mount(kind=MountKind.TMPFS, target="/tmp", tmpfs_size_bytes=64 * 1024**2, tmpfs_mode=0o1777),
        ),
        (
            "type=volume,source=d,target=/d,volume-driver=local,volume-opt=type=nfs,volume-opt=device=:/x",
            Mount(
                kind=MountKind.VOLUME,
                source="d",
                target="/d",
                volume=VolumeSpec(driver="local", driver_options={"type": "nfs", "device": ":/x"}),
            ),
        ),
    ],
)
def test_mounts_are_dockers(text: str, mount: Mount) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type=bind,source=./srv,target=/srv", "not an absolute path of the node"),
        ("type=volume,source=data", "names no target"),
        ("type=disk,target=/x", "is none of volume, bind, tmpfs"),
        ("type=bind,source=/x,target=/x,tmpfs-size=1M", "tmpfs-size belongs to type=tmpfs"),
        ("type=volume,sorce=data,target=/x", "did you mean source?"),
        ("type=volume,source=data,target=/x,readonly=perhaps", "neither true nor false"),
        ("type=tmpfs,source=x,target=/x", "a tmpfs has no source"),
    ],
)
def test_a_wrong_mount_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_mount(text)
    assert says in str(caught.value)


def test_short_mounts_are_those_of_docker_run() -> None:
    assert parse_short_mount("data:/data:ro") == Mount(
        kind=MountKind.VOLUME, source="data", target="/data", read_only=True, volume=VolumeSpec()
    )
    assert parse_short_mount("/srv:/srv") == Mount(
        kind=MountKind.BIND, source="/srv", target="/srv", create_source=True
    )
    with pytest.raises(ValueError, match="absolute path"):
        parse_short_mount("./here:/there")


def test_a_secret_is_a_file_below_run_secrets() -> None:
    file = parse_file(FileKind.SECRET, "db_password")
    assert (file.target, file.mode) == ("/run/secrets/db_password", 0o444)
    file = parse_file(FileKind.CONFIG, "source=nginx.conf,target=/etc/nginx.conf,mode=0440,uid=33")
    assert (file.target, file.mode, file.uid) == ("/etc/nginx.conf", 0o440, 33)


@pytest.mark.parametrize(
    ("name", "stack", "known", "found"),
    [
        ("web", None, [], ("default", "web")),
        ("web", "shop", [], ("shop", "web")),
        ("shop_web", "shop", [], ("shop", "web")),
        ("shop/web", None, [], ("shop", "web")),
        ("shop_web_api", None, [], ("shop", "web_api")),
        ("my_shop_web", None, ["my_shop", "my"], ("my_shop", "web")),
    ],
)
def test_the_stack_of_a_name(name: str, stack: str | None, known: list[str], found: tuple[str, str]) -> None:
    assert names_of(name, stack, known) == found
