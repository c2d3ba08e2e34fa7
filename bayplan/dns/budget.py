"""How much one source gets over UDP, where anybody can write another's address into a packet: answers are
longer than questions, so a server that answers all of them can be turned against others.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from bayplan.dns import wire

#: Answers to one source (an IPv4 address, an IPv6 network of 64 bits) in a second; beyond it is told to come
#: over TCP, where its address is proven, and hears that once in SLIP questions.
ANSWERS_PER_S_MAX, SLIP = 2_000, 2
#: Sources that are counted in a second; all others are told to come over TCP.
SOURCES_MAX = 10_000


class Budget:
    """Counts answers by their source, anew each second."""

    def __init__(self) -> None:
        self._second = 0
        self._given: Counter[str] = Counter()

    def spend(self, host: str, answer: bytes, now_s: float) -> bytes | None:
        """What may be sent to a source instead of an answer: it, its short form, or nothing."""
        second = int(now_s)
        if second != self._second:
            self._second = second
            self._given.clear()
        source = _network(host) if ":" in host else host
        if source not in self._given and len(self._given) >= SOURCES_MAX:
            return wire.truncated(answer)
        self._given[source] = given = self._given[source] + 1
        if given <= ANSWERS_PER_S_MAX:
            return answer
        return None if given % SLIP else wire.truncated(answer)


def _network(host: str) -> str:
    return str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
