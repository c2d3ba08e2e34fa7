"""Where a container on networks that span nodes looks names up: its node's name server, which knows who asks.

Pure. Containers on other networks have the engine's resolver, as do those that bring a file of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agent.decide.addresses import overlays_of
from agent.labels import RESOLV_CONF
from bayplan.model import ContainerSpec, Overlay


def resolv_conf(spec: ContainerSpec, overlays: Mapping[str, Overlay]) -> str:
    """What stands in it (resolv.conf(5)); "" where it is the engine's matter.

    Bare names are asked bare first, as with Docker's own resolver.
    """
    joined = overlays_of(spec, overlays)
    mounted = (*(each.target for each in spec.mounts), *(each.target for each in spec.files))
    if not joined or any(target.rstrip("/") == RESOLV_CONF for target in mounted):
        return ""
    lines = [f"nameserver {overlays[joined[0].network].gateway}"]
    search = [each for each in spec.dns_search if each != "."]
    if search:
        lines.append(f"search {' '.join(search)}")
    options = list(spec.dns_options)
    if not any(each.startswith("ndots:") for each in options):
        options.append("ndots:0")
    return "\n".join([*lines, f"options {' '.join(options)}"]) + "\n"


class Caller(NamedTuple):
    """Who asks for names: its networks, the first first, its stack, and the servers that it has chosen for
    others' names (none: the machine's). `closed`: nothing of it leaves its networks, nor do its questions."""

    networks: tuple[str, ...]
    stack: str = ""
    servers: tuple[str, ...] = ()
    closed: bool = False


def caller(spec: ContainerSpec, stack: str, overlays: Mapping[str, Overlay]) -> Caller:
    """A task as a caller."""
    joined = tuple([each.network for each in overlays_of(spec, overlays)])
    closed = len(joined) == len(spec.networks) and all(overlays[each].internal for each in joined)
    return Caller(joined, stack, spec.dns, closed)


def stranger(overlay: Overlay) -> Caller:
    """Somebody on a network who is none of this node's tasks."""
    return Caller((overlay.network,), closed=overlay.internal)
