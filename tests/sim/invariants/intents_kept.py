"""What was answered with a yes is in the controller's durable records, whoever crashes."""

from __future__ import annotations

from controller.records import Node
from tests.sim.intents import in_records
from tests.sim.invariants.base import Part, View


class IntentsKept:
    watches = frozenset({Part.SERVICES})

    def check(self, world: View) -> str:
        for record in world.control.records.values():
            if isinstance(record, Node) and record.availability not in world.intents.nodes_allowed(
                record.name
            ):
                return f"node {record.name} is {record.availability.value}, which nobody asked for"
        records = in_records(world.control.records.values())
        for stack in world.intents.may_be.keys() | records.keys():
            found = records.get(stack, [{}])
            allowed = world.intents.allowed(stack)
            if not any(reading in allowed for reading in found):
                shown = {name: (spec.replicas, spec.container) for name, spec in found[0].items()}
                return f"stack {stack} is {shown}, which nobody was promised"
            world.intents.found(stack, found)
        return ""
