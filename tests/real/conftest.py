"""Fixtures of the tests on real engines: one testbed for all, one fresh cluster for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator

import pytest

from tests.real.cluster import Cluster
from tests.real.machine import tail
from tests.real.testbed import Testbed


def _missing() -> str:
    if os.geteuid() != 0:
        return "not root"
    tools = ("dockerd", "docker", "busybox", "ip", "nsenter", "unshare", "setpriv", "curl", "ebtables")
    return " ".join(tool for tool in tools if shutil.which(tool) is None)


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """Three hosts. What is missing is a failure: a skipped test proves nothing."""
    if missing := _missing():
        pytest.fail(f"the testbed needs root and these tools (scripts/engine.sh install): {missing}")
    with Testbed(hosts=3) as bed:
        yield bed


@pytest.fixture
def cluster(testbed: Testbed) -> Iterator[Cluster]:
    cluster = Cluster(testbed)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def _shared_cluster(testbed: Testbed, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = Cluster(testbed, heartbeat=getattr(request.module, "HEARTBEAT", ""))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def fleet(_shared_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that the tests of a module share; each finds it empty and whole.

    It beats as the module's HEARTBEAT says, else as by default.
    """
    try:
        yield _shared_cluster
    finally:
        _shared_cluster.restore()


@pytest.fixture(autouse=True)
def _fresh_logs(testbed: Testbed) -> None:
    """What a failure shows is of its own test."""
    for log in testbed.logs():
        log.write_bytes(b"")  # programs that still run append to it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the daemons' last words beside a failure."""
    report = yield
    bed = getattr(item, "funcargs", {}).get("testbed")
    if report.failed and isinstance(bed, Testbed):
        for log in bed.logs():
            report.sections.append((f"{log.parent.name} {log.stem}", tail(log)))
    return report
