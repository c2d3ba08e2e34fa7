"""Where the command line meets its surroundings: the socket, pipes, other programs, a lost controller."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from bayplan import __version__
from bayplan.cli.__main__ import main
from bayplan.cli.commands import LazyGroup
from bayplan.cli.host import SYSTEMD_RUNNING
from bayplan.cli.root import root
from bayplan.client import Client
from bayplan.model import LogLine, LogStream
from tests.doors.cli.canned_controller import World, serve, service, task
from tests.doors.cli.cli_world import PROGRAM, Cli, environment

REPO = Path(__file__).resolve().parents[3]
#: The user nobody, who is in no group of ours.
NOBODY = 65_534
SECOND_NS = 1_000_000_000
#: 2026-01-31T12:00:00Z.
NOON_NS = 1_769_860_800 * SECOND_NS


def line(task_id: str, second: int, text: str) -> LogLine:
    return LogLine(
        time_ns=NOON_NS + second * SECOND_NS, stream=LogStream.STDOUT, text=text.encode(), task_id=task_id
    )


@pytest.fixture
def talking(world: World) -> World:
    """Two tasks on two nodes; what they said arrives out of order."""
    world.shop()
    world.names = {"a": "shop_web.1@n1", "b": "shop_web.2@n2"}
    world.lines = [line("b", 2, "two"), line("b", 4, "four"), line("a", 1, "one"), line("a", 3, "three")]
    return world


def test_no_controller_ends_with_4_and_a_hint(cli: Cli) -> None:
    answer = cli("node", "ls")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith(f"error: cannot reach the controller at unix://{cli.socket}\n  no such file")
    assert "systemctl status bayplan-controller" in answer.err


def test_a_socket_that_nobody_serves_ends_with_4(cli: Cli) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(cli.socket))
    answer = cli("node", "ls")
    assert answer.code == 4
    assert "connection refused" in answer.err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_socket_without_permission_names_the_group(world: World, cli: Cli) -> None:
    cli.socket.parent.chmod(0o755)
    cli.socket.chmod(0o600)
    assert cli("node", "ls").code == 0
    os.seteuid(NOBODY)
    try:
        answer = cli("node", "ls")
    finally:
        os.seteuid(0)
    assert answer.code == 4
    assert "no permission to use the controller's socket" in answer.err
    assert "usermod -aG bayplan" in answer.err


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:7443", "10.0.0.1:7443", "ssh://me@there"])
def test_a_host_over_tcp_is_refused_by_name(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert main(["-H", host, "node", "ls"]) == 125
    assert "through its unix socket only" in capsys.readouterr().err


def test_bayplan_host_names_the_socket_and_the_option_wins(
    world: World, cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.shop()
    monkeypatch.setenv("BAYPLAN_HOST", f"unix://{cli.socket}")
    assert main(["stack", "ls"]) == 0
    monkeypatch.setenv("BAYPLAN_HOST", "/nowhere.sock")
    assert main(["stack", "ls"]) == 4
    assert main(["-H", str(cli.socket), "stack", "ls"]) == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("stakc",), "did you mean `bayplan stack`?"),
        (("stack", "dploy"), "did you mean `bayplan stack deploy`?"),
        (("service", "ls", "--fromat", "json"), "--format"),
        (("stack", "deploy", "shop"), "Missing option '-c'"),
        (("node", "ls", "--format", "{{.Nope}}"), "no field 'Nope'"),
        (("node", "ls", "--format", "{{range .}}"), "is not supported"),
    ],
)
def test_a_wrong_command_line_ends_with_125_and_says_what_was_near(
    world: World, cli: Cli, args: tuple[str, ...], says: str
) -> None:
    world.shop()
    answer = cli(*args)
    assert answer.code == 125
    assert answer.err.startswith("error: ")
    assert says in answer.err


def test_the_version_costs_less_than_150_ms_of_cpu() -> None:
    """CPU time, because the tests' machine is busy; on an idle one the wall clock shows the same."""
    costs_s = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs_s.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert done.stdout == f"bayplan {__version__}\n"
    assert min(costs_s) < 0.150


def test_help_imports_neither_grpc_nor_rich_nor_msgspec() -> None:
    script = (
        "import sys; from bayplan.cli.__main__ import main; main(['stack', '--help']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"grpc", "rich", "msgspec", "yaml"} & set(done.stdout.splitlines()[-1].split())


def commands(group: LazyGroup = root, path: str = "") -> list[str]:
    """All commands by their words, groups among them."""
    found = []
    for name in group.lazy:
        words = f"{path} {name}".strip()
        command = group.get_command(click.Context(group), name)
        found += [words, *(commands(command, words) if isinstance(command, LazyGroup) else [])]
    return found


@pytest.mark.parametrize("args", ["", *commands()])
def test_help_is_a_line_then_three_examples_then_flags(capsys: pytest.CaptureFixture[str], args: str) -> None:
    assert main([*args.split(), "--help"]) == 0
    text = capsys.readouterr().out
    examples = text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) == 3
    assert all("bayplan" in example for example in examples)
    assert text.index("Examples:") < text.index("Options:")


def test_the_page_about_the_command_line_names_every_command() -> None:
    page = (REPO / "docs/cli.md").read_text()
    groups = {words.partition(" ")[0] for words in commands() if " " in words}
    missing = [
        words
        for words in commands()
        if words not in groups and words not in page and not words.startswith("config ")
    ]
    assert missing == []


def test_a_reader_that_goes_away_ends_the_command_quietly(world: World, cli: Cli) -> None:
    world.put(*(service(f"shop_s{number}") for number in range(2_000)))
    line = f"{' '.join(cli.program('service', 'ls'))} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 141
    assert done.stderr == ""


def test_lines_of_several_tasks_come_in_the_order_of_time(talking: World, cli: Cli) -> None:
    answer = cli("logs", "-t", "shop_web")
    assert answer.out.splitlines() == [
        "2026-01-31T12:00:01.000000000Z shop_web.1@n1 | one",
        "2026-01-31T12:00:02.000000000Z shop_web.2@n2 | two",
        "2026-01-31T12:00:03.000000000Z shop_web.1@n1 | three",
        "2026-01-31T12:00:04.000000000Z shop_web.2@n2 | four",
    ]


@pytest.mark.parametrize("follow", [(), ("-f",)])
def test_tail_is_a_total_and_raw_is_the_output_alone(
    talking: World, cli: Cli, follow: tuple[str, ...]
) -> None:
    assert cli("logs", *follow, "--tail", "3", "--raw", "shop_web").out == "two\nthree\nfour\n"


def test_a_stack_stands_for_all_its_services(talking: World, cli: Cli) -> None:
    assert cli("logs", "--raw", "shop").out.splitlines() == ["one", "two", "three", "four"]
    assert list(talking.asked[-1].targets) == ["shop_api", "shop_web"]


def test_logs_of_an_unknown_service_end_with_1(talking: World, cli: Cli) -> None:
    answer = cli("logs", "shop_wbe")
    assert answer.code == 1
    assert "hint: did you mean shop_web?" in answer.err


def test_a_watch_goes_on_after_the_controller_was_away(world: World, socket_path: Path) -> None:
    world.shop()
    with Client(str(socket_path)) as client:
        notices: list[str] = []
        views = client.watch_stack("shop", notices.append)
        assert len(next(views).tasks) == 3
        # The canned controller of the fixture stops; another one takes its place at the same socket.
        later = World()
        later.shop()
        later.tasks.append(task("shop_web.3"))
        world.stop_serving()
        revived: list[object] = []
        threading.Timer(0.5, lambda: revived.append(serve(later, socket_path))).start()
        assert len(next(views).tasks) == 4
        assert notices == ["the controller is away; waiting for it to come back"]
    revived[0].stop(0).wait()  # type: ignore[attr-defined]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that takes the place of the one with our programs; a daemon there tells its arguments."""
    for name in ("bayplan-controller", "bayplan-agent"):
        path = tmp_path / name
        path.write_text('#!/bin/sh\necho "$(basename $0) $*"\nexit ${CODE:-0}\n')
        path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bayplan")])
    return tmp_path


def test_join_hands_its_flags_to_the_agent_and_tells_how_to_run_it(
    programs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["--token", "T", "--name", "n3", "--label", "a=b", "--label", "c=d", "--data-dir", "/srv/a"]
    assert main(["join", *flags, "10.0.0.1:7444"]) == 0
    first, *rest = capfd.readouterr().out.splitlines()
    assert first.startswith("bayplan-agent join --data-dir /srv/a ")
    assert first.endswith(" --label a=b --label c=d 10.0.0.1:7444")
    assert "--token T" in first
    assert "--name n3" in first
    assert rest == ["  bayplan-agent run --data-dir /srv/a"]


def test_a_failed_join_passes_the_agents_exit_code_through(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CODE", "4")
    assert main(["join", "--token", "T", "10.0.0.1:7444"]) == 4
    assert "run" not in capfd.readouterr().out


@pytest.mark.skipif(SYSTEMD_RUNNING.is_dir(), reason="would start the unit of this machine")
def test_init_without_systemd_prints_the_next_commands(
    programs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--advertise-addr", "10.0.0.1", "--socket", "/tmp/x.sock"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "bayplan-controller init --socket /tmp/x.sock --advertise-addr 10.0.0.1",
        "  bayplan-controller run",
        "  bayplan -H unix:///tmp/x.sock join-token",
    ]


def test_join_token_prints_the_exact_line_and_quiet_the_token(world: World, cli: Cli) -> None:
    assert cli("join-token").out == "bayplan join --token BPL1-a-pin-id-secret-check 10.0.0.1:7444\n"
    assert (
        cli("join-token", "agent", "-q", "--ttl", "90m", "--uses", "3").out == "BPL1-a-pin-id-secret-check\n"
    )
    assert [(each.ttl_ms, each.uses) for each in world.asked] == [(3_600_000, 1), (5_400_000, 3)]
    assert cli("join-token", "--ttl", "soon").code == 125


def test_ctrl_c_while_following_output_ends_quietly(talking: World, cli: Cli) -> None:
    talking.keep_following = True
    program = subprocess.Popen(
        cli.program("logs", "-f", "shop_web"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert program.stdout is not None
    assert b"one" in program.stdout.readline()
    program.send_signal(signal.SIGINT)
    _out, err = program.communicate(timeout=20)
    assert program.returncode == 130
    assert b"Traceback" not in err


def test_init_under_systemd_starts_the_unit_and_prints_the_join_line(
    world: World,
    socket_path: Path,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    systemctl = programs / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{programs}/asked\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr("bayplan.cli.host.SYSTEMD_RUNNING", programs)
    assert main(["init", "--socket", str(socket_path)]) == 0
    assert (programs / "asked").read_text().splitlines() == [
        "cat bayplan-controller",
        "enable --now bayplan-controller",
    ]
    assert capfd.readouterr().out.splitlines()[1:] == [
        "cluster c0ffee is up, the controller answers at 10.0.0.1:7444",
        "bayplan join --token BPL1-a-pin-id-secret-check 10.0.0.1:7444",
    ]


def test_a_unit_that_does_not_start_is_an_error_with_its_own_words(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    systemctl = programs / "systemctl"
    systemctl.write_text('#!/bin/sh\n[ "$1" = cat ] || { echo "Job failed." >&2; exit 1; }\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr("bayplan.cli.host.SYSTEMD_RUNNING", programs)
    assert main(["join", "--token", "T", "10.0.0.1:7444"]) == 1
    assert "error: bayplan-agent did not start\n  Job failed.\n" in capfd.readouterr().err


def test_an_answer_of_another_version_is_an_error_and_no_traceback(world: World, cli: Cli) -> None:
    world.shop()
    world.strange = True
    answer = cli("node", "ls")
    assert answer.code == 1
    assert "error: the controller's answer cannot be understood" in answer.err
