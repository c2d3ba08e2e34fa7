"""What was answered with a yes is in the controller's durable records, whoever crashes."""

from __future__ import annotations

from tests.sim.intents import in_records
from tests.sim.invariants.base import Part, View


class IntentsKept:
    watches = frozenset({Part.SERVICES})

    def __init__(self) -> None:
        self._services: object = None

    def check(self, world: View) -> str:
        records = in_records(world.control.records.values())
        for stack in world.intents.may_be.keys() | records.keys():
            found = records.get(stack, [{}])
            allowed = world.intents.allowed(stack)
            if not any(reading in allowed for reading in found):
                shown = {name: (spec.replicas, spec.container) for name, spec in found[0].items()}
                return f"stack {stack} is {shown}, which nobody was promised"
            world.intents.found(stack, found)
        return ""
