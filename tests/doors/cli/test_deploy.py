"""`stack deploy`, `stack rm` and `service scale`: what they print, when they end and with which code."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bayplan.errors import Problem, ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import BoundPort, Desired
from bayplan.views import ServiceAction, ServiceChange
from tests.doors.cli.canned_controller import World, service, task
from tests.doors.cli.cli_world import Cli, environment, on_a_terminal

COMPOSE = """\
services:
  api:
    image: demo:1
  web:
    image: demo:1
    ports: ["8080:80"]
    deploy: {replicas: 2}
"""
PORT = BoundPort(target=80, published=8080)
#: Between two scripted changes; more than the time in which views are coalesced.
STEP_S = 0.3


@pytest.fixture(autouse=True)
def compose_file(tmp_path: Path) -> Path:
    path = tmp_path / "docker-compose.yml"
    path.write_text(COMPOSE)
    return path


def creates(world: World, *names: str, action: ServiceAction = ServiceAction.CREATE) -> None:
    world.actions = [ServiceChange(service=name, action=action, version=1) for name in names]


def deploy(cli: Cli, *more: str) -> tuple[int, str, str]:
    answer = cli("stack", "deploy", "-c", "docker-compose.yml", *more, "shop")
    return answer.code, answer.out, answer.err


def comes_up(world: World) -> None:
    """Two services are made, start, and become ready one after the other."""
    world.put(service("shop_api", 1, ready=0), service("shop_web", 2, ready=0))
    states = [TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING]
    for state in states:
        ready = state is TaskState.RUNNING
        ports = (PORT,) if ready else ()
        world.tasks = [
            task("shop_api.1", state),
            task("shop_web.1", state, ports=ports),
            task("shop_web.2", state, node="n2", node_address="10.0.0.2", ports=ports),
        ]
        if ready:
            world.put(service("shop_api", 1), service("shop_web", 2))
        world.changed()
        time.sleep(STEP_S)


def test_a_deploy_waits_until_all_is_ready_and_prints_where_it_answers(world: World, cli: Cli) -> None:
    creates(world, "shop_api", "shop_web")
    world.after_deploy = comes_up
    code, out, err = deploy(cli)
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == ["Creating service shop_api", "Creating service shop_web"]
    assert lines[2].startswith("shop is up: 2 services, 3 tasks ready in ")
    assert lines[3:] == [
        "  shop_web.1  10.0.0.1:8080 -> 80/tcp on n1",
        "  shop_web.2  10.0.0.2:8080 -> 80/tcp on n2",
    ]
    progress = [line.split(" ", 1) for line in err.splitlines()]
    assert all(len(clock) == len("14:03:07") for clock, _text in progress)
    texts = [text for _clock, text in progress]
    assert texts[-1] in ("shop_web 2/2 ready", "shop_api 1/1 ready")
    assert len(texts) == len(set(texts)), "nothing is said twice"


def test_networks_that_come_and_go_with_a_deploy_are_told(world: World, cli: Cli) -> None:
    creates(world, "shop_api", "shop_web")
    (world.networks[0],) = [replace(each, name="shop_old", services=()) for each in world.networks]
    lines = deploy(cli, "--dry-run")[1].splitlines()
    assert lines[:2] == ["+ create network shop_default", "- remove network shop_old"]
    world.after_deploy = comes_up
    lines = deploy(cli)[1].splitlines()
    assert lines[:2] == ["Creating network shop_default", "Removing network shop_old"]


def test_an_unchanged_deploy_says_so_at_once(world: World, cli: Cli) -> None:
    world.shop()
    creates(world, "shop_api", "shop_web", action=ServiceAction.SAME)
    assert deploy(cli) == (0, "shop is unchanged: 2 services, 3 tasks ready\n", "")


def test_the_stack_is_sent_as_the_file_has_it(world: World, cli: Cli) -> None:
    world.shop()
    creates(world, "shop_api", "shop_web", action=ServiceAction.SAME)
    answer = cli("stack", "deploy", "-c", "-", "--prune", "shop", stdin=COMPOSE)
    assert answer.code == 0
    (request,) = world.asked
    assert request.prune
    assert request.stack.name == "shop"
    assert [(each.name, each.replicas) for each in request.stack.services] == [("api", 1), ("web", 2)]


def test_a_dry_run_tells_and_changes_nothing(world: World, cli: Cli) -> None:
    creates(world, "shop_api", "shop_web")
    code, out, _err = deploy(cli, "--dry-run")
    assert (code, out) == (
        0,
        "+ create shop_api\n+ create shop_web\nPlan: 2 to create, 0 to update, 0 to remove; revision 1\n",
    )
    assert world.asked == []


def test_detached_it_returns_at_once(world: World, cli: Cli) -> None:
    creates(world, "shop_api")
    assert deploy(cli, "-d") == (0, "Creating service shop_api\n", "hint: bayplan stack ps shop\n")


@pytest.mark.parametrize(
    "text",
    ["services: ]", "services: {web: {image: demo:1, prots: []}}", "services: {web: {image: '${MISSING?}'}}"],
)
def test_a_bad_compose_file_ends_with_125_and_nothing_is_sent(
    world: World, cli: Cli, compose_file: Path, text: str
) -> None:
    compose_file.write_text(text)
    code, out, err = deploy(cli)
    assert (code, out) == (125, "")
    assert err.startswith("error: docker-compose.yml:1: ")
    assert world.asked == []


def test_a_refused_deploy_shows_the_controllers_own_words(world: World, cli: Cli) -> None:
    world.refusal = Problem(
        kind=ProblemKind.UNPLACEABLE,
        summary="shop_api.1 cannot be placed",
        details=("needs 8 CPU", "1 node: 1 short of CPU"),
        hint="lower deploy.resources.reservations.cpus to 6",
        place="docker-compose.yml:2",
    )
    code, out, err = deploy(cli)
    assert (code, out) == (5, "")
    assert err.splitlines() == [
        "error: docker-compose.yml:2: shop_api.1 cannot be placed",
        "  needs 8 CPU",
        "  1 node: 1 short of CPU",
        "hint: lower deploy.resources.reservations.cpus to 6",
    ]


def test_tasks_that_keep_failing_end_the_deploy_with_the_reason(world: World, cli: Cli) -> None:
    creates(world, "shop_api", "shop_web")

    def fails(world: World) -> None:
        world.put(service("shop_api", 1, ready=0), service("shop_web", 2))
        for attempt in range(4):
            world.tasks.append(
                task(
                    "shop_api.1",
                    TaskState.FAILED,
                    id=f"try{attempt}",
                    desired=Desired.STOP,
                    exit_code=127,
                    message="exited with code 127",
                    probe_output="wget: refused\n",
                    created_ms=1_000 + attempt,
                    place="docker-compose.yml:3",
                )
            )
            world.changed()
            time.sleep(STEP_S)

    world.after_deploy = fails
    code, out, err = deploy(cli)
    assert code == 1
    assert "is up" not in out
    assert "error: docker-compose.yml:3: shop_api.1 keeps failing: 3 attempts" in err
    assert "  failed on n1: exited with code 127" in err
    assert "  exit code 127: the command was not found in the image" in err
    assert "  last health check: wget: refused" in err
    assert "hint: bayplan logs shop_api.1" in err


def test_failures_from_before_the_deploy_do_not_count(world: World, cli: Cli) -> None:
    world.put(service("shop_api", 1, ready=0), service("shop_web", 2))
    world.tasks = [
        task("shop_api.1", TaskState.FAILED, id=f"old{number}", desired=Desired.STOP) for number in range(5)
    ]
    creates(world, "shop_api", "shop_web", action=ServiceAction.SAME)

    def recovers(world: World) -> None:
        time.sleep(STEP_S)
        world.put(service("shop_api", 1))
        world.tasks.append(task("shop_api.1", id="new"))
        world.changed()

    world.after_deploy = recovers
    code, out, _err = deploy(cli)
    assert code == 0
    assert "shop is up: 2 services, 3 tasks ready" in out


def test_without_progress_it_ends_with_3_and_says_what_is_late(world: World, cli: Cli) -> None:
    creates(world, "shop_api")
    world.put(service("shop_api", 1, ready=0), service("shop_web", 2))
    world.tasks = [task("shop_api.1", TaskState.PREPARING)]
    code, _out, err = deploy(cli, "--timeout", "700ms")
    assert code == 3
    assert "error: shop is still on its way: no progress for 0.7 s" in err
    assert "  shop_api: 0/1 ready · 1 preparing" in err


def test_tasks_without_a_node_end_it_with_5_and_every_reason(world: World, cli: Cli) -> None:
    creates(world, "shop_api")
    world.put(service("shop_api", 1, ready=0), service("shop_web", 2))
    reasons = ("needs 8 CPU", "nearest: n1 has 6.5 CPU free")
    world.tasks = [task("shop_api.1", TaskState.PENDING, node="", pending_reasons=reasons)]
    code, _out, err = deploy(cli, "--timeout", "700ms")
    assert code == 5
    assert "error: shop_api.1 cannot be placed\n  needs 8 CPU\n  nearest: n1 has 6.5 CPU free\n" in err


def test_it_waits_until_the_old_version_is_gone(world: World, cli: Cli) -> None:
    world.shop()
    creates(world, "shop_api", "shop_web", action=ServiceAction.UPDATE)
    old = [msgspec.structs.replace(each, desired=Desired.STOP) for each in world.tasks]

    def updates(world: World) -> None:
        world.put(service("shop_api", 1, version=2), service("shop_web", 2, version=2))
        new = [task(name, version=2) for name in ("shop_api.1", "shop_web.1", "shop_web.2")]
        world.tasks = old + new
        world.changed()
        time.sleep(3)
        world.tasks = new
        world.changed()

    world.after_deploy = updates
    began_s = time.monotonic()
    code, _out, err = deploy(cli)
    assert code == 0
    assert time.monotonic() - began_s > 3
    assert "shop_web 2/2 ready · 2 of the old version" in err


def test_services_that_a_deploy_leaves_alone_are_not_told_of(world: World, cli: Cli) -> None:
    world.shop()
    world.actions = [
        ServiceChange(service="shop_api", action=ServiceAction.SAME, version=1),
        ServiceChange(service="shop_web", action=ServiceAction.SCALE, version=1),
    ]
    world.put(service("shop_web", 3, ready=2))

    def scales(world: World) -> None:
        time.sleep(STEP_S)
        world.put(service("shop_web", 3))
        world.changed()

    world.after_deploy = scales
    code, _out, err = deploy(cli)
    assert code == 0
    assert "shop_web 3/3 ready" in err
    assert "shop_api" not in err


def test_ctrl_c_stops_watching_and_says_how_to_come_back(world: World, cli: Cli, tmp_path: Path) -> None:
    creates(world, "shop_api")
    world.put(service("shop_api", 1, ready=0), service("shop_web", 2))
    program = subprocess.Popen(
        cli.program("stack", "deploy", "-c", "docker-compose.yml", "shop"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    while not world.asked:
        time.sleep(0.05)
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    _out, err = program.communicate(timeout=20)
    assert program.returncode == 130
    assert err.endswith("stopped watching; the cluster goes on\nhint: bayplan stack ps shop\n")


def test_on_a_terminal_it_draws_a_row_for_each_service(world: World, cli: Cli, tmp_path: Path) -> None:
    creates(world, "shop_api", "shop_web")
    world.after_deploy = comes_up
    command = cli.program("stack", "deploy", "-c", "docker-compose.yml", "shop")
    code, text = on_a_terminal(command, tmp_path)
    assert code == 0
    assert "━" in text
    assert "2/2 ready" in text
    assert "shop is up: 2 services, 3 tasks ready" in text
    assert "\x1b[32m" not in text, "NO_COLOR is respected"


def test_rm_waits_until_the_stack_is_gone(world: World, cli: Cli) -> None:
    world.shop()

    def goes(world: World) -> None:
        world.tasks = [msgspec.structs.replace(each, desired=Desired.STOP) for each in world.tasks]
        world.changed()
        time.sleep(1)
        world.tasks = []
        world.services = {}
        world.changed()

    world.after_deploy = goes
    answer = cli("stack", "rm", "shop")
    assert answer.code == 0
    assert answer.out == "Removing service shop_api\nRemoving service shop_web\n"
    assert answer.err.endswith("shop is gone\n")
    assert "shop_web removing · 2 tasks left" in answer.err


def test_rm_asks_on_a_terminal_and_takes_no_for_an_answer(world: World, cli: Cli, tmp_path: Path) -> None:
    world.shop()
    code, text = on_a_terminal(cli.program("stack", "rm", "shop"), tmp_path, typed="n\n")
    assert code == 1
    assert "Would remove service shop_web (2 tasks)" in text
    assert "nothing was removed" in text
    assert world.asked == []


def test_rm_of_an_unknown_stack_removes_none_of_those_named(world: World, cli: Cli) -> None:
    world.shop()
    answer = cli("stack", "rm", "shop", "shpo")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "error: Nothing found in stack: shpo\nhint: did you mean shop?\n"
    assert world.asked == []


def test_scale_waits_for_the_new_tasks(world: World, cli: Cli) -> None:
    world.shop()

    def scales(world: World) -> None:
        time.sleep(STEP_S)
        world.put(service("shop_web", 3))
        world.tasks.append(task("shop_web.3"))
        world.changed()

    world.put(msgspec.structs.replace(world.services["shop_web"], current=2))
    world.after_deploy = scales
    answer = cli("service", "scale", "shop/web=3")
    assert (answer.code, answer.out) == (0, "shop_web scaled to 3\n")
    assert answer.err.splitlines()[-1].endswith("shop_web 3/3 ready")


@pytest.mark.parametrize("wish", ["shop_web", "shop_web=", "shop_web=-1", "shop_web=ten", "=3"])
def test_a_malformed_wish_is_a_usage_error(world: World, cli: Cli, wish: str) -> None:
    world.shop()
    assert cli("service", "scale", wish).code == 125
    assert world.asked == []
