"""Several hosts on one kernel, each with its own engine: what the tests and benches call a fleet.

A host is a set of namespaces (network, mounts, processes, host name) held open by one process that is
its "init": killing that process is the power switch, and nothing of the host can outlive it. Hosts are
joined by a switch, a bridge in one more set of namespaces. Knows nothing of bayplan.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]

#: What runs on the switch (the controller, an operator's shell) has this address; host n is NETWORK.(10+n).
NETWORK = "10.204.0"
SWITCH_ADDRESS = f"{NETWORK}.1"

#: Hosts that the address plan has room for.
HOSTS_MAX = 40
#: Until a namespace, a process or a link is there.
START_TIMEOUT_S = 10.0
#: Until an engine answers; the first start unpacks nothing, but shares two cores with its neighbours.
ENGINE_TIMEOUT_S = 60.0
#: One command on a host.
COMMAND_TIMEOUT_S = 60.0

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "bayplan-testbed"


class TestbedError(Exception):
    """The testbed itself does not work; never the fault of what is tested."""

    __test__ = False


def wait_until(what: str, condition: Callable[[], object], timeout_s: float, every_s: float = 0.02) -> float:
    """Polls until the condition holds; returns the seconds it took. Raises AssertionError with `what`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - began


def mac(number: int) -> str:
    """The card that goes with address `number` of the network.

    A machine keeps its card over a reboot. With one drawn anew each time (and a bridge takes the lowest of
    its ports'), its neighbours would talk to the old one for the 5 to 8 s that ARP trusts what it knows.
    """
    return f"02:ba:10:00:00:{number:02x}"


def _children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Process:
    """A process inside a machine, its output in a file; it dies with the testbed and with its machine."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen
        wait_until(f"{name} has started", lambda: _children(popen.pid) or not self.alive, START_TIMEOUT_S)
        self.pid = next(iter(_children(popen.pid)), 0)  # nsenter's child is the program itself

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.alive and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout_s: float = COMMAND_TIMEOUT_S) -> int:
        return self._popen.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to say goodbye."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM and wait."""
        self.signal(signal.SIGTERM)
        self.wait()


class Machine:
    """A set of namespaces with a name. `power_on` opens them, `kill` ends all that lives in them."""

    def __init__(self, bed: Testbed, name: str) -> None:
        self.name = name
        self.folder = bed.root / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._holder: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._processes: list[Process] = []

    def power_on(self) -> None:
        # A machine has a boot id and a /run of its own. Ignoring SIGCHLD makes the kernel reap orphans.
        boot_id = self.folder / "boot_id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        setup = (
            f"hostname {self.name}; mount -t tmpfs -o mode=755 run /run; ip link set lo up;"
            f"mount --bind {shlex.quote(str(boot_id))} /proc/sys/kernel/random/boot_id;"
            "touch /run/up; trap '' CHLD; exec sleep infinity"
        )
        unshare = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (self.folder / "power.log").open("ab") as log:
            self._holder = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *unshare, "sh", "-ec", setup],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        wait_until(f"{self.name} has its namespaces", self._booted, START_TIMEOUT_S)

    def _booted(self) -> bool:
        assert self._holder is not None
        if self._holder.poll() is not None:
            raise TestbedError(f"{self.name} could not be made: {tail(self.folder / 'power.log')}")
        self._init = next(iter(_children(self._holder.pid)), 0)
        return self._init > 0 and Path(f"/proc/{self._init}/root/run/up").exists()

    @property
    def on(self) -> bool:
        return self._holder is not None

    def kill(self) -> None:
        """Every process of the machine dies at once, mounts and links vanish with the namespaces."""
        if self._holder is None:
            return
        if self._init:
            os.kill(self._init, signal.SIGKILL)  # the kernel ends the whole process namespace with its first
        else:
            self._holder.kill()
        self._holder.wait()
        self._holder, self._init = None, 0
        for process in self._processes:
            process.wait()
        self._processes.clear()

    @property
    def init_pid(self) -> int:
        return self._init

    def _enter(self, command: tuple[str, ...]) -> list[str]:
        if not self.on:
            raise TestbedError(f"{self.name} is powered off")
        return ["nsenter", "-t", str(self._init), "-n", "-m", "-u", "-p", "--", *command]

    def run(self, *command: str, check: bool = True, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Runs a command on the machine and returns what it printed. Raises TestbedError when it fails."""
        done = subprocess.run(
            self._enter(command), capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if check and done.returncode != 0:
            raise TestbedError(f"{self.name}: {shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def spawn(self, *command: str, env: dict[str, str] | None = None) -> Process:
        """Starts a long-running program; its output is appended to `<folder>/<program>.log`."""
        name = Path(command[0]).name
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            popen = subprocess.Popen(
                self._enter(("setpriv", "--pdeathsig", "KILL", *command)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | (env or {}),
                start_new_session=True,
            )
        self._processes.append(Process(popen, f"{name} on {self.name}", log))
        return self._processes[-1]


class Switch(Machine):
    """The cable between the hosts, and the seat of the controller and the operator."""

    def power_on(self) -> None:
        super().power_on()
        self.run(
            "sh", "-ec",
            f"ip link add br0 address {mac(1)} type bridge stp_state 0 forward_delay 0; ip link set br0 up;"
            f"ip addr add {SWITCH_ADDRESS}/24 dev br0",
        )  # fmt: skip

    def plug(self, host: Host) -> None:
        # Only the network is entered: among the switch's own processes the host's pid means nothing.
        peer = f"peer name eth0 address {mac(10 + host.number)} netns {host.init_pid}"
        link = f"ip link add {host.port} type veth {peer}"
        command = ["nsenter", "-t", str(self.init_pid), "-n", "sh", "-ec"]
        subprocess.run([*command, f"{link}; ip link set {host.port} master br0 up"], check=True)

    def unplug(self, host: Host) -> None:
        """The port is taken off the bridge and the carrier stays: nobody is told, packets just vanish."""
        self.run("ip", "link", "set", host.port, "nomaster", check=False)

    def replug(self, host: Host) -> None:
        self.run("ip", "link", "set", host.port, "master", "br0")

    def forget(self, host: Host) -> None:
        """Removes the port of a dead host (the kernel does the same, a little later)."""
        self.run("ip", "link", "del", host.port, check=False)


class Host(Machine):
    """A machine with an address on the switch and an engine."""

    def __init__(self, bed: Testbed, number: int) -> None:
        super().__init__(bed, f"h{number}")
        self.number = number
        self.address = f"{NETWORK}.{10 + number}"
        self.port = f"p{number}"
        self.docker_socket = self.folder / "docker.sock"
        self.cgroup = f"{bed.root.name}-h{number}"
        self._switch = bed.switch
        self._engine: Process | None = None

    def power_on(self) -> None:
        """Boots: fresh namespaces, no process; what lies on the disk is as the last shutdown left it."""
        super().power_on()
        self._switch.forget(self)
        self._switch.plug(self)
        # Outside names fail at once instead of after many seconds of silence.
        self.run(
            "sh", "-ec",
            f"ip addr add {self.address}/24 dev eth0; ip link set eth0 up; ip route add unreachable default;"
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
        )  # fmt: skip

    def power_off(self) -> None:
        """A power cut: peers hear nothing, every process and container is dead at once."""
        if self.on:
            self._switch.unplug(self)
            self.kill()
            self._engine = None
            self.docker_socket.unlink(missing_ok=True)

    def cut(self) -> None:
        self._switch.unplug(self)

    def heal(self) -> None:
        self._switch.replug(self)

    def start_engine(self, wait: bool = True) -> None:
        block = 20 + self.number
        self.docker_socket.unlink(missing_ok=True)
        self._engine = self.spawn(
            "dockerd",
            *("--data-root", str(self.folder / "data"), "--exec-root", "/run/docker"),
            *("--pidfile", "/run/docker.pid", "--host", f"unix://{self.docker_socket}"),
            *("--bip", f"10.{block}.0.1/20", "--default-address-pool", f"base=10.{block}.128.0/17,size=24"),
            *("--cgroup-parent", f"/{self.cgroup}", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            "--live-restore",
        )
        if wait:
            self.wait_engine()

    def wait_engine(self) -> None:
        wait_until(f"the engine of {self.name} answers", self._engine_answers, ENGINE_TIMEOUT_S)

    def _engine_answers(self) -> bool:
        if self._engine is None or not self._engine.alive:
            raise TestbedError(f"dockerd of {self.name} ended:\n{tail(self.folder / 'dockerd.log')}")
        return self.engine_get("/_ping") == b"OK"

    def engine_get(self, path: str) -> bytes | None:
        """One GET over the engine's socket; None when it does not answer."""
        connection = http.client.HTTPConnection("engine", timeout=2)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(2)
            connection.sock.connect(str(self.docker_socket))
            connection.request("GET", path)
            return connection.getresponse().read()
        except OSError:
            return None
        finally:
            connection.close()

    def kill_engine(self) -> None:
        """SIGKILL to dockerd and its containerd; shims and containers live on."""
        assert self._engine is not None
        containerd = _children(self._engine.pid)
        self._engine.kill()
        for pid in containerd:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Their stale pid files would name living strangers.
        self.run("sh", "-c", "rm -f /run/docker.pid /run/docker/containerd/containerd.pid")

    def docker(self, *args: str, check: bool = True) -> str:
        """Docker's own client against this host's engine; what it printed, stripped."""
        client = {"DOCKER_CONFIG": str(self.folder / "client"), "DOCKER_API_VERSION": "1.41"}
        done = subprocess.run(
            ["docker", "-H", f"unix://{self.docker_socket}", *args],
            capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S, env=os.environ | client,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise TestbedError(f"{self.name}: docker {shlex.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", container))
        return found[0]

    def containers(self, *, running: bool = False) -> list[str]:
        """Full ids of the containers on this engine, stopped ones too unless `running`."""
        scope = [] if running else ["--all"]
        return self.docker("ps", "--quiet", "--no-trunc", *scope).split()

    def networks(self) -> list[str]:
        """Names of the networks that did not come with the engine."""
        names = self.docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}")
        return names.split()

    def kill_container(self, container: str) -> None:
        """SIGKILL straight to the container's first process, behind the engine's back."""
        pid = self.docker("inspect", "--format", "{{.State.Pid}}", container)
        self.run("kill", "-KILL", pid)

    def load_image(self, tar: Path, name: str) -> None:
        self.docker("import", "--change", "ENV PATH=/bin", "--change", 'CMD ["sh"]', str(tar), name)


class Testbed:
    """N hosts, their engines up and the demo image in each. A context manager: nothing is left at the end."""

    __test__ = False

    def __init__(self, hosts: int = 3) -> None:
        if not 0 < hosts <= HOSTS_MAX:
            raise TestbedError(f"a testbed has 1 to {HOSTS_MAX} hosts, not {hosts}")
        self.root = Path(tempfile.gettempdir()) / f"{PREFIX}-{os.getpid()}"
        self.switch = Switch(self, "switch")
        self.hosts = [Host(self, number) for number in range(1, hosts + 1)]

    def __enter__(self) -> Testbed:
        sweep()
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        assert not self.leftovers(), f"the testbed left something behind: {self.leftovers()}"

    def up(self) -> None:
        self.switch.power_on()
        for host in self.hosts:
            host.power_on()
            host.start_engine(wait=False)
        image = self.root / "demo.tar"
        subprocess.run([REPO / "scripts/image.sh", image], check=True, timeout=COMMAND_TIMEOUT_S)
        for host in self.hosts:
            host.wait_engine()
            host.load_image(image, "bayplan/demo:1")

    def down(self) -> None:
        for host in self.hosts:
            host.power_off()
        self.switch.kill()
        remove_traces(self.root)

    def logs(self) -> list[Path]:
        """The output of the programs that were started on the machines, but not the engines'."""
        return [log for log in sorted(self.root.glob("*/*.log")) if log.stem not in ("dockerd", "power")]

    def leftovers(self) -> list[str]:
        """What still exists of this testbed after `down`; empty is right."""
        return list(_leftovers(self.root))


def _cgroup_folders(name: str) -> list[Path]:
    """The folders of the cgroups of this name: in the unified tree, or in each controller's tree (v1)."""
    return [path for path in (*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")) if path.is_dir()]


def remove_traces(root: Path) -> None:
    """Removes what a testbed without processes still has: cgroups and its folder."""
    for cgroup in _cgroup_folders(f"{root.name}-h*"):
        for path, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                Path(path).rmdir()
    shutil.rmtree(root)


def sweep() -> None:
    """Removes what killed runs left: their processes died with them, cgroups and folders remain."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if not Path(f"/proc/{root.name.removeprefix(f'{PREFIX}-')}").exists():
            remove_traces(root)


def _leftovers(root: Path) -> Iterator[str]:
    if root.exists():
        yield str(root)
    yield from (str(path) for path in _cgroup_folders(f"{root.name}-h*"))
    yield from (line for line in Path("/proc/mounts").read_text().splitlines() if f"{root}/" in line)


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log, for a failure's message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"({error})"
