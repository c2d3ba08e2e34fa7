"""An agent's journal on its machine's disk, which may be full, or lose it all; as `agent.runtime.journal`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from agent import events as ev
from bayplan.session import Report


class Journal:
    """Changes by their kind. `owed` is what a `full` disk did not take; it ends with the process."""

    def __init__(self) -> None:
        self.full = False
        self.owed: dict[type[Any], Any] = {}
        self._kept: dict[type[Any], Any] = {}

    def append(self, changes: Sequence[Any]) -> None:
        """Keep the newest of each kind, or owe it."""
        table = self.owed if self.full or self.owed else self._kept
        table.update({type(change): change for change in changes})

    def make_up(self) -> None:
        """Write what is owed."""
        self._kept.update(self.owed)
        self.owed.clear()

    def lose(self) -> None:
        """Everything is gone."""
        self._kept.clear()

    def remembered(self) -> ev.Remembered:
        """What an agent that starts now finds."""
        kept = self._kept.get(ev.KeepAssignments)
        ends, hooked = self._kept.get(ev.KeepEnds), self._kept.get(ev.KeepHooked)
        remembered = ev.Remembered(ends=ends.ends if ends else (), hooked=hooked.hooked if hooked else {})
        if kept is None:
            return remembered
        return msgspec.structs.replace(remembered, epoch=kept.epoch, assignments=kept.assignments)

    def honest(self, report: Report) -> Report:
        """The report without the acknowledgement of a revision that could not be kept."""
        owed, kept = self.owed.get(ev.KeepAssignments), self._kept.get(ev.KeepAssignments)
        if owed is None:
            return report
        same = kept is not None and kept.epoch == owed.epoch
        return msgspec.structs.replace(report, revision=kept.assignments.revision if same else 0)
