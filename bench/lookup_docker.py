"""Rows of bench.lookup on Docker's embedded resolver, beside bayplan's: the same names as aliases of three
containers, asked by dnsperf within the network of one of them. Needs root and an engine's program.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
from contextlib import ExitStack
from pathlib import Path

from bayplan.dns import APEX
from bench import lookup_names
from bench.lookup_dns import server
from bench.lookup_load import Bench, Server, missing
from bench.lookup_names import ADDRESSES, NAMES, STACK
from bench.measuring import at_least
from tests.doors.controller.process import free_port
from tests.real.host import Host
from tests.real.machine import children
from tests.real.testbed import Testbed

#: Against the embedded resolver, by CPU second.
TO_DOCKER = at_least(1, 1.5)
IMAGE, NETWORK = "bayplan/demo:1", "names"
RESOLVER = "127.0.0.11"


def docker(bench: Bench) -> None:
    """1,000 names of 3 addresses."""
    what = "DNS, 1,000 names of 3"
    if os.geteuid() != 0 or shutil.which("dockerd") is None or missing("dnsperf"):
        bench.report.add(f"{what}: Docker", None, "/CPU-s", note="needs root, dockerd and dnsperf")
        return
    questions = bench.folder / "questions"
    questions.write_text(lookup_names.plain_questions(random.Random(bench.seed)))
    with ExitStack() as stack:
        port = free_port()
        ours = server(bench, stack, "bayplan", lookup_names.bayplan(bench.folder, port), port)
        with bench.cores.on_server():
            bed = stack.enter_context(Testbed(hosts=1))
        (host,) = bed.hosts
        _run_containers(host)
        inside = _inside(host)
        theirs = Server("Docker", _engine(host))
        loads = {
            "bayplan": functools.partial(bench.load.dns, ours, port, questions),
            "Docker": functools.partial(bench.load.dns, theirs, 53, questions, host=RESOLVER, prefix=inside),
        }
        bench.measure(what, loads, {"to Docker": TO_DOCKER})


def _run_containers(host: Host) -> None:
    """Each has all names, so that each name has as many addresses as there are containers."""
    host.docker("network", "create", NETWORK)
    names = [f"web-{number}.{STACK}.{APEX}" for number in range(1, NAMES + 1)]
    aliases = [word for name in names for word in ("--network-alias", name)]
    for number in range(ADDRESSES):
        host.docker(
            "run", "--detach", "--init", "--name", f"c{number}", "--network", NETWORK, *aliases,
            IMAGE, "sleep", "1000000",
        )  # fmt: skip


def _inside(host: Host) -> list[str]:
    """What runs a program of this machine within the first container's network."""
    pid = host.docker("inspect", "--format", "{{.State.Pid}}", "c0")
    machine = ["nsenter", "-t", str(host.init_pid), "-m", "-p", "--"]
    return [*machine, "nsenter", "-t", pid, "-n", "--"]


def _engine(host: Host) -> int:
    """The engine's process: the one beneath nsenter."""
    started = [pid for child in children(os.getpid()) for pid in children(child)]
    return next(pid for pid in started if Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd")
