"""`service create|update|rollback|restart|rm|wait` and `rollout`: what is sent, printed, and how they end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bayplan.errors import Problem, ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import (
    ContainerSpec,
    Desired,
    NetworkAttachment,
    NetworkSpec,
    ServiceMode,
    ServiceSpec,
    StackSpec,
    UpdateOrder,
    UpdatePolicy,
)
from bayplan.views import RolloutState, RolloutView
from bayplan.wire import from_pb
from tests.doors.cli.canned_controller import World, service, task
from tests.doors.cli.cli_world import Cli

#: Between two scripted changes; more than the time in which views are coalesced.
STEP_S = 0.3


def becomes_ready(name: str) -> Callable[[World], None]:
    """A script: the service's tasks of that version are ready, older ones gone."""

    def script(world: World) -> None:
        time.sleep(STEP_S)
        view = world.services[name]
        world.services[name] = msgspec.structs.replace(
            view, running=view.desired, ready=view.desired, current=view.desired, rollout=""
        )
        new = [task(f"{name}.{slot + 1}", version=view.version) for slot in range(view.desired)]
        world.tasks = [each for each in world.tasks if each.service != name] + new
        world.changed()

    return script


def fails(name: str, words: str, **status: object) -> Callable[[World], None]:
    """A script: a new task fails, and the rollout ends in those words."""

    def script(world: World) -> None:
        time.sleep(STEP_S)
        view = world.services[name]
        world.tasks.append(
            task(
                f"{name}.1", TaskState.FAILED, id="new", version=view.version, desired=Desired.STOP, **status
            )
        )
        world.services[name] = msgspec.structs.replace(view, rollout=words)
        world.changed()

    return script


def stack_of(world: World, *networks: NetworkAttachment) -> None:
    """The stack shop's spec, whose service `web` is in these networks."""
    web = ServiceSpec(name="web", container=ContainerSpec(image="demo:1", networks=networks))
    world.specs_of_stack = {1: StackSpec(name="shop", services=(web,))}


def test_create_sends_the_service_to_its_stack_and_waits_until_it_runs(world: World, cli: Cli) -> None:
    world.shop()
    stack_of(world)
    world.after_deploy = becomes_ready("shop_cache")
    answer = cli("service", "create", "--name", "shop_cache", "-e", "A=1", "redis:7", "redis-server", "-v")
    assert (answer.code, answer.out) == (0, "shop_cache\n")
    assert answer.err.splitlines()[-1].endswith("shop_cache 1/1 ready")
    (request,) = world.asked
    spec = from_pb(request.spec)
    assert (request.stack, spec.name) == ("shop", "cache")
    assert spec.container.command == ("redis-server", "-v"), "words behind the image are the command's"
    assert spec.container.environment == ("A=1",)


def test_a_new_service_is_in_its_stacks_own_network_as_that_stack_makes_it(world: World, cli: Cli) -> None:
    world.shop()
    made = NetworkSpec(driver="bridge", internal=True)
    stack_of(world, NetworkAttachment(network="shop_default", spec=made))
    cli("service", "create", "-d", "--name", "shop/cache", "redis:7")
    (network,) = from_pb(world.asked[0].spec).container.networks
    assert (network.network, network.aliases, network.spec) == ("shop_default", ("cache",), made)


def test_a_network_of_the_stack_may_be_named_without_the_stack(world: World, cli: Cli) -> None:
    world.shop()
    made = NetworkSpec(internal=True)
    stack_of(world, NetworkAttachment(network="shop_back", spec=made))
    cli(
        "service",
        "create",
        "-d",
        "--name",
        "shop_cache",
        "--network",
        "back",
        "--network",
        "other",
        "redis:7",
    )
    back, other = from_pb(world.asked[0].spec).container.networks
    assert (back.network, back.spec) == ("shop_back", made)
    assert (other.network, other.spec.external) == ("other", True)


def test_without_a_stack_it_goes_to_the_default_one_under_a_name_of_its_image(world: World, cli: Cli) -> None:
    answer = cli(
        "service", "create", "-d", "--mode", "global-job", "registry.example:5000/team/app:2", "work"
    )
    (request,) = world.asked
    spec = from_pb(request.spec)
    assert request.stack == "default"
    assert spec.name.startswith("app-")
    assert spec.mode is ServiceMode.GLOBAL_JOB
    assert answer.out == f"default_{spec.name}\n"
    assert f"hint: bayplan rollout status -w default_{spec.name}" in answer.err


def test_a_dry_run_of_create_shows_the_service_and_sends_nothing(world: World, cli: Cli) -> None:
    answer = cli("service", "create", "--name", "shop_cache", "--dry-run", "redis:7")
    assert answer.out.startswith("+ create shop_cache")
    assert world.asked == []


def test_what_cannot_be_placed_ends_with_5_in_the_controllers_words(world: World, cli: Cli) -> None:
    world.refusal = Problem(
        kind=ProblemKind.UNPLACEABLE, summary="shop_big.1 cannot be placed", details=("needs 8 CPU",)
    )
    answer = cli("service", "create", "--name", "shop_big", "--reserve-cpu", "8", "demo:1")
    assert answer.code == 5
    assert answer.err == "error: shop_big.1 cannot be placed\n  needs 8 CPU\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--name", "Shop_x", "demo:1"), "is not a stack's name"),
        (("--name", "shop_x", "Demo:1"), "write it in lower case"),
        (("--limit-memory", "much", "demo:1"), "--limit-memory: 'much' is not a size"),
        (("--mount", "type=bind,source=x,target=/x", "demo:1"), "--mount: 'x' is not an absolute path"),
    ],
)
def test_a_wrong_flag_of_create_is_a_usage_error(
    world: World, cli: Cli, args: tuple[str, ...], says: str
) -> None:
    answer = cli("service", "create", *args)
    assert answer.code == 125
    assert says in answer.err
    assert world.asked == []


def test_update_sends_the_whole_spec_and_the_version_that_it_read(world: World, cli: Cli) -> None:
    world.shop()
    world.after_deploy = becomes_ready("shop_web")
    answer = cli("service", "update", "--image", "demo:2", "--env-add", "B=2", "shop/web")
    assert (answer.code, answer.out) == (0, "shop_web\n")
    (request,) = world.asked
    spec = from_pb(request.spec)
    assert (request.service, request.check_version) == ("shop_web", 1)
    assert spec.container.image == "demo:2"
    assert spec.container.environment == ("A=1", "B=2")
    assert spec.container.command == ("serve",), "what no flag names stays"


def test_update_shows_the_fields_that_would_change(world: World, cli: Cli) -> None:
    world.shop()
    answer = cli("service", "update", "--dry-run", "--image", "demo:2", "shop_web")
    assert answer.out.splitlines()[0] == "~ update shop_web"
    assert "~ image  demo:1 -> demo:2" in answer.out
    assert cli("service", "update", "--image", "demo:1", "shop_web").out == "shop_web is unchanged\n"
    assert cli("service", "update", "shop_web").code == 125
    assert world.asked == []


def test_an_update_that_is_rolled_back_ends_with_1_and_the_probes_output(world: World, cli: Cli) -> None:
    world.shop()
    words = "rolled back to version 1: 1 of 2 failed: unhealthy"
    world.after_deploy = fails("shop_web", words, message="unhealthy", probe_output="wget: refused\n")
    answer = cli("service", "update", "--image", "demo:2", "shop_web")
    assert answer.code == 1
    assert (
        "error: the update of shop_web was rolled back to version 1: 1 of 2 failed: unhealthy" in answer.err
    )
    assert "shop_web.1 on n1: unhealthy · last health check: wget: refused" in answer.err


def test_an_update_that_was_rolled_back_for_want_of_room_ends_with_5(world: World, cli: Cli) -> None:
    world.shop()
    world.after_deploy = fails("shop_web", "rolled back to version 1: 1 of 2 failed: no node has room for it")
    answer = cli("service", "update", "--reserve-cpu", "6", "shop_web")
    assert answer.code == 5
    assert "why:  bayplan explain shop_web" in answer.err


def test_canaries_that_run_end_the_update_with_the_next_commands(world: World, cli: Cli) -> None:
    world.shop()

    def waits(world: World) -> None:
        time.sleep(STEP_S)
        view = msgspec.structs.replace(
            world.services["shop_web"], current=1, rollout="awaiting promotion: 1 canary"
        )
        world.services["shop_web"] = view
        world.tasks.append(task("shop_web.1", id="canary", version=2))
        world.changed()

    world.after_deploy = waits
    answer = cli("service", "update", "--image", "demo:2", "--canaries", "1", "shop_web")
    assert answer.code == 0
    assert "hint: bayplan rollout promote shop_web, or bayplan rollout undo shop_web" in answer.err
    assert cli("service", "ls", "-f", "name=shop_web", "--format", "{{.Health}}").out == "canary\n"


@pytest.mark.parametrize("words", [("service", "rollback"), ("rollout", "undo")])
def test_a_way_back_that_was_asked_for_is_no_failure(world: World, cli: Cli, words: tuple[str, str]) -> None:
    world.shop()
    world.rollouts["shop_web"] = RolloutView(service="shop_web", state=RolloutState.ROLLING_BACK)

    def goes_back(world: World) -> None:
        view = world.services["shop_web"]
        world.services["shop_web"] = msgspec.structs.replace(
            view, version=2, current=0, rollout="rolling back to version 2 0/2: asked for"
        )
        world.changed()
        time.sleep(STEP_S)
        becomes_ready("shop_web")(world)
        view = world.services["shop_web"]
        world.services["shop_web"] = msgspec.structs.replace(
            view, rollout="rolled back to version 2: asked for"
        )
        world.changed()

    world.after_deploy = goes_back
    answer = cli(*words, "shop_web")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("shop_web")


def test_restart_waits_for_new_tasks_of_each_service(world: World, cli: Cli) -> None:
    world.shop()

    def both(world: World) -> None:
        becomes_ready("shop_web")(world)
        becomes_ready("shop_api")(world)

    world.after_deploy = both
    answer = cli("service", "restart", "shop_web", "shop_api")
    assert (answer.code, answer.out) == (0, "shop_web\nshop_api\n")
    assert cli("service", "restart", "--dry-run", "shop_web").out == "shop_web would get new tasks\n"
    assert len(world.asked) == 2


def test_rm_waits_until_the_service_is_gone(world: World, cli: Cli) -> None:
    world.shop()

    def goes(world: World) -> None:
        time.sleep(STEP_S)
        del world.services["shop_api"]
        world.tasks = [each for each in world.tasks if each.service != "shop_api"]
        world.changed()

    world.after_deploy = goes
    answer = cli("service", "rm", "shop_api")
    assert (answer.code, answer.out) == (0, "shop_api\n")
    assert "shop_api removing · 1 task left" in answer.err


def test_rm_of_an_unknown_service_removes_none_of_those_named(world: World, cli: Cli) -> None:
    world.shop()
    answer = cli("service", "rm", "shop_api", "shop_wbe")
    assert answer.code == 1
    assert answer.err == "error: no service shop_wbe\nhint: did you mean shop_web?\n"
    assert world.asked == []


def test_wait_ends_at_once_when_all_is_well_and_with_3_when_it_does_not_come(world: World, cli: Cli) -> None:
    world.shop()
    assert cli("service", "wait", "shop_web", "shop_api").code == 0
    world.put(service("shop_api", 1, ready=0))
    world.tasks[0] = task("shop_api.1", TaskState.PREPARING)
    answer = cli("service", "wait", "--timeout", "600ms", "shop_api")
    assert answer.code == 3
    assert "shop_api: 0/1 ready · 1 preparing" in answer.err


def test_a_scheduled_job_between_two_runs_is_as_it_shall_be(world: World, cli: Cli) -> None:
    soon_ms = int(time.time() * 1_000) + 300_500
    world.put(service("shop_job", 1, ready=0, mode=ServiceMode.REPLICATED_JOB, next_run_ms=soon_ms))
    assert cli("service", "wait", "shop_job").code == 0
    shown = cli("service", "ls", "--format", "{{.Health}}: {{.Note}}").out
    assert shown == "scheduled: next run in 5 minutes\n"


def rolling() -> RolloutView:
    """Made anew: it tells how long ago things were."""
    return RolloutView(
        service="shop_web",
        state=RolloutState.ROLLING,
        version=3,
        from_version=2,
        done=1,
        total=4,
        failed=1,
        policy=UpdatePolicy(order=UpdateOrder.START_FIRST),
        order_reason="no volume and no fixed port",
        deadline_left_ms=250_900,
        tasks=(task("shop_web.2", TaskState.FAILED, message="exit code 1", probe_output="no database\n"),),
    )


def test_rollout_status_is_one_screen(world: World, cli: Cli) -> None:
    world.rollouts["shop_web"] = rolling()
    answer = cli("rollout", "status", "shop/web")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "shop_web  ↻ rolling",
        "  Version:    2 -> 3",
        "  Slots:      1/4 updated, 1 failed",
        "  Order:      start-first (no volume and no fixed port)",
        "  Policy:     1 at a time, watched for 5s, on failure rollback",
        "  Deadline:   fails after 4m10s more without progress",
        "  ✗ shop_web.2 failed on n1 3 minutes ago: exit code 1 · last health check: no database",
    ]


def test_a_paused_rollout_ends_status_with_1_and_names_the_next_command(world: World, cli: Cli) -> None:
    world.rollouts["shop_web"] = msgspec.structs.replace(
        rolling(), state=RolloutState.PAUSED, reason="1 of 4 failed"
    )
    answer = cli("rollout", "status", "shop_web")
    assert answer.code == 1
    assert "next: bayplan rollout resume shop_web, or bayplan rollout undo shop_web" in answer.out
    assert "Deadline" not in answer.out
    shown = json.loads(cli("rollout", "status", "--format", "json", "shop_web").out)
    assert (shown["State"], shown["Done"], shown["Order"]) == ("paused", 1, "start-first")


def test_promote_waits_for_the_rest(world: World, cli: Cli) -> None:
    world.shop()
    world.rollouts["shop_web"] = rolling()
    world.services["shop_web"] = msgspec.structs.replace(world.services["shop_web"], version=2, current=1)
    world.after_deploy = becomes_ready("shop_web")
    answer = cli("rollout", "promote", "shop_web")
    assert (answer.code, answer.out) == (0, "shop_web rolling\n")
    assert answer.err.splitlines()[-1].endswith("shop_web 2/2 ready")


def test_pause_shows_the_rollout_and_a_dry_run_asks_for_nothing(world: World, cli: Cli) -> None:
    world.rollouts["shop_web"] = rolling()
    assert cli("rollout", "pause", "--dry-run", "shop_web").out.startswith("shop_web  ↻ rolling")
    assert world.asked == []
    assert cli("rollout", "pause", "shop_web").code == 0
    assert len(world.asked) == 1


def test_variables_of_a_file_count_less_than_those_that_are_written_out(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "web.env").write_text("# of the shop\nA=1\n\nB=two words\n")
    cli("service", "create", "-d", "--name", "shop_cache", "--env-file", "web.env", "-e", "A=9", "redis:7")
    assert from_pb(world.asked[0].spec).container.environment == ("A=9", "B=two words")
    assert cli("service", "create", "--env-file", "absent.env", "redis:7").code == 125


def test_a_rollout_that_goes_back_shows_the_way_that_it_takes(world: World, cli: Cli) -> None:
    back = {"state": RolloutState.ROLLED_BACK, "version": 1, "from_version": 2}
    world.rollouts["shop_web"] = msgspec.structs.replace(rolling(), **back)
    assert "  Version:    2 -> 1, back" in cli("rollout", "status", "shop_web").out


def test_of_each_slot_the_newest_failure_is_told(world: World, cli: Cli) -> None:
    failures = (
        task("shop_web.1", TaskState.FAILED, id="newer", message="out of memory"),
        task("shop_web.1", TaskState.FAILED, id="older", message="exit code 1"),
    )
    world.rollouts["shop_web"] = msgspec.structs.replace(rolling(), tasks=failures)
    out = cli("rollout", "status", "shop_web").out
    assert "shop_web.1 failed on n1 3 minutes ago: out of memory" in out
    assert "exit code 1" not in out
