"""Progress for people, on stderr: a live table on a terminal, else a line for each change of a service."""

from __future__ import annotations

import sys
import time
from collections.abc import Container
from typing import TYPE_CHECKING, Protocol

from bayplan.cli.output import coloured, note
from bayplan.cli.rollout import Goal, failed_tasks, is_converged, progress, summary
from bayplan.cli.rows import task_error, task_name
from bayplan.client import StackNow
from bayplan.render.amounts import clock
from bayplan.render.amounts import seconds as in_words
from bayplan.views import ServiceView

if TYPE_CHECKING:
    from rich.table import Table

#: Least time between two lines about one service when the output is not a terminal, in seconds.
LINE_EVERY_S = 1.0
#: Cells of a progress bar.
BAR_CELLS = 20
#: Failures told in one command.
FAILURES_TOLD_MAX = 20


class Screen(Protocol):
    """Shows views as they come."""

    def show(self, view: StackNow) -> None: ...

    def close(self) -> None:
        """Shows what is still to be shown and leaves the terminal in order."""


def screen_for(goal: Goal) -> Screen:
    return LiveScreen(goal) if sys.stderr.isatty() else LineScreen(goal)


class LineScreen:
    """`14:03:07 shop_web 1/2 ready · 1 starting`, when it changed and not more than once a second."""

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._said: dict[str, str] = {}
        self._said_s: dict[str, float] = {}
        self._told: set[str] = set()
        self._view = StackNow()

    def show(self, view: StackNow) -> None:
        self._view = view
        self._tell(view, time.monotonic() - LINE_EVERY_S)

    def close(self) -> None:
        self._tell(self._view, float("inf"))

    def _tell(self, view: StackNow, latest_s: float) -> None:
        for line in new_failures(self._goal, view, self._told):
            self._line(line)
        for service in _shown(self._goal, view, self._said):
            words = summary(service, view)
            if self._said.get(service.name) != words and self._said_s.get(service.name, 0.0) <= latest_s:
                self._said[service.name] = words
                self._said_s[service.name] = time.monotonic()
                self._line(f"{service.name} {words}")

    @staticmethod
    def _line(text: str) -> None:
        note(f"{clock(int(time.time() * 1_000))} {text}")


class LiveScreen:
    """A row with a bar for each service, redrawn in place; failures scroll by above it."""

    def __init__(self, goal: Goal) -> None:
        from rich.console import Console
        from rich.live import Live

        self._goal = goal
        self._told: set[str] = set()
        self._started_s = time.monotonic()
        console = Console(stderr=True, no_color=not coloured(sys.stderr), highlight=False)
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, view: StackNow) -> None:
        for line in new_failures(self._goal, view, self._told):
            self._live.console.print(f"{clock(int(time.time() * 1_000))} {line}", markup=False)
        self._live.update(self._table(view), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _table(self, view: StackNow) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for service in _shown(self._goal, view):
            done = not service.removed and is_converged(service, view)
            ready = progress(service)
            table.add_row(
                Text("✓" if done else "↻", style="green" if done else "cyan"),
                Text(service.name),
                ProgressBar(total=max(1, service.desired), completed=ready, width=BAR_CELLS),
                Text(summary(service, view)),
            )
        table.add_row("", Text(in_words(time.monotonic() - self._started_s), style="dim"), "", "")
        return table


def new_failures(goal: Goal, view: StackNow, told: set[str]) -> list[str]:
    """A line for each failed task of the command that says something new; adds it to `told`."""
    lines = []
    for task in failed_tasks(goal, view):
        where = f" on {task.node}" if task.node else ""
        reason = task_error(task) or "exit code 0"
        line = f"{task_name(task)} {task.status.state}{where}: {reason}"
        if line not in told and len(told) < FAILURES_TOLD_MAX:
            told.add(line)
            lines.append(line)
    return lines


def _shown(goal: Goal, view: StackNow, said: Container[str] = ()) -> list[ServiceView]:
    """The services that the command is about; those that it leaves alone only if they are not well."""
    concerned = [each for each in view.services if each.name in goal.keep or each.name in goal.gone]
    return [
        each
        for each in concerned
        if each.name not in goal.accepted or each.name in said or not is_converged(each, view)
    ]
