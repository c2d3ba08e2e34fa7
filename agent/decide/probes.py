"""What a row of probes means for a container. Pure."""

from __future__ import annotations

from agent.state import Tally
from bayplan.model import Health, Probe


def counted(tally: Tally, probe: Probe, why: str, age_ms: int) -> Tally:
    """The tally after one more probe, of a run that began `age_ms` ago. `why` it failed; empty: it passed.

    The first success is enough, later changes of mind need `rise` or `fall` in a row; a failure within the
    start period says nothing.
    """
    if not why:
        needed = probe.rise if tally.health is Health.UNHEALTHY else 1
        return _turned(tally, Health.HEALTHY, needed)
    if tally.health is Health.STARTING and age_ms < probe.start_period_ms:
        return Tally(tally.run)
    return _turned(tally, Health.UNHEALTHY, probe.fall, why)


def _turned(tally: Tally, health: Health, needed: int, why: str = "") -> Tally:
    """One more result speaks for a health."""
    if tally.health is health:
        return tally._replace(against=0)
    against = tally.against + 1
    return Tally(tally.run, health, why=why) if against >= needed else tally._replace(against=against)


def presumed(probe: Probe, age_ms: int) -> bool:
    """Whether a run that is found has lasted longer than its probes need to find fault with it."""
    return age_ms >= probe.start_period_ms + probe.fall * (probe.interval_ms + probe.timeout_ms)
