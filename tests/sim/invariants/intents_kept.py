"""What was answered with a yes is in the controller's durable records, whoever crashes."""

from __future__ import annotations

import zlib

from controller.records import Node
from tests.sim.intents import Wanted, in_records
from tests.sim.invariants.base import Part, View


class IntentsKept:
    watches = frozenset({Part.SERVICES})

    def check(self, world: View) -> str:
        intents = world.intents
        for node in [record for record in world.control.records.values() if isinstance(record, Node)]:
            if node.availability not in intents.nodes_allowed(node.name):
                return f"node {node.name} is {node.availability.value}, which nobody asked for"
            if node.name in intents.nodes_gone:
                return f"node {node.name} was removed, and is still there"
        records = in_records(world.control.records.values())
        for stack in world.intents.may_be.keys() | records.keys():
            found = records.get(stack, [{}])
            allowed = world.intents.allowed(stack)
            if not any(reading in allowed for reading in found):
                return f"stack {stack} is {_short(found[0])}, and was promised {_short(allowed[-1])}"
            world.intents.found(stack, found)
        return ""


def _short(wanted: Wanted) -> str:
    shown = (
        f"{name}*{spec.replicas} {spec.container.image} {''.join(spec.container.command or ())}"
        f" #{zlib.crc32(repr(spec).encode()):08x}"
        for name, spec in sorted(wanted.items())
    )
    return ", ".join(shown) or "nothing"
