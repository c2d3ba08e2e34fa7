"""A bayplan cluster on a testbed: the real programs as processes, driven through the real command line.

The controller runs on the switch, an agent on each host; mTLS runs between their namespaces. Knows the
programs' surface only, nothing of their insides. What is polled goes through the client library, for a
fresh process each time would take the CPU from what is tested.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bayplan.client import Client
from bayplan.errors import ProblemError
from bayplan.lifecycle import TaskState
from bayplan.model import Availability, NodeStatus
from bayplan.views import TaskView
from tests.real.caller import Calling
from tests.real.host import SWITCH_ADDRESS, Host
from tests.real.machine import Process, tail, wait_until
from tests.real.testbed import Testbed

BIN = Path(sys.executable).parent

#: Until a daemon answers after its start.
READY_TIMEOUT_S = 20.0
#: Until a change has arrived everywhere; two shared cores start some eight containers a second.
CONVERGE_TIMEOUT_S = 60.0
#: One call of the command line; a deploy waits for its containers.
CLI_TIMEOUT_S = 120.0

HTTP = "127.0.0.1:7480"

#: Removes the links and the packet filters of bayplan from a host.
REMOVE_NETWORKS = """
for link in $(ip -o link | grep -oE ' b[wxp]-[0-9a-f]+' ); do ip link del "$link"; done
for table in 'inet bayplan' 'bridge bayplan' 'inet bayplan-peers'; do nft delete table $table; done
true"""


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class Cluster:
    """One controller and an agent per host. `start` makes it, `stop` ends it and empties the engines.

    `hosts` are all of the testbed's unless others are given; an empty `heartbeat` is the default one.
    """

    def __init__(self, bed: Testbed, hosts: Sequence[Host] = (), heartbeat: str = "") -> None:
        self.bed = bed
        self.hosts = tuple(hosts or bed.hosts)
        self.heartbeat = heartbeat
        self.socket = bed.root / "controller.sock"
        self.data = bed.root / "controller"
        self.agents: dict[str, Process] = {}
        self._controller: Process | None = None

    # -- daemons ----------------------------------------------------------------------------------------

    def start(self) -> None:
        self.bed.switch.run(
            str(BIN / "bayplan-controller"), "init",
            "--data-dir", str(self.data), "--advertise-addr", SWITCH_ADDRESS,
            "--listen", f"{SWITCH_ADDRESS}:7443", "--bootstrap-listen", f"{SWITCH_ADDRESS}:7444",
            "--http-listen", HTTP, "--socket", str(self.socket), "--heartbeat", self.heartbeat,
        )  # fmt: skip
        self.start_controller()
        token = self.cli("join-token", "-q", "--uses", str(len(self.hosts))).strip()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: self._bring_in(host, token), self.hosts))
        self.wait_nodes(len(self.hosts))

    def _bring_in(self, host: Host, token: str) -> None:
        self.join(host, token)
        self.start_agent(host)

    def join(self, host: Host, token: str) -> None:
        host.run(
            str(BIN / "bayplan-agent"), "join", "--token", token, "--name", host.name,
            "--label", f"rack=r{host.number}", "--advertise-addr", host.address,
            "--docker-socket", str(host.docker_socket), "--data-dir", str(host.folder / "agent"),
            f"{SWITCH_ADDRESS}:7444",
        )  # fmt: skip

    def start_controller(self) -> None:
        self._controller = self.bed.switch.spawn(
            str(BIN / "bayplan-controller"), "run", "--data-dir", str(self.data)
        )
        wait_until("the controller answers", self._answers, READY_TIMEOUT_S, every_s=0.1)

    def _answers(self) -> bool:
        assert self.controller.alive, f"the controller ended:\n{tail(self.controller.log)}"
        try:
            with self.client() as client:
                client.status()
        except ProblemError:
            return False
        return True

    def client(self) -> Client:
        return Client(f"unix://{self.socket}")

    @property
    def controller(self) -> Process:
        assert self._controller is not None
        return self._controller

    def start_agent(self, host: Host) -> None:
        self.agents[host.name] = host.spawn(
            str(BIN / "bayplan-agent"), "run",
            "--data-dir", str(host.folder / "agent"), "--docker-socket", str(host.docker_socket),
        )  # fmt: skip

    def wait_nodes(self, ready: int) -> float:
        return wait_until(
            f"{ready} nodes are ready", lambda: self.ready_nodes() == ready, READY_TIMEOUT_S, 0.1
        )

    def ready_nodes(self) -> int:
        with self.client() as client:
            return sum(node.status is NodeStatus.READY for node in client.nodes())

    def restore(self) -> None:
        """As after `start`, for the next test: all is on and linked, daemons run, no stack is left."""
        for host in self.hosts:
            self._bring_back(host)
        if not self.controller.alive:
            self.start_controller()
        for host in self.hosts:
            if not self.agents[host.name].alive:
                self.start_agent(host)
        self.wait_nodes(len(self.hosts))
        with self.client() as client:
            for host in self.hosts:
                client.update_node(host.name, Availability.ACTIVE)
        for stack in self.stacks():
            self.remove(stack)

    def stop(self) -> None:
        """Ends the daemons, brings each host back and takes everything off its engine."""
        for daemon in (self._controller, *self.agents.values()):
            if daemon is not None and daemon.alive:
                daemon.kill()
        for host in self.hosts:
            self._empty(host)
        for folder in (self.data, *(host.folder / "agent" for host in self.hosts)):
            subprocess.run(["rm", "-rf", folder], check=True)

    @staticmethod
    def _bring_back(host: Host) -> None:
        if host.engine_alive:
            host.thaw_engine()
        else:
            host.reboot()
        host.heal()

    def _empty(self, host: Host) -> None:
        self._bring_back(host)
        if found := host.containers():
            host.docker("rm", "--force", "--volumes", *found)
        if networks := host.networks():
            # Docker 20.10 may miscount a network's endpoints when many containers go at once, and keep it.
            host.docker("network", "rm", *networks, check=False)
        host.docker("volume", "prune", "--force")
        # What killed agents leave of the kernel's is foreign to those of the next cluster.
        host.run("sh", "-c", REMOVE_NETWORKS)

    # -- the command line -------------------------------------------------------------------------------

    def command(self, *args: str) -> list[str]:
        return [str(BIN / "bayplan"), "-H", f"unix://{self.socket}", *args]

    def try_cli(self, *args: str, stdin: str | None = None) -> Answer:
        """Runs the command line as a script would: no terminal, no colour."""
        done = subprocess.run(
            self.command(*args), input=stdin or "", text=True, capture_output=True, check=False,
            timeout=CLI_TIMEOUT_S, cwd=self.bed.root, env=os.environ | {"NO_COLOR": "1"},
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    def cli(self, *args: str, stdin: str | None = None) -> str:
        answer = self.try_cli(*args, stdin=stdin)
        assert answer.code == 0, (
            f"bayplan {' '.join(args)} ended with {answer.code}:\n{answer.out}{answer.err}"
        )
        return answer.out

    def rows(self, *args: str) -> list[dict[str, str]]:
        """The lines of a list as `--format json` gives them."""
        return [json.loads(line) for line in self.cli(*args, "--format", "json").splitlines()]

    # -- the world's language -----------------------------------------------------------------------------

    def deploy(self, stack: str, compose: str) -> str:
        return self.cli("stack", "deploy", "-c", "-", stack, stdin=compose)

    def try_deploy(self, stack: str, compose: str) -> Answer:
        return self.try_cli("stack", "deploy", "-c", "-", stack, stdin=compose)

    def deploy_in_background(self, stack: str, compose: str) -> subprocess.Popen[bytes]:
        file = self.bed.root / f"{stack}.yml"
        file.write_text(compose)
        with (self.bed.root / "switch" / "deploy.log").open("wb") as log:
            command = self.command("stack", "deploy", "-c", str(file), stack)
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def remove(self, stack: str) -> None:
        self.cli("stack", "rm", "-y", stack)

    def stacks(self) -> set[str]:
        return {row["Name"] for row in self.rows("stack", "ls")}

    def running(self, stack: str) -> list[TaskView]:
        """The stack's tasks that run now, by what their agents said last."""
        with self.client() as client:
            return [task for task in client.tasks(stack) if task.status.state is TaskState.RUNNING]

    def wait_running(self, stack: str, tasks: int, timeout_s: float = CONVERGE_TIMEOUT_S) -> float:
        return wait_until(
            f"{tasks} tasks of {stack} run", lambda: len(self.running(stack)) == tasks, timeout_s, every_s=0.2
        )

    def lookup(self, stack: str, service: str) -> set[str]:
        """`address:port` of each ready instance, as the command line finds them."""
        return set(self.try_cli("registry", "lookup", "-q", f"{stack}/{service}").out.split())

    def http_lookup(self, stack: str, service: str) -> set[str]:
        """The same from the HTTP door, by curl on the controller's machine."""
        url = f"http://{HTTP}/v1/lookup/{stack}/{service}"
        answer = json.loads(self.bed.switch.run("curl", "--silent", "--max-time", "5", url))
        return {f"{found['address']}:{found['port']}" for found in answer.get("instances", [])}

    def get(self, address: str) -> str:
        """Calls a found address from the operator's seat, outside of any container."""
        return self.bed.switch.run("curl", "--silent", "--fail", "--max-time", "5", f"http://{address}/")

    def calling(self, stack: str, service: str) -> Calling:
        """Constant requests to a service's instances, by one who follows the registry."""
        return Calling(self.bed.switch, "tests.real.caller", str(self.socket), stack, service)

    def lives(self) -> dict[str, str]:
        """Since when each container runs: one that was started again has another time."""
        return {
            container: host.inspect(container)["State"]["StartedAt"]
            for container, host in self.containers().items()
        }

    def containers(self, *, running: bool = True) -> dict[str, Host]:
        """Every container in the fleet and the host it is on; powered-off hosts have none."""
        return {
            container: host
            for host in self.hosts
            if host.on
            for container in host.containers(running=running)
        }
