"""Times, durations and amounts in the words and forms that Docker's users know, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bayplan.units import parse_duration_ms

_UNITS_S = (
    ("years", 31_536_000),
    ("months", 2_592_000),
    ("weeks", 604_800),
    ("days", 86_400),
    ("hours", 3_600),
    ("minutes", 60),
    ("seconds", 1),
)

#: An amount of a unit below this is told in the next smaller unit, as Docker does ("47 hours").
_UNIT_MIN = 2


def parse_moment_ms(text: str, now_ms: int) -> int:
    """A duration before now, an RFC 3339 time or Unix seconds, in Unix milliseconds. Raises ValueError."""
    if re.fullmatch(r"\d{9,}(\.\d+)?", text):
        return int(float(text) * 1_000)
    try:
        return now_ms - parse_duration_ms(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write it as 10m (ago), 2026-01-31T12:00:00Z or Unix seconds"
        ) from None
    return int(moment.timestamp() * 1_000)


def span(milliseconds: int) -> str:
    """A length of time as Docker writes it: `3 minutes`, `About an hour`, `Less than a second`."""
    seconds = max(0, milliseconds) // 1_000
    if seconds < 1:
        return "Less than a second"
    if 60 <= seconds < 120:
        return "About a minute"
    if 3_600 <= seconds < 5_400:
        return "About an hour"
    for unit, size in _UNITS_S:
        if seconds >= _UNIT_MIN * size:
            return f"{seconds // size} {unit}"
    return "1 second"


def ago(then_ms: int, now_ms: int) -> str:
    """`3 minutes ago`; empty for an unknown time (0)."""
    if not then_ms:
        return ""
    text = span(now_ms - then_ms)
    return f"{text[0].lower()}{text[1:]} ago"


def until(then_ms: int, now_ms: int) -> str:
    """`in 3 minutes`; `now` for a time that has come."""
    return f"in {span(then_ms - now_ms).lower()}" if then_ms > now_ms else "now"


def seconds(value_s: float) -> str:
    """A short wait: `0.4 s`, `12 s`, `2 min 5 s`."""
    if value_s < 10:
        return f"{value_s:.1f} s"
    if value_s < 120:
        return f"{value_s:.0f} s"
    return f"{int(value_s) // 60} min {int(value_s) % 60} s"


def clock(time_ms: int) -> str:
    """The local time of day, `14:03:07`."""
    return datetime.fromtimestamp(time_ms / 1_000).astimezone().strftime("%H:%M:%S")


def clock_ms(time_ns: int) -> str:
    """The local time of day with milliseconds, `14:03:07.250`."""
    local = datetime.fromtimestamp(time_ns // 1_000_000_000).astimezone()
    return f"{local:%H:%M:%S}.{time_ns // 1_000_000 % 1_000:03d}"


def rfc3339_ns(time_ns: int) -> str:
    """Universal time with all nine digits, as `docker logs -t` prints it."""
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % 1_000_000_000:09d}Z"


def rfc3339(time_ms: int) -> str:
    """Universal time with milliseconds, for JSON; Go's zero time when unknown, as Docker has it."""
    if not time_ms:
        return "0001-01-01T00:00:00Z"
    moment = datetime.fromtimestamp(time_ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1_000:03d}Z"


def cpus(millis: int) -> str:
    """Thousandths of a core as cores: 1500 -> `1.5`."""
    return f"{millis / 1_000:.3f}".rstrip("0").rstrip(".")


def size(amount_bytes: int) -> str:
    """Bytes in Docker's short form: `512MiB`, `31.3GiB`."""
    value = float(amount_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1_024:
            return f"{value:.4g}{unit}"
        value /= 1_024
    return f"{value:.4g}TiB"


def counted(number: int, noun: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
