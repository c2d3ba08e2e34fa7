"""docs/api.md is true: its programs run as they stand there, against a real controller and engine."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.real.cluster import CLI_TIMEOUT_S, Cluster
from tests.real.testbed import REPO

PAGE = (REPO / "docs/api.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(cluster: Cluster, program: str) -> str:
    here = program.replace("/run/bayplan/controller.sock", str(cluster.socket))
    assert here != program
    done = subprocess.run(
        [sys.executable, "-c", here], capture_output=True, text=True, timeout=CLI_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pages_programs_do_what_it_says(cluster: Cluster) -> None:
    deploy, update, watch, reflection, errors = PROGRAMS

    assert "revision 1" in run(cluster, deploy)
    cluster.wait_running("hello", 2)
    containers = cluster.containers()
    assert len(containers) == 2
    for container, host in containers.items():
        assert "GREETING=hello" in host.inspect(container)["Config"]["Env"]

    assert run(cluster, update) == "ROLLOUT_STATE_DONE 2/2 \n"
    cluster.wait_running("hello", 2)
    containers = cluster.containers()
    for container, host in containers.items():
        assert "GREETING=good day" in host.inspect(container)["Config"]["Env"]

    revision, addresses = run(cluster, watch).split(" ", 1)
    assert int(revision) > 0
    assert addresses.count("10.") == 2

    assert '"name": "hello"' in run(cluster, reflection)

    said = run(cluster, errors)
    assert "compose.yaml:3" in said
    assert "image" in said
    assert cluster.containers() == containers
