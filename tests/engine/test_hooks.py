"""Hooks in real containers: who runs them, when, and what their failure does."""

from __future__ import annotations

import time
from pathlib import Path

from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Desired, Hook, Mount, MountKind
from tests.engine.agent_world import IMAGE, World


def hooked(folder: Path, **fields: object) -> ContainerSpec:
    """A container that runs until it is told to end, with a folder of the host at /seen."""
    folder.chmod(0o777)
    command = ("sh", "-c", "trap 'echo stopped >>/seen/log; exit 0' TERM; sleep 1000 & wait")
    mount = Mount(kind=MountKind.BIND, source=str(folder), target="/seen")
    given = {"image": IMAGE, "command": command, "mounts": (mount,), "stop_grace_ms": 2_000} | fields
    return ContainerSpec(**given)  # type: ignore[arg-type]


def sh(line: str, **fields: object) -> Hook:
    return Hook(command=("sh", "-c", line), **fields)  # type: ignore[arg-type]


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


async def test_hooks_run_in_order_as_their_user_in_their_place(world: World, tmp_path: Path) -> None:
    first = sh(
        "echo $(id -u):$(id -g) $PWD $GREETING >>/seen/log; chmod 666 /seen/log",
        user="1234:5678",
        working_dir="/tmp",
        environment=("GREETING=hello",),
    )
    second = sh("id -u >>/seen/log")
    await world.start_agent()
    world.assign("t1", hooked(tmp_path, post_start=(first, second)))
    await world.reach("t1", TaskState.RUNNING)
    assert log(tmp_path) == ["1234:5678 /tmp hello", "0"]


async def test_a_privileged_hook_may_what_a_privileged_exec_may(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    look = "grep CapEff /proc/self/status"
    world.assign("t1", hooked(tmp_path))
    await world.reach("t1", TaskState.RUNNING)
    theirs = world.host.docker("exec", "--privileged", "bp-t1", *look.split(), check=False)
    world.assign("t2", hooked(tmp_path, post_start=(sh(f"{look} >/seen/log", privileged=True),)))
    if "CapEff" in theirs:
        await world.reach("t2", TaskState.RUNNING)
        assert log(tmp_path) == [theirs]
    else:  # a machine that may not give all privileges away itself
        assert "unable to apply caps" in (await world.reach("t2", TaskState.FAILED)).message


async def test_a_task_is_starting_while_its_hook_runs(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    wait = sh("until [ -e /seen/go ]; do sleep 0.05; done")
    world.assign("t1", hooked(tmp_path, post_start=(wait,)))
    status = await world.reach("t1", TaskState.STARTING)
    assert status.message == "its post_start hooks run"
    (tmp_path / "go").touch()
    await world.reach("t1", TaskState.RUNNING)


async def test_a_failing_post_start_fails_the_task_and_ends_the_container(
    world: World, tmp_path: Path
) -> None:
    await world.start_agent()
    bad = sh("echo no such table >&2; echo more; exit 3")
    world.assign("t1", hooked(tmp_path, post_start=(bad, sh("echo second >>/seen/log"))))
    message = (await world.reach("t1", TaskState.FAILED)).message
    command = "sh -c 'echo no such table >&2; echo more; exit 3'"
    assert message == f"post_start hook `{command}` failed with exit code 3: no such table"
    assert world.host.containers(running=True) == []
    assert log(tmp_path) == ["stopped"]


async def test_a_hook_that_cannot_be_run_says_why(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    world.assign("t1", hooked(tmp_path, post_start=(Hook(command=("nosuch",)),)))
    message = (await world.reach("t1", TaskState.FAILED)).message
    assert (
        message
        == 'post_start hook `nosuch` cannot be run: exec: "nosuch": executable file not found in $PATH'
    )
    world.assign("t2", hooked(tmp_path, post_start=(sh("true", user="nobody9"),)))
    assert "nobody9" in (await world.reach("t2", TaskState.FAILED)).message


async def test_pre_stop_runs_before_the_signal_and_its_failure_is_noted(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    hooks = (sh("echo one >>/seen/log; exit 7"), sh("echo two >>/seen/log"))
    world.assign("t1", hooked(tmp_path, pre_stop=hooks))
    await world.reach("t1", TaskState.RUNNING)
    world.assign("t1", None, Desired.STOP)
    status = await world.reach("t1", TaskState.SHUTDOWN)
    assert log(tmp_path) == ["one", "two", "stopped"]
    assert "failed with exit code 7" in status.message


async def test_a_pre_stop_that_hangs_takes_no_more_than_the_grace(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    world.assign("t1", hooked(tmp_path, pre_stop=(sh("sleep 1000"), sh("sleep 1000"))))
    await world.reach("t1", TaskState.RUNNING)
    began = time.monotonic()
    world.assign("t1", None, Desired.STOP)
    status = await world.reach("t1", TaskState.SHUTDOWN)
    assert 1.9 < time.monotonic() - began < 3.9
    assert "did not end within" in status.message
    assert log(tmp_path) == ["stopped"]


async def test_a_stop_does_not_wait_for_a_post_start_that_hangs(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    world.assign("t1", hooked(tmp_path, post_start=(sh("sleep 1000"),)))
    await world.reach("t1", TaskState.STARTING)
    began = time.monotonic()
    world.withdraw("t1")
    await world.until("t1 is gone", lambda: "t1" in world.gone)
    assert time.monotonic() - began < 2.5


async def test_a_restarted_agent_runs_no_hook_twice(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    world.assign("t1", hooked(tmp_path, post_start=(sh("echo once >>/seen/log"),)))
    await world.reach("t1", TaskState.RUNNING)
    await world.kill_agent()
    await world.start_agent()
    assert world.hellos[-1].tasks[0].state is TaskState.RUNNING
    world.withdraw("t1")
    await world.until("t1 is gone", lambda: "t1" in world.gone)
    assert log(tmp_path) == ["once", "stopped"]


async def test_an_agent_killed_amid_a_hook_runs_it_again(world: World, tmp_path: Path) -> None:
    await world.start_agent()
    wait = sh("echo begun >>/seen/log; until [ -e /seen/go ]; do sleep 0.05; done")
    world.assign("t1", hooked(tmp_path, post_start=(wait,)))
    await world.until("the hook runs", (tmp_path / "log").exists)
    await world.kill_agent()
    (tmp_path / "go").touch()
    await world.start_agent()
    await world.reach("t1", TaskState.RUNNING)
    assert log(tmp_path) == ["begun", "begun"]
