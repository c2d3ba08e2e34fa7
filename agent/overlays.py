"""Networks that span nodes, as this node takes part in them: has them made, and gives addresses on them.

Level, not edge: the whole of what the controller tells goes to the runtime, again whenever something may have
changed it. Tasks on a network wait until it is here, and are rejected where it cannot be.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent import observe
from agent.decide.addresses import QUARANTINE_MS, Uses, choose, overlays_of
from agent.decide.status import moved
from agent.state import State, Task, Turn
from bayplan.lifecycle import TaskState

#: What is here is held against what shall be this often: links and rules can be taken away behind our back.
LOOK_AGAIN_MS = 30_000
#: A network that could not be made is tried again after this time: where it was refused, and where nobody
#: answered or containers of an older network of its name are about to go.
REFUSED_RETRY_MS = 10_000
UNANSWERED_RETRY_MS = 1_000


def recall(state: State) -> None:
    """The journal's networks: tasks of an agent before this one may have had any of their addresses."""
    books = state.overlays
    books.told = {overlay.network: overlay for overlay in state.assignments.overlays}
    books.recalled = frozenset(books.told)


def told(turn: Turn) -> None:
    """The controller has spoken. What a network's tasks had is forgotten with it."""
    books, overlays = turn.state.overlays, turn.state.assignments.overlays
    wanted = {overlay.network: overlay for overlay in overlays}
    if wanted == books.told:
        return
    books.told, books.due = wanted, True
    books.freed = {network: freed for network, freed in books.freed.items() if network in wanted}
    books.recalled &= wanted.keys()
    _take_in(turn.state)
    _wake_waiting(turn)


def _take_in(state: State) -> None:
    """Containers that were found before their networks were told, by an agent without a journal."""
    for task in list(state.tasks.values()):
        if task.container is not None:
            known = observe.addresses(state, task, task.container)
            if known != task.addresses:
                state.put(replace(task, addresses=known))


def follow(turn: Turn) -> None:
    """Have the networks looked at, if it is time; one whose removal is under way is waited for."""
    state, books = turn.state, turn.state.overlays
    count(turn)
    if not state.engine_up or books.keeping is not None:
        return
    if not books.due and not 0 < books.look_at <= turn.now.mono_ms:
        return
    if books.told.keys() & state.networks_leaving:
        return
    books.due, books.look_at = False, 0
    if not books.told and not books.made and not books.faults:
        return
    books.keeping = tuple(overlay for _, overlay in sorted(books.told.items()))
    for network in books.told:
        state.networks.setdefault(network, 0)
    turn.commands.append(do.KeepOverlays(overlays=books.keeping))


def kept(turn: Turn, event: ev.OverlaysKept) -> None:
    """They were looked at: those who waited go on, or hear why not."""
    books = turn.state.overlays
    asked, books.keeping = books.keeping or (), None
    books.made = {overlay.network: overlay for overlay in asked if overlay.network in event.made}
    books.faults = dict(event.faults)
    kinds = {fault.kind for fault in event.faults.values()}
    pace_ms = REFUSED_RETRY_MS if kinds else LOOK_AGAIN_MS
    if ev.FaultKind.UNANSWERED in kinds:
        pace_ms = UNANSWERED_RETRY_MS
    books.look_at = turn.now.mono_ms + pace_ms if asked else 0
    _wake_waiting(turn)


def ready(turn: Turn, task: Task) -> bool:
    """Whether all networks of a task about to start are here. If not it waits, or is rejected: a container
    that was made when they were is not."""
    books = turn.state.overlays
    joined = [each.network for each in overlays_of(task.spec, books.told)]
    lacking = [network for network in joined if not books.is_made(network)]
    if not lacking:
        books.waiting.discard(task.id)
        return True
    faults = [books.faults[network] for network in lacking if network in books.faults]
    refused = [fault.reason for fault in faults if fault.kind is not ev.FaultKind.UNANSWERED]
    if refused and task.container is None:
        observe.reject(turn, task, refused[0])
    else:
        _let_wait(turn, task, faults[0].reason if faults else f"waits for network {lacking[0]}")
    return False


def addresses(turn: Turn, task: Task) -> dict[str, str] | None:
    """The addresses of a new container, by network; None: it waits until there is one for it on each.

    A static one is taken as it is. A task keeps what it has been given before.
    """
    state, books = turn.state, turn.state.overlays
    given = {}
    for attachment in overlays_of(task.spec, books.told):
        network = attachment.network
        address = attachment.ipv4_address or task.addresses.get(network, "")
        if not address:
            unknown = {"unknown_ms": state.lease.started_at or 0} if network in books.recalled else {}
            uses = Uses(books.held.get(network, ()), books.freed.get(network, {}), **unknown)
            choice = choose(books.told[network], uses, turn.now.mono_ms)
            if not choice.address:
                _let_wait(
                    turn, task, f"waits for an address of network {network}: none of this node's is free"
                )
                if choice.look_at is not None:
                    state.timers[task.id] = choice.look_at
                return None
            address = choice.address
        given[network] = address
    for network, address in given.items():
        books.held.setdefault(network, set()).add(address)
    books.uses_due = True
    return given


def count(turn: Turn) -> None:
    """Note which addresses are in use, and which have become free now."""
    state, books = turn.state, turn.state.overlays
    if not books.uses_due:
        return
    books.uses_due = False
    held: dict[str, set[str]] = {}
    for task in state.tasks.values():
        if not task.ended or task.alive:
            for network, address in task.addresses.items():
                held.setdefault(network, set()).add(address)
    freed = [
        (network, address)
        for network, before in books.held.items()
        for address in before - held.get(network, set())
    ]
    for network, address in freed:
        books.freed.setdefault(network, {})[address] = turn.now.mono_ms
    books.held = held
    if freed:
        later = dict.fromkeys(sorted(books.waiting & state.tasks.keys()), turn.now.mono_ms + QUARANTINE_MS)
        state.timers = later | state.timers


def _let_wait(turn: Turn, task: Task, message: str) -> None:
    turn.state.overlays.waiting.add(task.id)
    stage = TaskState.PREPARING if task.status.state is TaskState.ASSIGNED else task.status.state
    status = moved(task.status, stage, turn.now.wall_ms, message)
    if status != task.status:
        turn.state.put(replace(task, status=status))


def _wake_waiting(turn: Turn) -> None:
    books = turn.state.overlays
    turn.state.due.update(books.waiting & turn.state.tasks.keys())
    books.waiting.clear()
