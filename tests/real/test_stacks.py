"""Compose files as people write them, on three hosts: plans, order, files, secrets, history."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.real.cluster import Answer, Cluster
from tests.real.host import Host
from tests.real.machine import wait_until
from tests.real.stacks import SHOP, SLEEP

CHANGES, DONE = 2, 0

ORDERED = f"""\
services:
  web:
    {SLEEP}
    depends_on:
      db: {{condition: service_healthy}}
      migrate: {{condition: service_completed_successfully}}
  migrate:
    image: bayplan/demo:1
    command: [sh, -c, "sleep 1"]
    depends_on: [db]
  db:
    image: bayplan/demo:1
    command: [sh, -c, "sleep 2; touch /ready; exec sleep infinity"]
    init: true
    healthcheck: {{test: [CMD, test, -e, /ready], interval: 1s}}
"""

WITH_FILES = f"""\
services:
  web:
    {SLEEP}
    volumes: ["./motd:/etc/motd:ro", "./conf.d:/etc/conf.d:ro"]
    configs: [app]
    secrets: [{{source: password, uid: "1000", gid: "1001", mode: 0400}}]
    deploy: {{placement: {{constraints: [node.hostname == h2]}}}}
  other:
    {SLEEP}
configs: {{app: {{file: app.conf}}}}
secrets: {{password: {{file: password.txt}}}}
"""


PROBED = """\
services:
  web:
    image: bayplan/demo:1
    command: [sh, -c, "mkdir -p /w; echo ok >/w/ready; exec httpd -f -p 80 -h /w"]
    init: true
    ports: ["80"]
    x-bayplan: {probe: {type: http, path: /ready, interval: 100ms, rise: 1, fall: 2}}
"""


class Project:
    """A folder with a compose file and what it names, deployed as stack `shop`."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.folder / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def compose(self, text: str) -> None:
        (self.folder / "compose.yaml").write_text(text)

    def run(self, *command: str, **options: str) -> Answer:
        flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        return self.cluster.try_cli(*command, "-c", str(self.folder / "compose.yaml"), *flags, "shop")

    def deploy(self, *flags: str) -> Answer:
        answer = self.run("stack", "deploy", *flags)
        assert answer.code == DONE, answer.out + answer.err
        return answer

    def plan(self) -> dict[str, object]:
        plan: dict[str, object] = json.loads(self.run("plan", "--json").out)
        return plan


@pytest.fixture
def project(cluster: Cluster, tmp_path: Path) -> Project:
    return Project(cluster, tmp_path)


def container_of(cluster: Cluster, service: str) -> tuple[str, Host]:
    """The one running container of a service of the shop."""
    (found,) = [
        (container, host)
        for container, host in cluster.containers().items()
        if host.inspect(container)["Config"]["Labels"]["bayplan.service"] == f"shop_{service}"
    ]
    return found


def look(cluster: Cluster, service: str, *command: str) -> str:
    """What a command says inside the service's one container."""
    container, host = container_of(cluster, service)
    return host.docker("exec", container, *command)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00")


def test_a_plan_says_what_the_deploy_then_does(project: Project) -> None:
    project.compose(SHOP)
    asked = project.run("plan", "--detailed-exitcode")
    assert asked.code == CHANGES, asked.err
    assert not project.cluster.containers()
    planned = {
        task["name"]: task["node"]
        for service in project.plan()["services"]  # type: ignore[attr-defined]
        for task in service["tasks"]
    }

    project.deploy()

    running = {f"{task.service}.{task.slot}": task.node for task in project.cluster.running("shop")}
    assert running == planned
    assert project.run("plan", "--detailed-exitcode").code == DONE


def test_a_plan_that_does_not_fit_says_what_is_nearest_and_ends_with_five(project: Project) -> None:
    project.compose(
        "services:\n  web:\n    image: bayplan/demo:1\n"
        "    deploy: {resources: {reservations: {cpus: '1000'}}}\n"
    )
    answer = project.run("plan")
    assert answer.code == 5
    assert "nearest" in answer.out + answer.err


def test_services_start_after_what_they_depend_on(project: Project) -> None:
    project.compose(ORDERED)
    project.deploy()

    states = {}
    for container, host in project.cluster.containers(running=False).items():
        found = host.inspect(container)
        states[found["Config"]["Labels"]["bayplan.service"]] = found["State"]
    assert states["shop_migrate"]["ExitCode"] == 0
    assert moment(states["shop_db"]["StartedAt"]) < moment(states["shop_migrate"]["StartedAt"])
    assert moment(states["shop_migrate"]["FinishedAt"]) < moment(states["shop_web"]["StartedAt"])
    healthy_at = moment(states["shop_db"]["Health"]["Log"][0]["Start"])
    assert healthy_at < moment(states["shop_web"]["StartedAt"])


def test_files_configs_and_secrets_reach_the_container_as_asked(project: Project) -> None:
    project.write(motd="hello\n", conf_dot_d__a="one\n", conf_dot_d__sub__b="two\n")
    project.write(app_dot_conf="level=1\n", password_dot_txt="swordfish")
    project.compose(WITH_FILES)
    project.deploy()

    assert look(project.cluster, "web", "cat", "/etc/motd") == "hello"
    assert look(project.cluster, "web", "cat", "/etc/conf.d/a", "/etc/conf.d/sub/b") == "one\ntwo"
    assert look(project.cluster, "web", "cat", "/app") == "level=1"
    secret = "/run/secrets/password"
    assert look(project.cluster, "web", "cat", secret) == "swordfish"
    assert look(project.cluster, "web", "stat", "-c", "%u %g %a", secret) == "1000 1001 400"
    assert look(project.cluster, "web", "stat", "-f", "-c", "%T", secret) == "tmpfs"


def test_a_secret_is_only_where_a_task_needs_it_and_never_on_a_disk(project: Project) -> None:
    canary = "canary-7f3a"
    project.write(motd="", conf_dot_d__a="", app_dot_conf="", password_dot_txt=canary)
    project.compose(WITH_FILES)
    project.deploy()

    for host in project.cluster.bed.hosts:
        memory = host.run("sh", "-c", f"grep -rl {canary} /run/bayplan-agent || true")
        assert bool(memory) == (host.name == "h2"), memory
    disks = [project.cluster.data, *(host.folder / "agent" for host in project.cluster.bed.hosts)]
    for disk in disks:
        found = [path for path in disk.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
        assert not found
    for command in (("secret", "ls"), ("secret", "inspect", "shop_password"), ("stack", "export", "shop")):
        answer = project.cluster.try_cli(*command)
        assert canary not in answer.out + answer.err


def test_new_content_rolls_its_services_and_a_rollback_brings_the_old_back(project: Project) -> None:
    project.write(motd="", conf_dot_d__a="", app_dot_conf="level=1\n", password_dot_txt="one")
    project.compose(WITH_FILES)
    project.deploy()
    other = container_of(project.cluster, "other")

    project.write(app_dot_conf="level=2\n", password_dot_txt="two")
    said = project.deploy()
    assert "two" not in said.out + said.err
    assert look(project.cluster, "web", "cat", "/app", "/run/secrets/password") == "level=2\ntwo"
    project.cluster.cli("stack", "rollback", "shop")

    assert look(project.cluster, "web", "cat", "/app", "/run/secrets/password") == "level=1\none"
    assert container_of(project.cluster, "other") == other
    causes = [row["Cause"] for row in project.cluster.rows("stack", "history", "shop")]
    assert len(causes) == 3
    assert "rollback to 1" in causes[0]


def test_a_deploy_is_refused_when_the_stack_has_moved_on_since_the_plan(project: Project) -> None:
    project.compose(SHOP)
    index = str(project.plan()["index"])
    project.deploy("--check-index", index)
    refused = project.run("stack", "deploy", check_index=index)
    assert refused.code == 1
    assert "revision" in refused.err
    assert len(project.cluster.running("shop")) == 8


def test_what_is_exported_deploys_as_unchanged(project: Project) -> None:
    project.write(motd="hello\n", conf_dot_d__a="one\n", app_dot_conf="level=1\n", password_dot_txt="pass")
    project.compose(WITH_FILES)
    project.deploy()
    before = project.cluster.containers()
    exported = project.cluster.cli("stack", "export", "shop")

    answer = project.cluster.try_deploy("shop", exported)

    assert answer.code == DONE, answer.err
    assert "unchanged" in answer.out
    assert project.cluster.containers() == before


def test_what_left_the_file_is_removed_only_when_asked(project: Project) -> None:
    project.compose(SHOP)
    project.deploy()
    project.compose("services:\n  visitor:\n" + SHOP.partition("  visitor:\n")[2])
    project.deploy()
    assert len(project.cluster.running("shop")) == 8

    project.deploy("--prune")
    wait_until("only the visitor runs", lambda: len(project.cluster.running("shop")) == 1, 30)


def test_a_plan_sees_that_an_images_name_means_another_image_now(project: Project) -> None:
    host = project.cluster.bed.hosts[1]
    image = "bayplan/changing:1"
    host.docker("tag", "bayplan/demo:1", image)
    try:
        project.compose(
            f"services:\n  web:\n    {SLEEP.replace('bayplan/demo:1', image)}\n"
            "    deploy: {placement: {constraints: [node.hostname == h2]}}\n"
        )
        project.deploy()
        host.load_image(project.cluster.bed.root / "demo.tar", image)

        (web,) = project.plan()["services"]  # type: ignore[misc]
        assert web["change"]["action"] == "update"  # type: ignore[index]
        assert web["image_before"] != web["image_after"]  # type: ignore[index]
        project.deploy()
        container, _ = container_of(project.cluster, "web")
        assert host.inspect(container)["Image"] == web["image_after"]  # type: ignore[index]
    finally:
        host.docker("image", "rm", "--force", image)


def test_a_probe_takes_an_instance_out_and_back_and_stops_nothing(project: Project) -> None:
    cluster = project.cluster
    project.compose(PROBED)
    project.deploy()
    (address,) = cluster.lookup("shop", "web")
    lives = cluster.lives()
    look(cluster, "web", "mv", "/w/ready", "/w/away")
    wait_until("it is found no more", lambda: not cluster.lookup("shop", "web"), 10, every_s=0.1)
    look(cluster, "web", "mv", "/w/away", "/w/ready")
    wait_until("it is found again", lambda: cluster.lookup("shop", "web") == {address}, 10, every_s=0.1)
    assert cluster.lives() == lives


def test_a_global_service_runs_once_on_each_node(project: Project) -> None:
    project.compose(f"services:\n  each:\n    {SLEEP}\n    deploy: {{mode: global}}\n")
    project.deploy()
    assert sorted(task.node for task in project.cluster.running("shop")) == ["h1", "h2", "h3"]


def test_a_job_runs_to_its_end_and_not_again(project: Project) -> None:
    project.compose(
        "services:\n  job:\n    image: bayplan/demo:1\n    command: ['true']\n"
        "    deploy: {mode: replicated-job, replicas: 3}\n"
    )
    project.deploy()
    ended = project.cluster.containers(running=False)
    assert len(ended) == 3
    assert "unchanged" in project.deploy().out
    assert project.cluster.containers(running=False) == ended


def test_an_update_that_fails_rolls_itself_back_and_the_command_says_why(project: Project) -> None:
    good = (
        f"services:\n  web:\n    {SLEEP}\n"
        "    deploy: {replicas: 3, update_config: {failure_action: rollback, monitor: 3s}}\n"
    )
    project.compose(good)
    project.deploy()

    project.compose(good.replace("[sleep, infinity]", "[sh, -c, 'exit 3']"))
    failed = project.run("stack", "deploy")

    assert failed.code == 1, failed.out + failed.err
    assert "exit code 3" in failed.out + failed.err
    wait_until("the old version runs", lambda: len(project.cluster.running("shop")) == 3, 30)
    for container, host in project.cluster.containers().items():
        assert host.inspect(container)["Config"]["Cmd"] == ["sleep", "infinity"]


def test_privileges_need_the_clusters_permission(project: Project) -> None:
    project.compose(f"services:\n  web:\n    {SLEEP}\n    privileged: true\n")
    refused = project.run("stack", "deploy")
    assert refused.code == 1
    assert "compose.yaml:6" in refused.err
    assert '"allow"' in refused.err
    assert not project.cluster.containers()
