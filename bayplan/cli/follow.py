"""Waits until a stack is as it was asked to be: the deadlines, the screen and the way a wait can end."""

from __future__ import annotations

import time
from contextlib import closing

from bayplan.cli.feed import Feed
from bayplan.cli.output import note
from bayplan.cli.rollout import (
    Goal,
    awaits_promotion,
    failure,
    fingerprint,
    is_reached,
    is_settled,
    unfinished,
    unplaced,
)
from bayplan.cli.screen import Screen, screen_for
from bayplan.client import Client, StackNow
from bayplan.errors import ProblemError
from bayplan.render.amounts import seconds

#: How long the goal must hold after a change, so that a container that dies at once is seen, in seconds.
SETTLE_S = 2.0
#: Time between two looks at the clock while nothing comes, in seconds.
TICK_S = 0.25


def follow(client: Client, goal: Goal, timeout_ms: int, settle_s: float = SETTLE_S) -> StackNow:
    """Shows progress until the goal is reached and returns the last view.

    Raises ProblemError when tasks keep failing (exit code 1), without progress for `timeout_ms` (3), or
    where tasks cannot be placed by then (5). KeyboardInterrupt ends the watching, not the work.
    """
    feed = Feed(client.watch_stack(goal.stack, notice=lambda text: note(f"warning: {text}")))
    try:
        with closing(screen_for(goal)) as screen:
            view = _until_reached(feed, goal, timeout_ms / 1_000, settle_s, screen)
    except KeyboardInterrupt:
        note("stopped watching; the cluster goes on")
        note(f"hint: {way_back(goal)}")
        raise
    _tell_canaries(goal, view)
    return view


def way_back(goal: Goal) -> str:
    """The command that shows how it goes on."""
    if len(goal.keep) == 1 and not goal.gone:
        return f"bayplan rollout status -w {next(iter(goal.keep))}"
    return f"bayplan stack ps {goal.stack}"


def _tell_canaries(goal: Goal, view: StackNow) -> None:
    """What the user can do with canaries that run."""
    for service in view.services:
        if service.name in goal.keep and awaits_promotion(service):
            note(f"{service.name} is {service.rollout}")
            note(f"hint: bayplan rollout promote {service.name}, or bayplan rollout undo {service.name}")


def _until_reached(
    feed: Feed[StackNow], goal: Goal, timeout_s: float, settle_s: float, screen: Screen
) -> StackNow:
    view: StackNow | None = None
    moved_s = reached_s = time.monotonic()
    while True:
        newer = feed.newest(TICK_S)
        now_s = time.monotonic()
        if newer is not None:
            if view is None or fingerprint(newer) != fingerprint(view):
                moved_s = now_s
            view = newer
        if view is not None:
            screen.show(view)
            _raise_failure(goal, view)
            if not is_reached(goal, view):
                reached_s = now_s
            elif is_settled(goal, view) and now_s - reached_s >= settle_s:
                return view
        if now_s - moved_s >= timeout_s:
            view = view or StackNow()
            raise ProblemError(unplaced(goal, view) or unfinished(goal, view, seconds(timeout_s)))


def _raise_failure(goal: Goal, view: StackNow) -> None:
    problem = failure(goal, view)
    if problem is not None:
        raise ProblemError(problem)
