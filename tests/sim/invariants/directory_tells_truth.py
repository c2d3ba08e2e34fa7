"""What the controller's directory gives is held ready by the state, but for what it is about to take over."""

from __future__ import annotations

from bayplan.directory import Entry, Listing, Standing
from bayplan.lifecycle import TaskState
from bayplan.model import Health, NodeStatus
from controller.state import State
from tests.sim.invariants.base import Part, View

_STEADY = frozenset({Health.NONE, Health.HEALTHY})
_REACHED = {
    Standing.READY: frozenset({NodeStatus.READY}),
    Standing.SUSPECT: frozenset({NodeStatus.SUSPECT, NodeStatus.UNKNOWN}),
}


class DirectoryTellsTruth:
    watches = frozenset({Part.LISTINGS})

    def check(self, world: View) -> str:
        control, keeper = world.control, world.control.keeper
        if keeper is None or not control.settled:
            return ""
        directory, touched = keeper.directory, world.state.touched or set()
        for copy, keys in world.news.listed:
            if copy is not None:
                continue
            looked_at = keys or [each.key for each in directory]
            for key in [each for each in looked_at if each not in touched]:
                service, _, stack = key.rpartition(".")
                listing = directory.get(stack, service) if stack else None
                if listing is not None and (fault := _fault(world.state, listing)):
                    return f"the directory gives {fault} of {key}"
        return ""


def _fault(state: State, listing: Listing) -> str:
    for entry in listing.entries:
        if entry.given and not (_is_outside(state, listing, entry) or _is_ready(state, entry)):
            return f"{entry.id} as {entry.standing.value}, which is not so"
    return ""


def _is_outside(state: State, listing: Listing, entry: Entry) -> bool:
    return entry.id in state.outsiders_of(listing.stack, listing.service)


def _is_ready(state: State, entry: Entry) -> bool:
    """Of a task of which nothing was heard since the controller started, only its node must be awaited."""
    task = state.tasks.get(entry.id)
    if task is None or not task.wanted or task.id in state.leaving:
        return False
    seen = state.statuses.get(task.id)
    runs = seen is None or (seen.state is TaskState.RUNNING and seen.health in _STEADY)
    heard = seen is not None or entry.standing is Standing.SUSPECT
    return runs and heard and state.lives[task.node_id].status in _REACHED[entry.standing]
