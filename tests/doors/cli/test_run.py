"""`run`: one task, its output here, its exit code ours, and nothing left of it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bayplan.errors import Problem, ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import LogLine, LogStream, RestartCondition, ServiceMode
from bayplan.v1 import rollout_pb2
from bayplan.wire import from_pb
from tests.doors.cli.canned_controller import World, task
from tests.doors.cli.cli_world import Cli, environment

#: Between two scripted changes.
STEP_S = 0.3


def runs(name: str, *ends: TaskState, **status: Any) -> Callable[[World], None]:
    """A script: the task starts, says something, and goes through these states."""

    def script(world: World) -> None:
        if name not in world.services or any(each.service == name for each in world.tasks):
            return
        world.names = {"job": f"{name}.1@n1"}
        world.lines = [
            LogLine(time_ns=1, stream=LogStream.STDOUT, text=b"done: 3 rows", task_id="job"),
            LogLine(time_ns=2, stream=LogStream.STDERR, text=b"one warning", task_id="job"),
        ]
        for state in ends:
            at_end = status if state is ends[-1] else {}
            world.tasks = [task(f"{name}.1", state, id="job", container_id="c1", **at_end)]
            world.names = {"job": f"{name}.1@n1", "id": "job@n1"}
            world.changed()
            time.sleep(STEP_S)

    return script


def created(world: World) -> rollout_pb2.CreateServiceRequest:
    return world.asked[0]  # type: ignore[no-any-return]


def removed(world: World) -> list[str]:
    return [each.service for each in world.asked if isinstance(each, rollout_pb2.RemoveServiceRequest)]


def test_it_prints_the_output_ends_with_the_commands_code_and_removes_itself(world: World, cli: Cli) -> None:
    world.after_deploy = runs("default_job", TaskState.RUNNING, TaskState.FAILED, exit_code=7)
    answer = cli("run", "--name", "job", "-e", "A=1", "demo:1", "sh", "-c", "exit 7")
    assert answer.code == 7
    assert answer.out == "done: 3 rows\n"
    assert answer.err.splitlines()[0] == "one warning"
    spec = from_pb(created(world).spec)
    assert (spec.mode, spec.restart.condition) == (ServiceMode.REPLICATED_JOB, RestartCondition.NONE)
    assert spec.container.command == ("sh", "-c", "exit 7")
    assert spec.ttl_ms == 3_600_000
    assert removed(world) == ["default_job"]


def test_a_command_that_ends_well_ends_with_0_and_keep_leaves_it(world: World, cli: Cli) -> None:
    world.after_deploy = runs("default_job", TaskState.RUNNING, TaskState.COMPLETE, exit_code=0)
    assert cli("run", "--keep", "--name", "job", "demo:1").code == 0
    assert from_pb(created(world).spec).ttl_ms == 0
    assert removed(world) == []


def test_what_never_ran_ends_with_125_and_the_reason(world: World, cli: Cli) -> None:
    world.after_deploy = runs("default_job", TaskState.REJECTED, message="no such image: demo:9")
    answer = cli("run", "--name", "job", "demo:9")
    assert answer.code == 125
    assert "error: default_job could not run: no such image: demo:9" in answer.err
    assert removed(world) == ["default_job"]


def test_a_refusal_of_the_controller_is_our_error_not_the_commands(world: World, cli: Cli) -> None:
    world.refusal = Problem(kind=ProblemKind.UNPLACEABLE, summary="default_job.1 cannot be placed")
    answer = cli("run", "--name", "job", "--reserve-cpu", "99", "demo:1")
    assert answer.code == 125
    assert answer.err == "error: default_job.1 cannot be placed\n"


def test_one_that_finds_no_node_is_given_up_and_removed(world: World, cli: Cli) -> None:
    world.after_deploy = lambda world: (
        world.tasks.append(
            task("default_job.1", TaskState.PENDING, node="", pending_reasons=("needs 8 CPU",))
        ),
        world.changed(),
    )  # type: ignore[assignment]
    answer = cli("run", "--name", "job", "--timeout", "800ms", "demo:1")
    assert answer.code == 125
    assert "waiting for a node: needs 8 CPU" in answer.err
    assert "error: default_job did not start within 0.8 s\n  needs 8 CPU\n" in answer.err
    assert removed(world) == ["default_job"]


def test_detached_it_prints_its_name_and_leaves_the_end_to_the_controller(world: World, cli: Cli) -> None:
    answer = cli("run", "-d", "demo:1", "work")
    assert answer.code == 0
    name = answer.out.strip()
    assert name.startswith("default_run-")
    assert f"hint: bayplan logs -f {name}" in answer.err
    assert from_pb(created(world).spec).ttl_ms == 3_600_000
    assert removed(world) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_removes_it_with_a_word(world: World, cli: Cli, tmp_path: Path, number: int) -> None:
    world.keep_following = True
    world.after_deploy = runs("default_job", TaskState.RUNNING)
    program = subprocess.Popen(
        cli.program("run", "--name", "job", "demo:1"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "done: 3 rows\n"
    program.send_signal(number)
    _out, err = program.communicate(timeout=20)
    assert program.returncode == 130
    assert "default_job is stopped and removed" in err
    assert removed(world) == ["default_job"]


@pytest.mark.parametrize("args", [("--limit-cpu", "many", "demo:1"), ("Demo:1",), ()])
def test_a_wrong_command_line_runs_nothing(world: World, cli: Cli, args: tuple[str, ...]) -> None:
    assert cli("run", *args).code == 125
    assert world.asked == []
