"""`--affinity` and `--anti-affinity` to affinities. Pure; raises ValueError."""

from __future__ import annotations

from bayplan.cli.mounts import pairs, truth
from bayplan.compose.names import parse_attribute, parse_reference
from bayplan.model import Affinity

_KEYS = ("service", "topology", "required")
#: What stands for the node itself where an attribute of nodes is asked for.
_NODE = "node"


def parse_affinity(text: str, *, anti: bool) -> Affinity:
    """The affinity of `NAME` or `service=NAME,topology=node.labels.zone,required`."""
    given = pairs(text, _KEYS) if "=" in text else {"service": [text]}
    service, topology = (given.get(key, [""])[-1] for key in ("service", "topology"))
    if not service:
        raise ValueError(f"{text!r} names no service: write NAME, or service=NAME,topology=KEY,required")
    return Affinity(
        service=parse_reference(service),
        topology="" if topology in ("", _NODE) else parse_attribute(topology),
        anti=anti,
        required="required" in given and truth("required", given["required"][-1]),
    )
