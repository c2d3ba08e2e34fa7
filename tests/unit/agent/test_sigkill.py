"""The agent dies at every instant of a story, and the next one goes on with what it finds."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Desired, Hook, NetworkAttachment
from tests.unit.agent.world import World, assignment

SPEC = ContainerSpec(
    image="web:1",
    networks=(NetworkAttachment(network="shop_default"),),
    post_start=(Hook(command=("migrate",)),),
)
#: What the controller sends, one after the other: two tasks and one made ready; its turn comes and another is
#: stopped; that one is gone.
STORY = (
    (("t1", Desired.RUN), ("t2", Desired.RUN), ("t3", Desired.READY)),
    (("t1", Desired.RUN), ("t2", Desired.STOP), ("t3", Desired.RUN)),
    (("t1", Desired.RUN), ("t3", Desired.RUN)),
)


class KilledError(Exception):
    """The agent is no more."""


class Machine:
    """What outlives an agent: its journal, its engine, and how often that was told to do something."""

    def __init__(self) -> None:
        self.journal: dict[type[Any], Any] = {}
        self.engine: dict[str, ev.Container] = {}
        self.asked: Counter[tuple[str, str]] = Counter()

    def remembered(self) -> ev.Remembered:
        kept = self.journal.get(ev.KeepAssignments)
        ends, hooked = self.journal.get(ev.KeepEnds), self.journal.get(ev.KeepHooked)
        remembered = ev.Remembered(ends=ends.ends if ends else (), hooked=hooked.hooked if hooked else {})
        return replace(remembered, epoch=kept.epoch, assignments=kept.assignments) if kept else remembered


class Mortal(World):
    """One run of the agent; it dies at its `dies_at`-th instant: before or after its changes are kept,
    or before or after a command is carried out."""

    def __init__(self, machine: Machine, dies_at: int) -> None:
        super().__init__(remembered=machine.remembered())
        self.machine = machine
        self.engine = machine.engine
        self.instants = 0
        self.dies_at = dies_at

    def _instant(self) -> None:
        self.instants += 1
        if self.instants == self.dies_at:
            raise KilledError

    def _take(self, step: Any) -> None:
        self._instant()
        self.machine.journal.update({type(change): change for change in step.changes})
        self._instant()
        super()._take(step)

    def obey(self, command: do.Command) -> None:
        self._instant()
        if isinstance(command, do.CreateContainer | do.StartContainer | do.StopContainer):
            self.machine.asked[type(command).__name__, command.task_id] += 1
        super().obey(command)

    def tell(self, chapter: int) -> None:
        """The controller sends the node all that it shall have."""
        self.revision = chapter
        self.assign(*(assignment(name, desired) for name, desired in STORY[chapter]), spec=SPEC)
        self.wait(100)


def live(machine: Machine, dies_at: int, chapter: int = 0) -> tuple[Mortal, int]:
    """Run an agent through the story from a chapter on; the agent, and the chapter in which it died."""
    world = Mortal(machine, dies_at)
    try:
        world.list_engine()
        world.connect()
        for at in range(chapter, len(STORY)):
            chapter = at
            world.tell(chapter)
    except KilledError:
        pass
    return world, chapter


def test_killed_at_any_instant_it_doubles_nothing_loses_nothing_and_ends_nothing() -> None:
    instants = live(Machine(), dies_at=0)[0].instants
    assert instants > 40
    for dies_at in range(1, instants + 1):
        machine = Machine()
        _, chapter = live(machine, dies_at)
        world, _ = live(machine, 0, chapter)
        assert {name: box.phase for name, box in machine.engine.items()} == {
            "t1": ev.Phase.RUNNING,
            "t3": ev.Phase.RUNNING,
        }, dies_at
        assert {world.state(name) for name in ("t1", "t3")} == {TaskState.RUNNING}, dies_at
        assert world.told["t3"].restarts == 0
        # Nothing is made or started twice, and nobody is stopped but the one that shall be.
        assert max(machine.asked.values()) == 1, (dies_at, machine.asked)
        stopped = {name for kind, name in machine.asked if kind == "StopContainer"}
        assert stopped <= {"t2"}, dies_at


def test_killed_over_and_over_it_gets_there_all_the_same() -> None:
    for life in range(14, 40):
        machine, chapter = Machine(), 0
        for _ in range(100):
            world, chapter = live(machine, life, chapter)
            if world.instants < life:
                break
        assert set(machine.engine) == {"t1", "t3"}, life
        assert max(count for (kind, _), count in machine.asked.items() if kind != "StopContainer") == 1
