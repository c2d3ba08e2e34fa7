"""`bayplan run`: one command in a container, somewhere in the cluster, as if it ran here."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Iterator

import click
from msgspec.structs import replace

from bayplan.cli.commands import command, connect, timeout_option
from bayplan.cli.create import described
from bayplan.cli.describing import Given, edited, spec_flags
from bayplan.cli.feed import Ended, Feed
from bayplan.cli.flags import RUN
from bayplan.cli.joining import DEFAULT_STACK, joined
from bayplan.cli.output import note, out, print_problems
from bayplan.cli.rollout import tasks_of
from bayplan.cli.rows import task_error
from bayplan.client import Client, StackNow
from bayplan.client.calls import AWAY_MAX_S
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.lifecycle import ALIVE, ENDED, TaskState
from bayplan.model import LogLine, LogStream, RestartCondition, RestartPolicy, ServiceMode, ServiceSpec
from bayplan.render.amounts import seconds
from bayplan.render.printable import one_line
from bayplan.views import TaskView

#: Exit code when it is not the command that failed, as `docker run` has it.
EXIT_OURS = 125
#: A finished run is removed by the controller after this time, should nobody here do it, in milliseconds.
TTL_MS = 3_600_000
#: Random bytes of a name that nobody gave.
NAME_BYTES = 3
#: Time between two looks for Ctrl-C, in seconds.
TICK_S = 0.25
#: How long the end of a task may come after the end of its output, in seconds.
END_S = 60.0
#: Time between two tries to read on when the controller went away, in seconds.
RETRY_S = 1.0


@command(
    "run",
    "Run one command in a container, somewhere in the cluster. The exit code is the command's own.",
    "bayplan run app:2 migrate --all",
    "bayplan run -e LOG=debug --network shop_back --constraint node.labels.zone==a app:2",
    "bayplan run -d --keep --name report app:2 report",
    takes_command=True,
)
@click.option("--name", metavar="NAME", help="Its name in the stack `default`; else run-... .")
@click.option("-d", "--detach", is_flag=True, help="Print its name and do not wait.")
@click.option("--rm/--keep", "removes", default=True, help="Remove it when it has ended, or keep it.")
@spec_flags(RUN)
@timeout_option
@click.argument("image")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [ARG...]")
@click.pass_context
def run(
    ctx: click.Context, /, image: str, words: tuple[str, ...], name: str | None, detach: bool, removes: bool,
    given: Given, timeout_ms: int,
) -> None:  # fmt: skip
    short = name or f"run-{secrets.token_hex(NAME_BYTES)}"
    _stack, spec = described(short, DEFAULT_STACK, [], image, words)
    spec = edited(_once(spec, removes), given)
    try:
        with connect() as client:
            spec = joined(client, DEFAULT_STACK, spec)
            full_name = f"{DEFAULT_STACK}_{spec.name}"
            for warning in client.create_service(DEFAULT_STACK, spec).warnings:
                note(f"warning: {warning}")
            if detach:
                out(full_name)
                note(f"hint: bayplan logs -f {full_name}; bayplan service rm {full_name}")
                return
            code = _attended(client, full_name, removes, timeout_ms / 1_000)
    except ProblemError as error:
        print_problems(error)
        code = EXIT_OURS
    ctx.exit(code)


def _once(spec: ServiceSpec, removes: bool) -> ServiceSpec:
    """A job of one task that is never started again."""
    return replace(
        spec,
        mode=ServiceMode.REPLICATED_JOB,
        restart=RestartPolicy(condition=RestartCondition.NONE),
        ttl_ms=TTL_MS if removes else 0,
    )


def _attended(client: Client, name: str, removes: bool, timeout_s: float) -> int:
    """Shows the task's output and returns its exit code; Ctrl-C and SIGTERM end the task, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        feed = Feed(client.watch_stack(DEFAULT_STACK, notice=lambda text: note(f"warning: {text}")))
        task = _begun(feed, name, timeout_s)
        if task.status.container_id or task.status.state in ALIVE:
            _show_output(client, task)
        return _exit_code(_ended(feed, task))
    except KeyboardInterrupt:
        note(f"{name} {'is stopped and removed' if removes else 'goes on: bayplan logs -f ' + name}")
        raise
    finally:
        if removes:
            _remove(client, name)


def _begun(feed: Feed[StackNow], name: str, timeout_s: float) -> TaskView:
    """The task once its command runs, or has ended. Raises ProblemError after `timeout_s`."""
    give_up_s = time.monotonic() + timeout_s
    reasons: tuple[str, ...] = ()
    while time.monotonic() < give_up_s:
        task = _task(feed.newest(TICK_S), name)
        if task is None:
            continue
        if task.status.state in ALIVE | ENDED:
            return task
        if task.pending_reasons and task.pending_reasons != reasons:
            note(f"waiting for a node: {one_line(' · '.join(task.pending_reasons))}")
        reasons = task.pending_reasons
    waited = seconds(timeout_s)
    kind = ProblemKind.UNPLACEABLE if reasons else ProblemKind.TIMEOUT
    raise refuse(kind, f"{name} did not start within {waited}", *reasons, why="bayplan node ls")


def _show_output(client: Client, task: TaskView) -> None:
    """What the command prints, each line to the stream where it belongs, until its output ends."""
    shown_ns, is_again, heard_s = 0, False, time.monotonic()
    while True:
        try:
            for line in _lines(client, task.id, shown_ns):
                heard_s = time.monotonic()
                if is_again and line.time_ns <= shown_ns:
                    continue
                shown_ns = line.time_ns
                stream = sys.stdout if line.stream is LogStream.STDOUT else sys.stderr
                stream.buffer.write(line.text + b"\n")
                stream.buffer.flush()
            return
        except ProblemError as error:
            away = error.problem.kind is ProblemKind.UNREACHABLE
            if not away or (is_again and time.monotonic() - heard_s > AWAY_MAX_S):
                raise
            is_again = True
            time.sleep(RETRY_S)


def _lines(client: Client, task_id: str, since_ns: int) -> Iterator[LogLine]:
    """The output's lines. A stream that cannot be had says why."""
    feed = Feed(client.logs([task_id], True, -1, since_ns // 1_000_000))
    while True:
        try:
            batch = feed.next(TICK_S)
        except Ended:
            return
        if batch is not None:
            if batch.warning:
                note(f"warning: {one_line(batch.warning)}")
            yield from batch.lines


def _ended(feed: Feed[StackNow], task: TaskView) -> TaskView:
    """The task once it has ended."""
    give_up_s = time.monotonic() + END_S
    while task.status.state not in ENDED:
        if time.monotonic() > give_up_s:
            summary = f"the output of {task.service} has ended, but not its task, for {seconds(END_S)}"
            raise refuse(ProblemKind.TIMEOUT, summary, why=f"bayplan explain {task.service}")
        task = _task(feed.newest(TICK_S), task.service) or task
    return task


def _task(view: StackNow | None, name: str) -> TaskView | None:
    return max(tasks_of(view, name), key=lambda task: task.created_ms, default=None) if view else None


def _exit_code(task: TaskView) -> int:
    """The command's own; ours, with the reason, where there was no command to end."""
    code = task.status.exit_code
    if task.status.state is TaskState.COMPLETE:
        return code or 0
    if code:
        reason = task_error(task)
        if reason not in ("", f"exit code {code}"):  # a signal, or out of memory: the code alone says little
            note(f"{task.service} on {task.node}: {reason}")
        return code
    reason = task_error(task) or task.status.state.value
    raise refuse(ProblemKind.REFUSED, f"{task.service} could not run: {reason}")


def _remove(client: Client, name: str) -> None:
    """What cannot be removed now goes when its time to live has passed."""
    try:
        client.remove_service(name)
    except ProblemError as error:
        if error.problem.kind is not ProblemKind.NOT_FOUND:
            note(f"warning: {name} was not removed: {error}; the controller does it an hour after its end")
