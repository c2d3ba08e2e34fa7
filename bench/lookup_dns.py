"""Rows of bench.lookup on DNS: bayplan beside dnsmasq and unbound, with the same names and addresses."""

from __future__ import annotations

import functools
import random
import socket
from contextlib import ExitStack

from bayplan.dns import APEX, wire
from bayplan.dns.wire import Question, Type
from bench import lookup_names
from bench.lookup_load import PACKAGES, Bench, Server, missing
from bench.lookup_names import ADDRESSES, STACK
from bench.measuring import at_least
from tests.doors.controller.process import free_port

#: How long one answer of the look is waited for, in seconds.
LOOK_S = 0.5
#: Against dnsmasq, by CPU second.
TO_DNSMASQ = at_least(0.6, 0.8)

COMMANDS = {
    "bayplan": lookup_names.bayplan,
    "dnsmasq": lookup_names.dnsmasq,
    "unbound": lookup_names.unbound,
}


def dns(bench: Bench) -> None:
    """1,000 names of 3 addresses, and the mix."""
    if missing("dnsperf"):
        bench.report.add("DNS", None, "/CPU-s", note=f"apt-get install {missing('dnsperf')}")
        return
    rng = random.Random(bench.seed)
    kinds = {
        "DNS, 1,000 names of 3": lookup_names.plain_questions(rng),
        "DNS, A, AAAA, SRV, NXDOMAIN": lookup_names.mixed_questions(rng),
    }
    with ExitStack() as stack:
        servers = _servers(bench, stack)
        for number, (what, questions) in enumerate(kinds.items()):
            file = bench.folder / f"questions.{number}"
            file.write_text(questions)
            bench.measure(
                what,
                {
                    name: functools.partial(bench.load.dns, server, port, file)
                    for name, (server, port) in servers.items()
                },
                {"to dnsmasq": TO_DNSMASQ},
            )


def _servers(bench: Bench, stack: ExitStack) -> dict[str, tuple[Server, int]]:
    """All that are on this machine, with their ports; what is missing has a row that says so."""
    found = {}
    for name, command in COMMANDS.items():
        if name in PACKAGES and missing(name):
            bench.report.add(f"DNS: {name}", None, "/CPU-s", note=f"apt-get install {missing(name)}")
            continue
        port = free_port()
        found[name] = server(bench, stack, name, command(bench.folder, port), port), port
    return found


def server(bench: Bench, stack: ExitStack, name: str, command: list[str], port: int) -> Server:
    """A name server, until the stack ends."""
    with bench.cores.on_server():
        log = bench.folder / f"{name}.log"
        found = Server.started(name, command, functools.partial(answers, port), log)
    stack.callback(found.stop)
    return found


def answers(port: int, name: str = f"web-1.{STACK}.{APEX}", host: str = "127.0.0.1") -> bool:
    """Whether a server gives all the addresses of a name."""
    labels = wire.name(*name.split("."))
    question = Question(0, labels, Type.A, wire.CLASS_IN, labels + b"\0\x01\0\x01", recursion=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(LOOK_S)
        try:
            asking.connect((host, port))
            asking.send(wire.query(question, 1))
            answer = asking.recv(wire.EDNS_BYTES_MAX)
        except OSError:
            return False
    return wire.answers(answer, question, 1) and int.from_bytes(answer[6:8], "big") == ADDRESSES
