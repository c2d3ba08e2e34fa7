"""What people get wrong about placement, as they see it: the cause, the place, the way out, the exit code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors.cli.cli_world import Cli
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node

USAGE, UNPLACEABLE, REFUSED = 125, 5, 1
FORM = "services:\n  web:\n    image: app:1\n"
CONSTRAINT = "    deploy: {placement: {constraints: ['%s']}}\n"
RESERVED = "    deploy: {resources: {reservations: {%s}}}\n"
GOODS = "generic_resources: [{discrete_resource_spec: {kind: %s, value: %d}}]"
WISHES = "    x-bayplan: {%s}\n"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    """With one node of 4 CPUs and 8 GiB, which answers what it is asked."""
    folder = tmp_path_factory.mktemp("refusals")
    process = ControllerProcess(folder)
    process.start()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    node = asyncio.run_coroutine_threadsafe(process.node(folder, "n1"), loop).result(STEP_S_MAX)
    hearing = asyncio.run_coroutine_threadsafe(_hear(node), loop)
    yield process
    hearing.cancel()
    asyncio.run_coroutine_threadsafe(node.close(), loop).result(STEP_S_MAX)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    process.stop()


async def _hear(node: Node) -> None:
    while True:
        await node.hear_assignments()


@pytest.fixture
def cli(
    controller: ControllerProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    return Cli(controller.socket, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (CONSTRAINT % "node.label.zone == a", USAGE, ("c.yml:4: ", "hint: did you mean node.labels.zone?")),
        (
            CONSTRAINT % "node.labels.zon == a",
            UNPLACEABLE,
            (
                "c.yml:4: bad_web.1 cannot be placed",
                "needs node.labels.zon == a",
                "1 node: 1 excluded by a constraint",
                "no node has the label zon",
                "hint: nothing was changed; ask for what a node has, or label one: `bayplan node update",
            ),
        ),
        (RESERVED % "cpus: .nan", USAGE, ("c.yml:4: ", "'.nan' is not a number of CPUs: write it like")),
        (RESERVED % "memory: 1000000000000g", USAGE, ("c.yml:4: ", "is too large for a size: at most")),
        (
            RESERVED % "cpus: '100'",
            UNPLACEABLE,
            (
                "c.yml:4: bad_web.1 cannot be placed",
                "1 node: 1 short of CPU",
                "nearest: n1 has 4 CPU free (96 CPU short), 8 GiB free",
                "no node has 100 CPU in all: the most has n1, 4 CPU",
                "hint: nothing was changed; ask for less, or add a node (`bayplan join-token`)",
            ),
        ),
        (
            RESERVED % (GOODS % ("gpu", 1)),
            UNPLACEABLE,
            ("c.yml:4: ", "needs 1 gpu", "no node has any of it: 1 gpu"),
        ),
        ("    deploy: {replicas: 1000000000000}\n", USAGE, ("c.yml:4: ", "a whole number from 0 to 10000")),
        (
            f"    labels: {{a: {'x' * 20_000}}}\n",
            USAGE,
            ("service 'web': label 'a' has a value of 20000 letters; at most 16384",),
        ),
        (
            "    platform: linux/arm64\n" + CONSTRAINT % "node.hostname == n2",
            UNPLACEABLE,
            ("c.yml:5: bad_web.1 cannot be placed", "needs node.hostname == n2"),
        ),
        (
            WISHES % "anti_affinity: {service: web, required: true}" + "    deploy: {replicas: 2}\n",
            UNPLACEABLE,
            ("c.yml:4: bad_web.2 cannot be placed", "needs to be away from web", "leave `required` away"),
        ),
        (
            "    deploy: {replicas: 2}\n    ports: [{target: 80, published: 8080, mode: host}]\n",
            UNPLACEABLE,
            ("c.yml:5: bad_web.2 cannot be placed", "needs port 8080/tcp", "publish another port"),
        ),
    ],
)  # fmt: skip
def test_a_deploy_that_cannot_be_says_why_where_and_what_to_do(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, code: int, said: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yml").write_text(FORM + body)
    for command in (["deploy", "-d"], ["plan"]):
        answer = cli("stack", *command, "-c", "c.yml", "bad")
        told = answer.out + answer.err
        assert (answer.code, [text for text in said if text not in told]) == (code, []), told
    assert cli("service", "ls", "-q").out == ""


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        ("--constraint node.label.zone==a", USAGE, "did you mean node.labels.zone?"),
        ("--constraint node.labels.zon==a", UNPLACEABLE, "no node has the label zon"),
        ("--reserve-cpu 100", UNPLACEABLE, "no node has 100 CPU in all: the most has n1, 4 CPU"),
        ("--reserve-disk 10T", UNPLACEABLE, "1 node: 1 short of disk"),
        ("--affinity service=wep,required", REFUSED, "bad_web has to be near 'wep', which is not there"),
        ("--replicas 1000000000000", USAGE, "'1000000000000' is not a whole number from 0 to 10000"),
        ("--priority 101", USAGE, "--priority: '101' is not a whole number from 0 to 100"),
        ("--limit-memory NaN", USAGE, "--limit-memory: 'NaN' is not a size: write it like 512MiB"),
        (f"--label {'x' * 300}=1", USAGE, "service 'web' has a label whose name has 300 letters; 1 to 255"),
    ],
)  # fmt: skip
def test_a_service_that_cannot_be_made_says_so(cli: Cli, flags: str, code: int, said: str) -> None:
    answer = cli("service", "create", "-d", "--name", "bad_web", *flags.split(), "app:1")
    assert answer.code == code
    assert said in answer.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--cpus -1", "'-1' is not a number of CPUs"),
        ("--cpus nan", "'nan' is not a number of CPUs"),
        ("--memory 1000000000000g", "is too large for a size"),
        ("--tasks 1000000000000", "is not in the range"),
        ("--pids 99999999999999999999", "is not in the range"),
    ],
)
def test_a_quota_that_is_no_amount_is_refused(cli: Cli, flags: str, said: str) -> None:
    answer = cli("stack", "quota", "set", *flags.split(), "shop")
    assert answer.code == USAGE
    assert said in answer.err
    assert "hint: bayplan stack quota set --help" in answer.err
    assert cli("stack", "quota", "ls", "-q").out == ""


def test_too_many_labels_of_a_node_are_refused(cli: Cli) -> None:
    many = [word for number in range(101) for word in ("--label-add", f"l{number}=x")]
    answer = cli("node", "update", *many, "n1")
    assert answer.code == USAGE
    assert "101 labels; a node has at most 100" in answer.err
