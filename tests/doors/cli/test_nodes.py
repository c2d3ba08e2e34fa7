"""`node update|drain|rm|ps`, `simulate`, `rebalance`: what is asked, what is shown of tasks that move."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import grpc
import msgspec
import pytest

from bayplan.cli.moving import step
from bayplan.errors import Problem, ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import Availability, Desired, Health, NodeStatus
from bayplan.v1 import node_pb2
from bayplan.views import Move
from tests.doors.cli.canned_controller import World, node, now_ms, serve, task
from tests.doors.cli.cli_world import Cli, environment, on_a_terminal

#: Between two scripted changes; more than the time between two looks.
STEP_S = 0.8


@pytest.fixture
def two_nodes(world: World) -> World:
    """Two tasks of shop_web on n1, one of shop_api on n2."""
    world.shop()
    world.nodes = [node("n1", tasks=2), node("n2", tasks=1)]
    world.tasks = [task("shop_api.1", node="n2"), task("shop_web.1"), task("shop_web.2")]
    return world


def moves_away(world: World) -> None:
    """Both tasks of n1 get heirs on n2, one after the other; the elders go once those are ready."""
    for slot in (1, 2):
        name = f"shop_web.{slot}"
        world.tasks.append(task(name, TaskState.STARTING, node="n2", id=f"heir{slot}", created_ms=now_ms()))
        time.sleep(STEP_S)
        kept = [each for each in world.tasks if (each.service, each.slot) != ("shop_web", slot)]
        world.tasks = [*kept, task(name, node="n2", id=f"heir{slot}")]


def test_node_update_changes_availability_and_labels(two_nodes: World, cli: Cli) -> None:
    answer = cli(
        "node", "update", "--availability", "pause", "--label-add", "zone=a", "--label-rm", "disk", "n1", "n2"
    )
    assert (answer.code, answer.out) == (0, "n1\nn2\n")
    first = two_nodes.asked[0]
    assert (first.node, first.availability) == ("n1", node_pb2.AVAILABILITY_PAUSE)
    assert (dict(first.label_add), list(first.label_remove)) == ({"zone": "a"}, ["disk"])


def test_node_update_without_a_change_or_with_an_unknown_node_asks_for_nothing(
    two_nodes: World, cli: Cli
) -> None:
    assert cli("node", "update", "n1").code == 125
    answer = cli("node", "update", "--availability", "active", "n1", "n22")
    assert answer.code == 1
    assert "did you mean n2?" in answer.err
    assert two_nodes.asked == []


def test_drain_shows_each_move_until_the_node_is_empty(two_nodes: World, cli: Cli) -> None:
    two_nodes.after_deploy = moves_away
    answer = cli("node", "drain", "--deadline", "10m", "n1")
    assert answer.code == 0
    moves = [line.partition(" ")[2] for line in answer.err.splitlines()]
    assert moves[0] == "shop_web.1 n1 -> n2 starting"
    assert "shop_web.1 has moved to n2" in moves
    assert "shop_web.2 has moved to n2" in moves
    assert answer.out.startswith("n1 is empty: 2 tasks gone in ")
    assert "hint: bayplan node update --availability active n1" in answer.err
    (request,) = two_nodes.asked
    assert (request.availability, request.deadline_ms) == (node_pb2.AVAILABILITY_DRAIN, 600_000)


def test_a_drain_that_waits_for_room_ends_with_5_and_the_reasons(two_nodes: World, cli: Cli) -> None:
    reasons = ("needs 8 CPU", "nearest: n2 has 6.5 CPU free")
    two_nodes.tasks.append(
        task(
            "shop_web.1", TaskState.PENDING, node="", id="heir", pending_reasons=reasons, created_ms=now_ms()
        )
    )
    answer = cli("node", "drain", "--timeout", "700ms", "n1")
    assert answer.code == 5
    assert "shop_web.1 waits for a node: needs 8 CPU · nearest: n2 has 6.5 CPU free" in answer.err
    assert (
        "error: the drain of n1 waits: shop_web.1 cannot be placed elsewhere\n  needs 8 CPU\n" in answer.err
    )


def test_a_drain_without_progress_ends_with_3_and_tells_what_is_left(two_nodes: World, cli: Cli) -> None:
    answer = cli("node", "drain", "--timeout", "700ms", "n1")
    assert answer.code == 3
    assert "error: the drain of n1 is still on its way: 2 tasks left, no progress for 0.7 s" in answer.err


def test_ctrl_c_stops_watching_a_drain_not_the_drain(two_nodes: World, cli: Cli, tmp_path: Path) -> None:
    program = subprocess.Popen(
        cli.program("node", "drain", "n1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env=environment(),
    )  # fmt: skip
    while not two_nodes.asked:
        time.sleep(0.05)
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    _out, err = program.communicate(timeout=20)
    assert program.returncode == 130
    assert err.endswith("stopped watching; the cluster goes on\nhint: bayplan node ps n1\n")


def test_a_dry_run_of_drain_tells_which_tasks_would_leave(two_nodes: World, cli: Cli) -> None:
    answer = cli("node", "drain", "--dry-run", "n1")
    assert answer.out == "shop_web.1 would leave n1\nshop_web.2 would leave n1\n"
    assert two_nodes.asked == []


@pytest.mark.parametrize(
    ("heir", "words"),
    [
        (None, ""),
        (task("a_b.1", TaskState.PREPARING, node="n2"), "n1 -> n2 preparing"),
        (task("a_b.1", node="n2", health=Health.STARTING), "n1 -> n2 running"),
        (task("a_b.1", node="n2", health=Health.HEALTHY), "n1 -> n2 ready"),
    ],
)
def test_the_words_of_a_move(heir: object, words: str) -> None:
    assert step(task("a_b.1", node="n1"), heir) == words  # type: ignore[arg-type]


def test_a_task_without_an_heir_is_told_when_it_stops() -> None:
    assert step(task("a_b.1", desired=Desired.STOP), None) == "is stopping"
    assert step(None, None) == "has ended"


def test_node_rm_takes_it_out_and_a_refusal_is_shown(two_nodes: World, cli: Cli) -> None:
    assert cli("node", "rm", "--dry-run", "n1").out == "Would remove node n1 (ready, 2 tasks)\n"
    two_nodes.refusal = Problem(
        kind=ProblemKind.REFUSED, summary="n1 has 2 tasks", hint="bayplan node drain n1"
    )
    answer = cli("node", "rm", "n1")
    assert (answer.code, answer.err) == (1, "error: n1 has 2 tasks\nhint: bayplan node drain n1\n")
    two_nodes.refusal = None
    answer = cli("node", "rm", "--force", "n1")
    assert (answer.code, answer.out) == (0, "n1\n")
    assert two_nodes.asked[-1].force


def test_node_ps_lists_the_tasks_of_a_node(two_nodes: World, cli: Cli) -> None:
    shown = cli("node", "ps", "--format", "{{.Name}} {{.Node}}", "n1").out
    assert shown.splitlines() == ["shop_web.1 n1", "shop_web.2 n1"]


def test_node_ls_notes_what_is_unusual(world: World, cli: Cli) -> None:
    world.nodes = [
        node("n1", engine_silent_ms=12_000),
        node("n2", NodeStatus.DOWN, held="2 of 3 nodes fell silent together"),
        node("n3", shaky_ms=180_000),
        node("n4", tasks=3, availability=Availability.DRAIN),
        node("n5"),
    ]
    assert cli("node", "ls", "--format", "{{.Hostname}}: {{.Note}}").out.splitlines() == [
        "n1: engine silent for 12 seconds",
        "n2: tasks are held: 2 of 3 nodes fell silent together",
        "n3: came and went: spared for 3 minutes",
        "n4: drains",
        "n5: ",
    ]
    status = cli("status")
    assert status.code == 1
    assert "hint: on n1: `systemctl status docker`; its engine does not answer" in status.out


def test_simulate_tells_where_tasks_would_go_and_ends_with_5_without_room(two_nodes: World, cli: Cli) -> None:
    two_nodes.moves = (Move(task="shop_web.1", before="n1", after="n2", reasons=("fewest tasks",)),)
    two_nodes.ended = ("shop_agent.1",)
    answer = cli("simulate", "--lose", "n1")
    assert answer.code == 0
    assert [line.split(maxsplit=3) for line in answer.out.splitlines()] == [
        ["TASK", "FROM", "TO", "WHY"],
        ["shop_web.1", "n1", "n2", "fewest tasks"],
        ["shop_agent.1", "n1", "-", "it ends with its node"],
    ]
    assert answer.err == "without n1: 1 task would move, 1 would end\n"
    two_nodes.moves += (Move(task="shop_web.2", before="n1", reasons=("needs 8 CPU", "n2 has 6.5")),)
    answer = cli("simulate", "--lose", "n1")
    assert answer.code == 5
    assert "needs 8 CPU · n2 has 6.5" in answer.out
    assert answer.err.endswith("1 could not be placed, 1 would end\n")


def test_rebalance_shows_its_plan_and_waits_for_the_moves(two_nodes: World, cli: Cli) -> None:
    two_nodes.moves = (Move(task="shop_web.1", before="n1", after="n2", reasons=("n1 is fuller",)),)
    answer = cli("rebalance", "--dry-run", "--moves", "3")
    assert answer.code == 0
    assert (two_nodes.asked[0].dry_run, two_nodes.asked[0].moves_max) == (True, 3)

    def moves(world: World) -> None:
        moved = task("shop_web.1", node="n2", id="heir", created_ms=now_ms())
        world.tasks[1:2] = [moved, msgspec.structs.replace(world.tasks[1], desired=Desired.STOP)]
        time.sleep(STEP_S)
        del world.tasks[2]

    two_nodes.after_deploy = moves
    answer = cli("rebalance")
    assert answer.code == 0, answer.err
    assert "shop_web.1 n1 -> n2 ready" in answer.err


def test_an_even_load_is_said_to_be_even(two_nodes: World, cli: Cli) -> None:
    answer = cli("rebalance")
    assert (answer.code, answer.out, answer.err) == (0, "", "nothing would be gained: the load is even\n")


@pytest.mark.parametrize("words", [("node", "rm", "n1"), ("service", "rm", "shop_web")])
def test_on_a_terminal_what_goes_is_asked_about_and_no_is_an_answer(
    two_nodes: World, cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, text = on_a_terminal(cli.program(*words), tmp_path, typed="n\n")
    assert code == 1
    assert f"Would remove {words[0]} {words[2]}" in text
    assert "nothing was removed" in text
    assert two_nodes.asked == []


def test_a_drain_outlives_its_controller(two_nodes: World, cli: Cli) -> None:
    servers: list[grpc.Server] = []

    def away_and_back(world: World) -> None:
        time.sleep(STEP_S)  # the answer to the drain itself has left
        world.stop_serving()
        time.sleep(STEP_S)
        servers.append(serve(world, cli.socket))
        moves_away(world)

    two_nodes.after_deploy = away_and_back
    answer = cli("node", "drain", "n1")
    servers[0].stop(0).wait()
    assert answer.code == 0, answer.err
    assert answer.err.count("warning: the controller is away; waiting for it to come back") == 1
    assert answer.out.startswith("n1 is empty: 2 tasks gone")
