"""`bayplan logs`: the output of many tasks, merged by time."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import click

from bayplan.cli.commands import command, connect, since_option, whole
from bayplan.cli.feed import Ended, Feed
from bayplan.cli.names import full_name, offering
from bayplan.cli.output import coloured, note
from bayplan.client import Client, LogBatch
from bayplan.model import LogLine
from bayplan.render.amounts import clock_ms, rfc3339_ns
from bayplan.render.printable import printable

#: Lines held back to bring them in order when output is not followed. Above it the earliest goes out.
HELD_LINES_MAX = 50_000
#: How long a followed line waits for earlier ones of other nodes, in seconds.
HOLD_S = 0.3
#: A pause after which the kept output has come and the new begins (for --tail), in seconds.
QUIET_S = 0.5
#: Targets of one command (the contract's limit).
TARGETS_MAX = 64

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


class Style(NamedTuple):
    """How a line is printed: bare, with its day and nanoseconds, with colour."""

    raw: bool
    timestamps: bool
    colour: bool


@command(
    "logs",
    "Show the output of services and tasks, merged by time.",
    "bayplan logs shop_web",
    "bayplan logs -f --tail 20 shop_web shop_api",
    "bayplan logs --since 10m --raw shop_web.1",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", type=whole(), metavar="N", help="Only the last N lines of all together.")
@since_option
@click.option(
    "-t", "--timestamps", is_flag=True, help="Whole timestamps (RFC 3339, nanoseconds) for the time of day."
)
@click.option("--raw", is_flag=True, help="Only the output itself, byte for byte.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
def logs(
    targets: tuple[str, ...], follow: bool, tail: int | None, since_ms: int, timestamps: bool, raw: bool
) -> None:
    style = Style(raw, timestamps, coloured(sys.stdout))
    with connect() as client:
        wanted = _expanded(client, targets)
        with offering(wanted[0], client, "service"):
            stream = client.logs(wanted, follow, -1 if tail is None else tail, since_ms)
            names: dict[str, str] = {}
            lines = _followed(Feed(stream), names, tail) if follow else _ordered(stream, names, tail)
            for line in lines:
                _print(line, names.get(line.task_id, line.task_id), style)


def _expanded(client: Client, targets: Iterable[str]) -> list[str]:
    """Targets in the controller's form; a stack stands for all its services."""
    stacks = {stack.name for stack in client.stacks()}
    wanted: list[str] = []
    for target in targets:
        if target in stacks:
            wanted += [service.name for service in client.services(target)]
        else:
            wanted.append(full_name(target))
    if len(wanted) > TARGETS_MAX:
        raise click.UsageError(
            f"{len(wanted)} targets: at most {TARGETS_MAX} at once", click.get_current_context()
        )
    return wanted


def _ordered(stream: Iterator[LogBatch], names: dict[str, str], tail: int | None) -> Iterator[LogLine]:
    """All lines by time, or the last `tail` of them; memory is bounded by HELD_LINES_MAX."""
    limit = HELD_LINES_MAX if tail is None else tail
    held: list[tuple[int, int, LogLine]] = []
    for number, line in enumerate(_lines(stream, names)):
        heapq.heappush(held, (line.time_ns, number, line))
        if len(held) > limit:
            earliest = heapq.heappop(held)[2]
            if tail is None:
                yield earliest
    while held:
        yield heapq.heappop(held)[2]


def _followed(feed: Feed[LogBatch], names: dict[str, str], tail: int | None) -> Iterator[LogLine]:
    """The kept lines by time once they have come, then new ones, each held HOLD_S for earlier ones."""
    yield from _backlog(feed, names, tail)
    held: list[tuple[int, int, LogLine]] = []
    number = 0
    emptied_s = time.monotonic()
    while True:
        try:
            batch = feed.next(HOLD_S)
        except Ended:
            break
        for line in _taken(batch, names):
            number += 1
            heapq.heappush(held, (line.time_ns, number, line))
        if len(held) > HELD_LINES_MAX or time.monotonic() - emptied_s >= HOLD_S:
            emptied_s = time.monotonic()
            yield from (heapq.heappop(held)[2] for _ in range(len(held)))
    yield from (heapq.heappop(held)[2] for _ in range(len(held)))


def _backlog(feed: Feed[LogBatch], names: dict[str, str], tail: int | None) -> Iterator[LogLine]:
    def until_quiet() -> Iterator[LogBatch]:
        with suppress(Ended):
            while (batch := feed.next(QUIET_S)) is not None:
                yield batch

    return _ordered(until_quiet(), names, tail)


def _lines(stream: Iterator[LogBatch], names: dict[str, str]) -> Iterator[LogLine]:
    for batch in stream:
        yield from _taken(batch, names)


def _taken(batch: LogBatch | None, names: dict[str, str]) -> tuple[LogLine, ...]:
    """The batch's lines; its names are kept and its warning is printed."""
    if batch is None:
        return ()
    names.update(batch.names)
    if batch.warning:
        note(f"warning: {printable(batch.warning)}")
    return batch.lines


def _print(line: LogLine, name: str, style: Style) -> None:
    """`14:03:07.250 shop_web.1@n1 | text`, or the bare bytes."""
    if style.raw:
        sys.stdout.buffer.write(line.text + b"\n")
        sys.stdout.buffer.flush()
        return
    moment = rfc3339_ns(line.time_ns) if style.timestamps else clock_ms(line.time_ns)
    text = line.text.decode(errors="replace")
    head = f"{moment} {name} |"
    if style.colour:
        head = click.style(head, fg=_COLOURS[sum(name.encode()) % len(_COLOURS)])
    click.echo(f"{head} {text}", color=True)
