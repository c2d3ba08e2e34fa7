"""`ps`, `events`, `explain`, and the calls about the registry that no command makes yet."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bayplan.client import Client
from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Health, Instance, Resources
from bayplan.views import CauseCount, Event, Explanation, NodeVerdict, Score
from tests.doors.cli.canned_controller import GIB, World, now_ms, serve, service, task
from tests.doors.cli.cli_world import Cli, environment


def event(index: int, kind: str, subject: str, text: str, ago_ms: int = 0) -> Event:
    return Event(index=index, time_ms=now_ms() - ago_ms, kind=kind, subject=subject, text=text)


def test_ps_shows_what_runs_and_what_is_missing(world: World, cli: Cli) -> None:
    world.shop()
    world.put(service("shop_job", 1, ready=0, completed=1))
    world.tasks += [
        task("shop_web.2", TaskState.FAILED, id="older", desired=Desired.STOP),
        task("shop_web.3", TaskState.REJECTED, node="n2", message="no such image"),
        task("shop_job.1", TaskState.COMPLETE),
    ]
    world.tasks.append(world.tasks.pop(2))
    world.tasks.sort(key=lambda each: (each.service, each.slot, each.id == "older"))
    template = "{{.Name}} {{.Error}}"
    assert cli("ps", "--format", template).out.splitlines() == [
        "shop_api.1 ",
        "shop_web.1 ",
        "shop_web.2 ",
        'shop_web.3 "no such image"',
    ]
    assert len(cli("ps", "-a", "-q").out.splitlines()) == 6


def test_a_task_whose_health_check_fails_from_the_start_says_so(world: World, cli: Cli) -> None:
    world.put(service("shop_api", 1, ready=0))
    world.tasks = [task("shop_api.1", TaskState.STARTING, probe_output="connection refused\n")]
    assert cli("ps", "--format", "{{.Error}}").out == '"health check fails: connection refused"\n'


def test_an_heir_that_is_only_prepared_is_wanted_ready(world: World, cli: Cli) -> None:
    world.put(service("shop_api", 1))
    world.tasks = [task("shop_api.1", TaskState.PREPARING, desired=Desired.READY)]
    assert cli("ps", "--format", "{{.DesiredState}}").out == "Ready\n"


def test_events_are_filtered_by_kind_stack_and_time(world: World, cli: Cli) -> None:
    world.events = [
        event(1, "node", "n1", "joined", ago_ms=7_200_000),
        event(2, "service", "shop_web", "version 2 is rolled out"),
        event(3, "service", "blog_web", "created"),
        event(4, "node", "n2", "is suspect"),
    ]
    assert len(cli("events").out.splitlines()) == 4
    lines = cli("events", "--since", "1h", "--filter", "kind=node").out.splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["node n2: is suspect"]
    assert cli("events", "--filter", "stack=shop", "--format", "{{.Text}}").out == "version 2 is rolled out\n"
    shown = json.loads(cli("events", "-n", "1", "--format", "json").out)
    assert (shown["Type"], shown["Actor"], shown["Index"]) == ("node", "n2", "4")
    assert cli("events", "--filter", "colour=red").code == 125


def test_followed_events_come_as_they_happen(world: World, cli: Cli, tmp_path: Path) -> None:
    world.events = [event(1, "node", "n1", "joined")]
    program = subprocess.Popen(
        cli.program("events", "-f", "--format", "{{.Text}}"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "joined\n"
    world.events.append(event(2, "node", "n1", "is down"))
    world.changed()
    assert program.stdout.readline() == "is down\n"
    program.terminate()
    program.wait(10)
    program.stdout.close()
    assert program.stderr is not None
    program.stderr.close()


def explanation() -> Explanation:
    free = Resources(cpu_millis=6_500, memory_bytes=30 * GIB)
    return Explanation(
        subject="shop_web.2",
        lines=("wanted on 1 node, on none yet", "needs 8 CPU"),
        verdicts=(
            NodeVerdict(
                node="n1",
                fits=True,
                reason="fewest tasks",
                free=free,
                tasks=1,
                rank=1,
                scores=(Score(part="CPU", value=0.5),),
            ),
            NodeVerdict(node="n2", reason="6.5 CPU free, 1.5 short", free=free),
        ),
        nodes=2,
        fits=1,
        causes=(CauseCount(cause="short of CPU", nodes=1),),
        tasks=(task("shop_web.2", TaskState.FAILED, message="exit code 1", probe_output="no database\n"),),
        events=(event(7, "task", "shop_web.2", "failed on n1"),),
    )


def test_explain_shows_verdicts_tasks_and_events(world: World, cli: Cli) -> None:
    world.explanation = explanation()
    answer = cli("explain", "shop/web.2")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[:4] == ["shop_web.2", "  wanted on 1 node, on none yet", "  needs 8 CPU", ""]
    assert lines[4] == "2 nodes: 1 fits · 1 short of CPU"
    assert lines[5].split("  ")[0] == "NODE"
    assert lines[6].split() == ["n1", "✓", "fits", "6.5", "30GiB", "1", "1", "fewest", "tasks"]
    assert lines[7].startswith("n2     ✗ no")
    assert "6.5 CPU free, 1.5 short" in lines[7]
    tail = [line for line in lines[8:] if line]
    assert tail[0] == "TASKS"
    assert tail[1] == "  shop_web.2  Failed 3 minutes ago on n1: exit code 1 · last health check: no database"
    assert tail[2] == "LAST EVENTS"
    assert tail[3].endswith("shop_web.2: failed on n1")


def test_explain_of_a_large_cluster_shows_some_of_both_and_counts_the_rest(world: World, cli: Cli) -> None:
    world.explanation = Explanation(
        subject="shop_web",
        verdicts=(
            *(NodeVerdict(node=f"fit{n}", fits=True, rank=n + 1) for n in range(40)),
            *(NodeVerdict(node=f"not{n}", reason="draining") for n in range(40)),
        ),
        nodes=9_000,
        fits=8_900,
        causes=(CauseCount(cause="draining", nodes=100),),
    )
    lines = cli("explain", "shop_web").out.splitlines()
    rows = [line for line in lines if line.startswith(("fit", "not"))]
    assert [row.startswith("fit") for row in rows] == [True] * 20 + [False] * 10
    assert "9000 nodes: 8900 fit · 100 draining" in lines
    assert "and 8970 more nodes (--no-trunc shows more)" in lines
    whole = cli("explain", "--no-trunc", "shop_web").out.splitlines()
    assert "and 8920 more nodes" in whole


def test_where_no_node_fits_the_nearest_is_told(world: World, cli: Cli) -> None:
    world.explanation = Explanation(
        subject="shop_web",
        verdicts=(NodeVerdict(node="n1", reason="short of CPU: 1 CPU free (1 CPU short)"),),
        nodes=1,
        causes=(CauseCount(cause="short of CPU", nodes=1),),
        nearest="n1 has 1 CPU free (1 CPU short)",
    )
    lines = cli("explain", "shop_web").out.splitlines()
    assert lines[2:4] == ["1 node: 0 fit · 1 short of CPU", "nearest: n1 has 1 CPU free (1 CPU short)"]


def test_explain_as_one_object(world: World, cli: Cli) -> None:
    world.explanation = explanation()
    shown = json.loads(cli("explain", "--format", "json", "shop_web.2").out)
    assert shown["Nodes"][0]["FreeNanoCPUs"] == 6_500_000_000
    assert shown["Nodes"][0]["Scores"] == {"CPU": 0.5}
    assert (shown["NodeCount"], shown["FitCount"], shown["Causes"]) == (2, 1, {"short of CPU": 1})
    assert shown["Tasks"][0]["LastHealthCheck"] == "no database\n"


def test_explain_of_what_is_not_there_offers_the_nearest(world: World, cli: Cli) -> None:
    world.shop()
    answer = cli("explain", "shop_wbe")
    assert (answer.code, answer.err) == (1, "error: no service shop_wbe\nhint: did you mean shop_web?\n")


def test_a_watcher_gets_the_instances_with_their_revision_and_acknowledges(world: World, cli: Cli) -> None:
    ready = Instance(
        id="a", address="10.0.0.1", port=80, node="n1", health=Health.NONE, ready=True, slot=1, version=1
    )
    world.instances["shop", "web"] = (ready,)
    with Client(str(cli.socket)) as client:
        stream = client.watch_instances("shop", "web", watcher="proxy-1")
        first = next(stream)
        assert first.instances == (ready,)
        world.instances["shop", "web"] = ()
        world.changed()
        second = next(stream)
        assert (second.instances, second.revision) == ((), first.revision + 1)
        client.acknowledge("shop", "web", "proxy-1", second.revision)
    assert world.asked[0].watcher == "proxy-1"
    (heard,) = world.acknowledged
    assert (heard.watcher, heard.revision) == ("proxy-1", second.revision)


def test_followed_events_go_on_when_the_controller_comes_back(world: World, cli: Cli, tmp_path: Path) -> None:
    world.events = [event(5, "node", "n1", "joined")]
    program = subprocess.Popen(
        cli.program("events", "-f", "--format", "{{.Text}}"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "joined\n"
    world.stop_serving()
    world.events = [*world.events, event(1, "cluster", "c0ffee", "a new controller")]
    server = serve(world, cli.socket)
    line = program.stdout.readline()
    assert line == "a new controller\n", program.communicate()
    program.terminate()
    _out, err = program.communicate(timeout=10)
    server.stop(0).wait()
    assert "warning: the controller is away" in err
