"""Whether an endpoint that leaves is waited for, and when it has been let go of. Pure."""

from __future__ import annotations

from bayplan.model import ServiceSpec
from controller.endpoints import Leaving
from controller.records import JOB_MODES


def waits(spec: ServiceSpec, *, removed: bool, watched: bool) -> bool:
    """Whether a ready task serves on for a while before it stops.

    Not one to which nothing connects; nor that of a service that goes as a whole, unless somebody is there
    to acknowledge it: no other instance could take over.
    """
    connects = bool(spec.container.ports or spec.container.expose) and spec.mode not in JOB_MODES
    return connects and (watched or (spec.drain_ms > 0 and not removed))


def over(leaving: Leaving, acknowledged: int | None, now_ms: int) -> bool:
    """Whether a leaving task may stop: all watchers use a view without it, or it served long enough.
    `acknowledged`: what all watchers use at least; None when there are none."""
    let_go = acknowledged is not None and 0 < leaving.revision <= acknowledged
    return let_go or now_ms >= leaving.until_ms
