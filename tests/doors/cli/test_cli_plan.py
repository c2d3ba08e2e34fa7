"""`plan` and what `stack deploy` does with it: what they print, and with which code they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayplan.errors import Problem, ProblemKind
from bayplan.views import FieldChange, Plan, PlannedTask, ServiceAction, ServiceChange, ServicePlan
from tests.doors.cli.canned_controller import World
from tests.doors.cli.cli_world import Answer, Cli

COMPOSE = """\
services:
  api:
    image: demo:2
  web:
    image: demo:1
"""
UNPLACEABLE = Problem(
    kind=ProblemKind.UNPLACEABLE,
    summary="shop_web.1 cannot be placed",
    details=("needs 8 CPU", "nearest: n1 has 2 CPU free (6 short)"),
    hint="lower deploy.resources.reservations.cpus to 2",
    place="docker-compose.yml:5",
)
REFUSED = Problem(kind=ProblemKind.REFUSED, summary="image demo:2 is on no node")


@pytest.fixture(autouse=True)
def compose_file(tmp_path: Path) -> Path:
    path = tmp_path / "docker-compose.yml"
    path.write_text(COMPOSE)
    return path


def service(name: str, action: ServiceAction, *fields: FieldChange, node: str = "") -> ServicePlan:
    tasks = (PlannedTask(name=f"{name}.1", node=node, reasons=("most room",)),) if node else ()
    return ServicePlan(
        change=ServiceChange(service=name, action=action, version=2), fields=fields, tasks=tasks
    )


IMAGE = FieldChange(path="container.image", before="demo:1", after="demo:2")
UPDATE = service("shop_api", ServiceAction.UPDATE, IMAGE, node="n1")
CREATE = service("shop_web", ServiceAction.CREATE, node="n1")
SAME = service("shop_web", ServiceAction.SAME)
OLD = service("shop_old", ServiceAction.REMOVE)


def a_plan(
    *services: ServicePlan, problems: tuple[Problem, ...] = (), warnings: tuple[str, ...] = ()
) -> Plan:
    return Plan(stack="shop", index=4, services=services, problems=problems, warnings=warnings)


def plan(cli: Cli, *more: str) -> Answer:
    return cli("plan", "-c", "docker-compose.yml", *more, "shop")


def test_a_plan_goes_to_stdout_and_the_next_command_to_stderr(world: World, cli: Cli) -> None:
    world.plan = a_plan(UPDATE, CREATE)
    answer = plan(cli, "--prune")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "~ update shop_api",
        "    ~ image  demo:1 -> demo:2",
        "    place    n1: most room",
        "+ create shop_web",
        "    place    n1: most room",
        "Plan: 1 to create, 1 to update, 0 to remove; revision 4",
    ]
    assert answer.err == "hint: bayplan stack deploy -c docker-compose.yml --prune --check-index 4 shop\n"
    assert world.asked == []
    assert [request.prune for request in world.planned] == [True]


@pytest.mark.parametrize(
    ("services", "flags", "code"),
    [
        ((SAME,), (), 0),
        ((SAME,), ("--detailed-exitcode",), 0),
        ((UPDATE,), (), 0),
        ((UPDATE,), ("--detailed-exitcode",), 2),
        ((UPDATE,), ("--detailed-exitcode", "--json"), 2),
    ],
)
def test_only_the_detailed_exit_code_tells_of_changes(
    world: World, cli: Cli, services: tuple[ServicePlan, ...], flags: tuple[str, ...], code: int
) -> None:
    world.plan = a_plan(*services)
    assert plan(cli, *flags).code == code


def test_a_plan_without_changes_is_one_line_and_has_no_hint(world: World, cli: Cli) -> None:
    world.plan = a_plan(SAME)
    assert plan(cli) == Answer(0, "shop would not change: 1 service, revision 4\n", "")


@pytest.mark.parametrize(
    ("problems", "code"), [((UNPLACEABLE,), 5), ((REFUSED,), 1), ((REFUSED, UNPLACEABLE), 5)]
)
def test_problems_are_told_after_the_plan_and_give_the_exit_code(
    world: World, cli: Cli, problems: tuple[Problem, ...], code: int
) -> None:
    world.plan = a_plan(CREATE, problems=problems)
    answer = plan(cli, "--detailed-exitcode")
    assert answer.code == code
    assert "Plan: 1 to create" in answer.out
    assert all(problem.summary in answer.err for problem in problems)
    assert "hint: bayplan stack deploy" not in answer.err


def test_json_is_one_object_with_the_loaders_warnings_among_the_others(
    world: World, cli: Cli, compose_file: Path
) -> None:
    compose_file.write_text(f"version: '2'\nversionn: 3\n{COMPOSE}")
    compose_file.write_text(
        "services: {api: {image: 'demo:2', restart: always, deploy: {restart_policy: {}}}}"
    )
    world.plan = a_plan(UPDATE, warnings=("from the controller",))
    shown = json.loads(plan(cli, "--json").out)
    assert shown["index"] == 4
    assert shown["services"][0]["fields"] == [
        {"path": "container.image", "before": "demo:1", "after": "demo:2"}
    ]
    assert shown["warnings"][-1] == "from the controller"
    assert shown["warnings"][0].startswith("docker-compose.yml:1: ")


def test_warnings_are_told_once_and_are_errors_when_strict(world: World, cli: Cli) -> None:
    world.plan = a_plan(UPDATE, warnings=("docker-compose.yml:3: privileged is off here",))
    assert plan(cli).err.splitlines()[0] == "warning: docker-compose.yml:3: privileged is off here"
    answer = plan(cli, "--strict")
    assert (answer.code, answer.out) == (125, "")
    assert "error: docker-compose.yml:3: privileged is off here" in answer.err


def deploy(cli: Cli, *more: str) -> Answer:
    return cli("stack", "deploy", "-d", "-c", "docker-compose.yml", *more, "shop")


def test_a_deploy_says_before_what_it_does_and_why(world: World, cli: Cli) -> None:
    world.plan = a_plan(UPDATE, CREATE, OLD)
    world.actions = [each.change for each in world.plan.services]
    assert deploy(cli).out.splitlines() == [
        "Updating service shop_api (image demo:1 -> demo:2)",
        "Creating service shop_web",
        "Removing service shop_old",
    ]


def test_what_the_deploy_did_beyond_the_plan_is_told_too(world: World, cli: Cli) -> None:
    world.plan = a_plan(UPDATE, SAME)
    world.actions = [UPDATE.change, CREATE.change]
    assert deploy(cli).out.splitlines()[1:] == ["Creating service shop_web"]


def test_a_deploy_whose_plan_has_problems_is_not_sent(world: World, cli: Cli) -> None:
    world.plan = a_plan(CREATE, problems=(UNPLACEABLE,))
    answer = deploy(cli)
    assert (answer.code, answer.out) == (5, "")
    assert answer.err.startswith("error: docker-compose.yml:5: shop_web.1 cannot be placed\n  needs 8 CPU\n")
    assert world.asked == []


@pytest.mark.parametrize(
    ("flags", "index"), [((), None), (("--check-index", "0"), 0), (("--check-index", "4"), 4)]
)
def test_the_revision_that_a_deploy_depends_on_is_sent(
    world: World, cli: Cli, flags: tuple[str, ...], index: int | None
) -> None:
    world.plan = a_plan(UPDATE)
    world.actions = [UPDATE.change]
    deploy(cli, *flags)
    (request,) = world.asked
    assert (request.check_index if request.HasField("check_index") else None) == index


def test_several_env_files_and_profiles_stand_in_the_next_command(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "my env").write_text("A=1\n")
    world.plan = a_plan(UPDATE)
    answer = plan(cli, "--env-file", "my env", "--profile", "debug", "--project-directory", ".")
    assert answer.err.splitlines()[-1] == (
        "hint: bayplan stack deploy -c docker-compose.yml --env-file 'my env' --profile debug "
        "--project-directory . --check-index 4 shop"
    )
