"""Whether an endpoint that leaves is waited for, and when it has been let go of. Pure."""

from __future__ import annotations

from bayplan.directory import ANSWER_LIFE_MS
from bayplan.model import ServiceSpec
from controller.endpoints import Leaving
from controller.records import JOB_MODES


def waits(spec: ServiceSpec, *, removed: bool, watched: bool) -> bool:
    """Whether a ready task serves on for a while before it stops.

    Not one to which nothing connects; nor that of a service that goes as a whole, unless somebody is there
    to acknowledge it: no other instance could take over.
    """
    connects = spec.container.is_called and spec.mode not in JOB_MODES
    return connects and (watched or (spec.drain_ms > 0 and not removed))


def over(leaving: Leaving, acknowledged: int | None, followed: int | None, now_ms: int) -> bool:
    """Whether a leaving task may stop: all watchers use a view without it, and so do all copies of the
    directory; or it served long enough. `acknowledged`, `followed`: what all watchers, and all copies, use
    at least; None when there are none."""
    let_go = acknowledged is not None and 0 < leaving.revision <= acknowledged
    return (let_go and has_left_copies(leaving, followed)) or now_ms >= leaving.until_ms


def has_left_copies(leaving: Leaving, followed: int | None) -> bool:
    """Whether no copy of the directory offers a leaving task any more."""
    return followed is None or 0 < leaving.revision <= followed


def until(leaving: Leaving, acknowledged: int | None, followed: int | None, now_ms: int) -> int:
    """Until when a leaving task serves at most (monotonic ms). Where no watcher says what it uses, that is
    once the last copy has let go of it for as long as what copies have answered may be used."""
    if acknowledged is not None or followed is None or not has_left_copies(leaving, followed):
        return leaving.until_ms
    return min(leaving.until_ms, now_ms + ANSWER_LIFE_MS)
