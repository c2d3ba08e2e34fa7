"""The clients on a host of the testbed, each an unmodified program with the configuration that its users
would write; and whom each of them sees.
"""

from __future__ import annotations

import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.clients import installed
from tests.real.cluster import BIN
from tests.real.host import Host
from tests.real.machine import Process, tail

HERE = Path(__file__).parent
CONFIG = HERE / "config"
#: As their configurations have them.
HAPROXY_PORT, ENVOY_PORT, PROMETHEUS_PORT = 9080, 9081, 9090


@dataclass(frozen=True)
class Instance:
    """Who may be seen: its id, `address:port`, and the name of its machine."""

    id: str
    address: str
    machine: str


class Sight(ABC):
    """A client, and whom it sees now: by that attribute of an Instance which `by` names."""

    service = "web"
    by = "address"

    def __init__(self, host: Host) -> None:
        self.host = host
        self.processes: list[Process] = []

    @abstractmethod
    def seen(self) -> set[str]: ...

    def start(self) -> None:  # noqa: B027 (who asks once has nothing to start)
        """Start what goes on until `stop`."""

    def failed(self) -> tuple[int, str]:
        """How many of its questions to the instances failed, and why the last one did."""
        return 0, ""

    def stop(self) -> None:
        for process in self.processes:
            process.kill()

    def said(self) -> str:
        """Its last words."""
        return "\n".join(tail(process.log, 5) for process in self.processes)

    def spawn(self, program: Path, *arguments: str, **env: str) -> Process:
        self.processes.append(self.host.spawn(str(program), *arguments, env=env))
        return self.processes[-1]

    def file(self, name: str, text: str) -> str:
        path = self.host.folder / name
        path.write_text(text)
        return str(path)


class Told:
    """The lines of JSON that a program prints, told from others' in the same log by their tag."""

    def __init__(self, process: Process, tag: str = "") -> None:
        self._log, self._tag = process.log, tag

    def last(self) -> Any:
        """The newest; None before the first."""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith(("{", "["))]
        mine = [line for line in lines if not self._tag or f'"tag": "{self._tag}"' in line]
        return json.loads(mine[-1]) if mine else None


class Dig(Sight):
    def seen(self) -> set[str]:
        ask = "@127.0.0.1", "-p", "8600", "+noall", "+answer", "+additional", "+tries=1", "+time=1"
        out = self.host.run(str(installed.debian("bind9-dnsutils")), *ask, "web.shop.bayplan", "SRV")
        rows = [line.split() for line in out.splitlines()]
        addresses = {row[0]: row[4] for row in rows if row[3:4] == ["A"]}
        return {f"{addresses[row[7]]}:{row[6]}" for row in rows if row[3:4] == ["SRV"]}


class Nslookup(Sight):
    """busybox: SRV first, and then each of its targets."""

    def seen(self) -> set[str]:
        services = re.findall(r"service = \d+ \d+ (\d+) (\S+)", self._ask("-type=srv", "web.shop.bayplan"))
        return {f"{self._address(target)}:{port}" for port, target in services}

    def _address(self, name: str) -> str:
        _, _, answer = self._ask(name).partition("Name:")
        return re.findall(r"Address: (\S+)", answer)[0]

    def _ask(self, *question: str) -> str:
        return self.host.run("busybox", "nslookup", *question, "127.0.0.1:8600", check=False)


class Curl(Sight):
    def seen(self) -> set[str]:
        out = self.host.run("curl", "--silent", "--max-time", "5", "http://127.0.0.1:7481/web.shop")
        return set(out.split()) if ":" in out.split(" ")[0] else set()


class Answering(Sight):
    """Who answers those who ask through the client, all the time."""

    by = "machine"
    tag = ""

    def ask(self, how: str, what: str, **env: str) -> None:
        process = self.spawn(
            Path(sys.executable),
            str(HERE / "answers.py"),
            self.tag,
            how,
            what,
            PYTHONPATH=str(HERE.parents[2]),
            **env,
        )
        self._told = Told(process, self.tag)

    def seen(self) -> set[str]:
        return set((self._told.last() or {"seen": ()})["seen"])

    def failed(self) -> tuple[int, str]:
        last = self._told.last() or {"failed": 0, "why": ""}
        return last["failed"], last["why"]


class Haproxy(Answering):
    tag = "haproxy"

    def start(self) -> None:
        self.spawn(installed.debian("haproxy"), "-db", "-f", str(CONFIG / "haproxy.cfg"))
        self.ask("http", f"127.0.0.1:{HAPROXY_PORT}")


class Envoy(Answering):
    tag = "envoy"

    def start(self) -> None:
        self.spawn(
            installed.envoy(),
            "--config-path",
            str(CONFIG / "envoy.yaml"),
            "--concurrency",
            "1",
            "--log-level",
            "warn",
            "--use-dynamic-base-id",
        )
        self.ask("http", f"127.0.0.1:{ENVOY_PORT}")


class Grpc(Answering):
    tag, service = "grpc", "rpc"

    def start(self) -> None:
        bootstrap = self.file("xds.json", self.host.run(str(BIN / "bayplan"), "registry", "xds-bootstrap"))
        self.ask("grpc", "xds:///shop/rpc", GRPC_XDS_BOOTSTRAP=bootstrap)


class Prometheus(Sight):
    def start(self) -> None:
        self.spawn(
            installed.debian("prometheus"),
            f"--config.file={CONFIG / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.host.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
        )

    def seen(self) -> set[str]:
        url = f"http://127.0.0.1:{PROMETHEUS_PORT}/api/v1/targets?state=active"
        out = self.host.run("curl", "--silent", "--max-time", "5", url, check=False)
        found = json.loads(out)["data"]["activeTargets"] if out.startswith("{") else ()
        return {each["labels"]["instance"] for each in found}


class PyConsul(Sight):
    by = "id"

    def start(self) -> None:
        script = str(HERE / "py_consul_watch.py")
        process = self.spawn(installed.python(installed.PY_CONSUL), script, "py-consul", "7481", "shop_web")
        self._told = Told(process, "py-consul")

    def seen(self) -> set[str]:
        return set((self._told.last() or {"seen": ()})["seen"])


class NpmConsul(Sight):
    by = "id"

    def start(self) -> None:
        folder = str(installed.node(installed.NPM_CONSUL))
        process = self.spawn(
            installed.node_program(), str(HERE / "consul_watch.js"), folder, "7481", "shop_web"
        )
        self._told = Told(process)

    def seen(self) -> set[str]:
        return set(self._told.last() or ())


CLIENTS: dict[str, type[Sight]] = {
    "curl": Curl,
    "dig": Dig,
    "busybox-nslookup": Nslookup,
    "haproxy": Haproxy,
    "prometheus": Prometheus,
    "py-consul": PyConsul,
    "npm-consul": NpmConsul,
    "grpc-xds": Grpc,
    "envoy": Envoy,
}


@contextmanager
def running(host: Host, names: list[str]) -> Iterator[dict[str, Sight]]:
    """These clients on a host, until the end."""
    sights = {name: CLIENTS[name](host) for name in names}
    try:
        for sight in sights.values():
            sight.start()
        yield sights
    finally:
        for sight in sights.values():
            sight.stop()
