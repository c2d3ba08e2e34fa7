"""`bayplan simulate|rebalance`: where tasks would go, and moving them there."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bayplan.cli.commands import command, connect, waiting_options, whole
from bayplan.cli.listing import Column, Layout, Row, listing_options, print_list
from bayplan.cli.moving import follow_moves
from bayplan.cli.names import offering
from bayplan.cli.output import note
from bayplan.cli.rows import task_name
from bayplan.render.amounts import counted
from bayplan.render.printable import one_line
from bayplan.views import Move

#: Exit code when a task would find no node (docs/cli.md).
EXIT_UNPLACEABLE = 5
#: What stands where a task has no node to go to.
NOWHERE = "-"

MOVES = (
    Column("TASK", "Task"),
    Column("FROM", "From"),
    Column("TO", "To"),
    Column("WHY", "Why"),
)


@command(
    "simulate",
    "Show what would become of the tasks of lost nodes, without touching anything. "
    "The exit code is 5 when a task would find no node.",
    "bayplan simulate --lose n3",
    "bayplan simulate --lose n2 --lose n3 || echo 'no room for all'",
    "bayplan simulate --lose n3 --format json",
)
@click.option("--lose", "lost", multiple=True, required=True, metavar="NODE", help="A node that is lost.")
@listing_options
@click.pass_context
def simulate(ctx: click.Context, /, lost: tuple[str, ...], layout: Layout) -> None:
    with connect() as client:
        names = []
        for name in lost:
            with offering(name, client, "node"):
                names.append(client.node(name).name)
        moves, ended = client.simulate(tuple(names))
    rows = [_row(move) for move in moves]
    rows += [
        _row(Move(task=name, before=",".join(names), reasons=("it ends with its node",))) for name in ended
    ]
    print_list(MOVES, rows, layout, "Task")
    unplaced = sum(not move.after for move in moves)
    parts = [f"{counted(len(moves) - unplaced, 'task')} would move"]
    parts += [f"{unplaced} could not be placed"] if unplaced else []
    parts += [f"{len(ended)} would end"] if ended else []
    note(f"without {', '.join(names)}: {', '.join(parts)}")
    if unplaced:
        ctx.exit(EXIT_UNPLACEABLE)


@command(
    "rebalance",
    "Move tasks to even out the load of the nodes: start-first where that can be, a few at a time.",
    "bayplan rebalance --dry-run",
    "bayplan rebalance --moves 5",
    "bayplan rebalance -d",
)
@click.option("--dry-run", is_flag=True, help="Only show what would move.")
@click.option("--moves", "moves_max", type=whole(1), metavar="N", help="Tasks at most.  [default: 10]")
@listing_options
@waiting_options
def rebalance(dry_run: bool, moves_max: int | None, layout: Layout, detach: bool, timeout_ms: int) -> None:
    with connect() as client:
        before = client.tasks()
        moves = client.rebalance(dry_run, moves_max or 0)
        if not moves:
            note("nothing would be gained: the load is even")
            return
        print_list(MOVES, [_row(move) for move in moves], layout, "Task")
        if dry_run:
            return
        if detach:
            note("hint: bayplan ps")
            return
        leaving = _leaving(moves)
        elders = frozenset(task.id for task in before if (task_name(task), task.node) in leaving)
        follow_moves(client, "the rebalance", lambda task: task.id in elders, timeout_ms)


def _row(move: Move) -> Row:
    return {
        "Task": move.task,
        "From": move.before,
        "To": move.after or NOWHERE,
        "Why": one_line("\n".join(move.reasons)),
    }


def _leaving(moves: Sequence[Move]) -> set[tuple[str, str]]:
    return {(move.task, move.before) for move in moves}
