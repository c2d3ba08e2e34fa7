"""Asks for a name over DNS, again and again, as a program: `python -m tests.real.asker NAME [SERVER]`.

With a server that is a container's view (addresses, at its port 53), else this machine's agent (SRV).
Prints a line of JSON for each answer that differs from the one before: when it came (monotonic, which all
machines of a testbed share) and what it named; at the end, on SIGTERM, how many questions failed.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.real import resolve
from tests.real.caller import Seat

DNS_PORT = 8600
TIMEOUT_S = 1.0
PAUSE_S = 0.005


class Asker:
    """Who asks for a name on a machine or in a container, all the time."""

    def __init__(self, seat: Seat, *what: str) -> None:
        self._process = seat.spawn(sys.executable, "-m", "tests.real.asker", *what)
        self._begin = self._process.log.stat().st_size
        self._what = list(what)

    def lines(self) -> list[dict[str, Any]]:
        """What it has said so far; several share a log."""
        with self._process.log.open("rb") as log:
            log.seek(self._begin)
            said = [json.loads(line) for line in log.read().splitlines() if line.startswith(b"{")]
        return [line for line in said if line["what"] == self._what]

    def found(self) -> set[str]:
        """What it found last."""
        answers = [line["found"] for line in self.lines() if "found" in line]
        return set(answers[-1]) if answers else set()

    def gone_at(self, address: str, after: float) -> float:
        """When an address was missing first, after a moment."""
        return next(
            float(line["at"]) for line in self.lines() if line["at"] > after and address not in line["found"]
        )

    def tally(self) -> tuple[int, int]:
        """Ends it: how many questions there were, and how many failed."""
        self._process.signal(signal.SIGTERM)
        self._process.wait()
        last = self.lines()[-1]
        return last["asked"], last["failed"]


def ask(name: str) -> list[str] | None:
    """`address:port` of each instance by its SRV records and their glue; None when there is no answer."""
    query = dns.message.make_query(name, "SRV", use_edns=0, payload=1_232)
    try:
        answer = dns.query.udp(query, "127.0.0.1", TIMEOUT_S, DNS_PORT)
    except (OSError, dns.exception.DNSException):
        return None
    if answer.rcode() != dns.rcode.NOERROR:
        return None
    glue = {str(rrset.name): str(rrset[0]) for rrset in answer.additional}
    return sorted(f"{glue[str(each.target)]}:{each.port}" for rrset in answer.answer for each in rrset)


def addresses(name: str, server: str) -> list[str] | None:
    """The addresses that a container's resolver gives; none for a name that is not there (any more)."""
    found = resolve.ask(server, name, TIMEOUT_S)
    if found == "NXDOMAIN":
        return []
    return sorted(found) if isinstance(found, list) else None


def tell(what: object) -> None:
    """As a line in one piece: several programs share a log."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def main() -> None:
    what = sys.argv[1:]
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    before, asked, failed = None, 0, 0
    while not stopped:
        found = addresses(*what) if len(what) > 1 else ask(*what)
        asked += 1
        failed += found is None
        if found is not None and found != before:
            before = found
            tell({"what": what, "at": time.monotonic(), "found": found})
        time.sleep(PAUSE_S)
    tell({"what": what, "asked": asked, "failed": failed})


if __name__ == "__main__":
    main()
