"""Asks a name server for IPv4 addresses, once, as a program: `python -m tests.real.resolve SERVER NAME...`.

Prints for each name the list of its addresses, or what was said instead (`NXDOMAIN`, `TIMEOUT`), as JSON.
"""

from __future__ import annotations

import json
import sys

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

TIMEOUT_S = 2.0
DNS_PORT = 53


def ask(server: str, name: str, timeout_s: float = TIMEOUT_S) -> list[str] | str:
    """The addresses in order; a word where there was no answer of them. [] is a name without any."""
    query = dns.message.make_query(name, "A")
    try:
        answer = dns.query.udp(query, server, timeout_s, DNS_PORT)
    except (OSError, dns.exception.DNSException) as error:
        return "TIMEOUT" if isinstance(error, dns.exception.Timeout) else type(error).__name__
    if answer.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(answer.rcode())
    return [str(each) for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A for each in rrset]


def main() -> None:
    server, *names = sys.argv[1:]
    print(json.dumps({name: ask(server, name) for name in names}))


if __name__ == "__main__":
    main()
