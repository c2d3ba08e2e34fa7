"""The hosts of the testbed, machines with an engine each, and the switch that joins them and cuts them off.

The switch is a bridge with a port for each host. Knows nothing of bayplan.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.real.machine import (
    COMMAND_TIMEOUT_S,
    Machine,
    Process,
    TestbedError,
    children,
    tail,
    wait_until,
)

#: What runs on the switch (the controller, an operator's shell) has this address; host n is NETWORK.(10+n).
NETWORK = "10.204.0"
SWITCH_ADDRESS = f"{NETWORK}.1"

#: Until an engine answers; the first start unpacks nothing, but shares two cores with its neighbours.
ENGINE_TIMEOUT_S = 60.0


def mac(number: int) -> str:
    """The card that goes with address `number` of the network.

    A machine keeps its card over a reboot. With one drawn anew each time (and a bridge takes the lowest of
    its ports'), its neighbours would talk to the old one for the 5 to 8 s that ARP trusts what it knows.
    """
    return f"02:ba:10:00:00:{number:02x}"


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

    def deafen(self, host: Host) -> None:
        """Nothing reaches the host any more; what it says is still heard."""
        self._filter("-A", "-o", host, ("FORWARD", "OUTPUT"))

    def mute(self, host: Host) -> None:
        """Nothing that the host says is heard any more; it still hears."""
        self._filter("-A", "-i", host, ("FORWARD", "INPUT"))

    def unfilter(self, host: Host) -> None:
        """Undoes both."""
        self._filter("-D", "-o", host, ("FORWARD", "OUTPUT"))
        self._filter("-D", "-i", host, ("FORWARD", "INPUT"))

    def _filter(self, verb: str, way: str, host: Host, chains: tuple[str, ...]) -> None:
        for chain in chains:
            self.run("ebtables", verb, chain, way, host.port, "-j", "DROP", check=verb == "-A")

    def forget(self, host: Host) -> None:
        """Removes the port of a dead host (the kernel does the same, a little later)."""
        self.run("ip", "link", "del", host.port, check=False)


class Host(Machine):
    """A machine with an address on the switch and an engine."""

    def __init__(self, root: Path, switch: Switch, number: int, live_restore: bool = True) -> None:
        super().__init__(root, f"h{number}")
        self.number = number
        self.address = f"{NETWORK}.{10 + number}"
        self.port = f"p{number}"
        self.docker_socket = self.folder / "docker.sock"
        self.cgroup = f"{root.name}-h{number}"
        self._switch = switch
        self._live_restore = live_restore
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

    def crash(self) -> None:
        super().crash()
        self._engine = None
        self.docker_socket.unlink(missing_ok=True)

    def reboot(self) -> None:
        """Power off and on again; the engine comes up, and with it what restarts by itself."""
        self.power_off()
        self.power_on()
        self.start_engine()

    def cut(self) -> None:
        self._switch.unplug(self)

    def cut_inbound(self) -> None:
        """One way: the host hears nothing, and is heard."""
        self._switch.deafen(self)

    def cut_outbound(self) -> None:
        """One way: the host hears all, and is not heard."""
        self._switch.mute(self)

    def heal(self) -> None:
        self._switch.unfilter(self)
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
            *(["--live-restore"] if self._live_restore else []),
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
        containerd = children(self._engine.pid)
        self._engine.kill()
        for pid in containerd:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Their stale pid files would name living strangers.
        self.run("sh", "-c", "rm -f /run/docker.pid /run/docker/containerd/containerd.pid")

    @property
    def engine_alive(self) -> bool:
        return self._engine is not None and self._engine.alive

    def freeze_engine(self) -> None:
        """The engine hangs: its socket takes calls and answers none; containers run on."""
        assert self._engine is not None
        self._engine.signal(signal.SIGSTOP)

    def thaw_engine(self) -> None:
        assert self._engine is not None
        self._engine.resume()

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
