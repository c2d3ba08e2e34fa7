"""How much a node may say of what is the matter with it: one place for the agent and the controller."""

from __future__ import annotations

from itertools import islice

from msgspec.structs import replace

from bayplan.model import NodeCondition, NodeFault

#: Faults of one node; what is more is only counted, by the last of them.
NODE_FAULTS_MAX = 32
#: Characters of each text and each hint, and of a subject.
NODE_FAULT_CHARS_MAX, NODE_FAULT_SUBJECT_CHARS_MAX = 500, 255


def bounded(condition: NodeCondition) -> NodeCondition:
    """A condition within the limits. The first faults are kept."""
    faults = tuple([_bounded(fault) for fault in islice(condition.faults, NODE_FAULTS_MAX)])
    more = len(condition.faults) - NODE_FAULTS_MAX
    if more > 0:
        text = f"and {more + 1} more faults, of which the first is: {faults[-1].text}"
        faults = (*faults[:-1], _bounded(replace(faults[-1], text=text)))
    return replace(condition, faults=faults)


def _bounded(fault: NodeFault) -> NodeFault:
    return replace(
        fault,
        subject=fault.subject[:NODE_FAULT_SUBJECT_CHARS_MAX],
        text=fault.text[:NODE_FAULT_CHARS_MAX],
        hint=fault.hint[:NODE_FAULT_CHARS_MAX],
    )
