"""What a file declares and none of its services uses: it is left out, which is told once for each kind.

All services count, those of profiles that are not enabled too.
"""

from __future__ import annotations

from collections.abc import Iterator

from bayplan.compose.nodes import List, Map, Node, Scalar, get
from bayplan.compose.report import Report, listed

_KINDS = ("networks", "volumes", "configs", "secrets")


def warn_of_unused(tree: Map, report: Report) -> None:
    """Warns of the top-level entries of a whole file that no service names."""
    services = get(tree, "services")
    for kind in _KINDS:
        declared = get(tree, kind)
        if not isinstance(declared, Map) or not isinstance(services, Map):
            continue
        used = {name for entry in services.entries.values() for name in _used(entry.value, kind)}
        unused = [name for name in declared.entries if name not in used]
        if unused:
            what = kind if len(unused) > 1 else kind.removesuffix("s")
            place = declared.entries[unused[0]].key.place
            report.warn(place, f"no service uses the {what} {listed(unused)}: left out")


def _used(service: Node, kind: str) -> Iterator[str]:
    """The names of one kind that a service mentions; where it names no network, `default`."""
    match get(service, kind):
        case Map(entries=entries):
            yield from entries
        case List(items=items):
            for item in items:
                named = item if isinstance(item, Scalar) else get(item, "source")
                if isinstance(named, Scalar):
                    yield named.text.partition(":")[0] if kind == "volumes" else named.text
        case _ if kind == "networks":
            mode = get(service, "network_mode")
            if not isinstance(mode, Scalar) or mode.text in ("bridge", "default"):
                yield "default"
