"""Amounts as people write them, "512MiB", "1m30s", "0.5", to integers and back.

Integers only leave this module: bytes, milliseconds, thousandths of a core. It knows nothing of
files and fields: a bad form is a ValueError whose message names the good forms.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

#: The largest amount that a signed 64-bit field of the wire holds.
INT64_MAX = 2**63 - 1
#: The longest duration in milliseconds: what Docker holds as 64-bit nanoseconds, about 292 years.
DURATION_MS_MAX = INT64_MAX // 1_000_000
#: The most CPU in thousandths of a core: one million cores.
CPU_MILLIS_MAX = 1_000_000_000

_NUMBER = r"[0-9]{1,19}(?:\.[0-9]{1,19})?"
_BYTES = re.compile(rf"\s*({_NUMBER})\s*(?:([kmgtp])i?)?b?\s*", re.IGNORECASE | re.ASCII)
_CPUS = re.compile(rf"\s*({_NUMBER}|\.[0-9]{{1,19}})\s*", re.ASCII)
_PART = rf"((?:{_NUMBER}|\.[0-9]{{1,19}}))(ns|us|µs|μs|ms|s|m|h|d|w)"
_DURATION = re.compile(rf"(?:{_PART})+", re.ASCII)
_DURATION_PART = re.compile(_PART, re.ASCII)

_BYTES_OF = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}
_MS_OF = {
    "ns": Decimal("0.000001"),
    "us": Decimal("0.001"),
    "µs": Decimal("0.001"),
    "μs": Decimal("0.001"),
    "ms": Decimal(1),
    "s": Decimal(1000),
    "m": Decimal(60_000),
    "h": Decimal(3_600_000),
    "d": Decimal(86_400_000),
    "w": Decimal(604_800_000),
}


def parse_bytes(text: str) -> int:
    """Bytes of "512MiB", "1g", "64k" or "1024". k, kb and kib all mean 1024, as in Docker.

    Raises ValueError for any other form and for more than a signed 64-bit number holds.
    """
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError(f"{_shown(text)} is not a size: write it like 512MiB, 1g, 64k or a number of bytes")
    number, suffix = match.groups()
    amount = int(Decimal(number) * _BYTES_OF[(suffix or "").lower()])
    if amount > INT64_MAX:
        raise ValueError(f"{_shown(text)} is too large for a size: at most {INT64_MAX} bytes")
    return amount


def parse_duration_ms(text: str) -> int:
    """Milliseconds of "1m30s", "10s", "500ms", "1.5h", "1d" or "0"; parts of a millisecond count as one.

    Raises ValueError for any other form and for more than DURATION_MS_MAX.
    """
    return int(_duration_ms(text).to_integral_value(rounding=ROUND_CEILING))


def parse_duration_us(text: str) -> int:
    """Microseconds of a duration, or of a bare number, as the engine's CPU periods are written.

    Raises ValueError for any other form and for more than DURATION_MS_MAX.
    """
    if re.fullmatch(r"\s*[0-9]{1,15}\s*", text, re.ASCII):
        return int(text)
    return int((_duration_ms(text) * 1000).to_integral_value(rounding=ROUND_CEILING))


def _duration_ms(text: str) -> Decimal:
    text = text.strip()
    if text == "0":
        return Decimal(0)
    if _DURATION.fullmatch(text) is None:
        hint = f", for seconds: {text}s" if re.fullmatch(_NUMBER, text, re.ASCII) else ""
        raise ValueError(f"{_shown(text)} is not a duration: write it like 1m30s, 10s, 500ms or 1h{hint}")
    parts = (Decimal(number) * _MS_OF[unit] for number, unit in _DURATION_PART.findall(text))
    total = sum(parts, Decimal(0))
    if total > DURATION_MS_MAX:
        raise ValueError(f"{_shown(text)} is too long for a duration: at most 290 years")
    return total


def parse_cpus(text: str) -> int:
    """Thousandths of a core of "0.5", "2" or ".25". Raises ValueError for any other form."""
    match = _CPUS.fullmatch(text)
    if match is None:
        raise ValueError(f'{_shown(text)} is not a number of CPUs: write it like "0.5" or "2"')
    millis = int(Decimal(match.group(1)) * 1000)
    if millis == 0 and Decimal(match.group(1)) > 0:
        raise ValueError(f'{_shown(text)} is too little CPU: the least is "0.001"')
    if millis > CPU_MILLIS_MAX:
        raise ValueError(f"{_shown(text)} is too much CPU: at most {CPU_MILLIS_MAX // 1000}")
    return millis


def format_bytes(amount: int) -> str:
    """The size for people, in the largest binary unit, to one decimal: "24 GiB", "1.5 MiB", "512 B"."""
    for unit, scale in (
        ("PiB", 1024**5),
        ("TiB", 1024**4),
        ("GiB", 1024**3),
        ("MiB", 1024**2),
        ("KiB", 1024),
    ):
        if abs(amount) >= scale:
            return f"{amount / scale:.1f}".removesuffix(".0") + f" {unit}"
    return f"{amount} B"


def exact_bytes(amount: int) -> str:
    """The size as `parse_bytes` reads it back, exactly, in the largest unit: "64M", "1536K", "1000"."""
    for unit, scale in (("G", 1024**3), ("M", 1024**2), ("K", 1024)):
        if amount and amount % scale == 0:
            return f"{amount // scale}{unit}"
    return str(amount)


def format_duration_ms(amount_ms: int) -> str:
    """The duration as `parse_duration_ms` reads it back, exactly: "1m30s", "500ms", "1h", "0s"."""
    if amount_ms < 0:
        return "-" + format_duration_ms(-amount_ms)
    seconds, millis = divmod(amount_ms, 1000)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"), (millis, "ms"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def format_cpus(millis: int) -> str:
    """The CPU for people, exactly: "6.5 CPU", "8 CPU", "0.001 CPU"."""
    return f"{Decimal(millis) / 1000:f} CPU"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
