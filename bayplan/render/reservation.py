"""What a task sets aside on its node, with where each amount comes from."""

from __future__ import annotations

from bayplan.render.amounts import cpus, size
from bayplan.views import Origin, Reservation

#: An amount that the user asked for by name needs no word.
_WORDS = {Origin.LIMIT: " (limit)", Origin.DEFAULT: " (default)"}


def reserved(reservation: Reservation) -> str:
    """`0.05 CPU, 64MiB (default)`; one word where both amounts have the same origin. Empty for nothing."""
    amounts = reservation.resources
    parts = []
    if amounts.cpu_millis:
        parts.append((f"{cpus(amounts.cpu_millis)} CPU", _WORDS.get(reservation.cpu_origin, "")))
    if amounts.memory_bytes:
        parts.append((size(amounts.memory_bytes), _WORDS.get(reservation.memory_origin, "")))
    # These are only ever set aside because they were asked for.
    asked = [f"{size(amounts.disk_bytes)} disk"] if amounts.disk_bytes else []
    asked += [f"{amounts.pids} pids"] if amounts.pids else []
    parts += [(text, "") for text in asked]
    if len({word for _text, word in parts}) == 1:
        return ", ".join(text for text, _word in parts) + parts[0][1]
    return ", ".join(text + word for text, word in parts)
