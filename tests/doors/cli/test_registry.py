"""`registry watch|health|register|deregister|override|xds-bootstrap`."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Health, Instance
from bayplan.v1 import registry_pb2
from tests.doors.cli.canned_controller import World
from tests.doors.cli.cli_world import Cli, environment

WEB = Instance(
    id="a", address="10.0.0.1", port=80, node="h1", health=Health.HEALTHY, ready=True, slot=1, version=1
)
API = Instance(
    id="b", address="fd00::2", port=81, node="h2", health=Health.UNHEALTHY, ready=False, slot=1, version=1,
    reason="its health check fails",
)  # fmt: skip


@contextmanager
def started(cli: Cli, folder: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A command that goes on, and what gives its next line."""
    program = subprocess.Popen(
        cli.program(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env=environment(PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    with program:
        assert program.stdout is not None
        yield program, program.stdout.readline
        program.kill()


def test_watch_shows_who_comes_and_who_goes(world: World, cli: Cli, tmp_path: Path) -> None:
    world.instances["shop", "web"] = (WEB,)
    with started(cli, tmp_path, "registry", "watch", "shop/web") as (program, line):
        assert line().endswith(" shop/web revision 2: 1 ready\n")
        assert line() == "  + a 10.0.0.1:80 on h1\n"
        world.instances["shop", "web"] = ()
        world.changed()
        assert line().endswith(" shop/web revision 3: 0 ready\n")
        assert line() == "  - a 10.0.0.1:80 on h1\n"
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 130


def test_watch_prints_views_as_json(world: World, cli: Cli, tmp_path: Path) -> None:
    world.instances["shop", "web"] = (WEB,)
    with started(cli, tmp_path, "registry", "watch", "--json", "shop/web") as (_, line):
        view = json.loads(line())
    assert (view["revision"], view["instances"][0]["address"]) == (2, "10.0.0.1")


def test_watch_tells_which_nodes_fall_behind_and_when_they_have_caught_up(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    world.instances["shop", "web"] = (WEB,)
    world.copies = {"n1": 7, "n2": 5, "": 1}
    with started(cli, tmp_path, "registry", "watch", "shop/web") as (_, line):
        line(), line()
        assert line().endswith(" the copy on n2 is 2 changes behind\n")
        world.copies["n2"] = 7
        assert line().endswith(" the copy on n2 is up to date again\n")
    world.copies["n2"] = 6
    with started(cli, tmp_path, "registry", "watch", "--json", "shop/web") as (_, line):
        line()
        assert json.loads(line()) == {"copies": {"nodes": ["n2"], "behind": 1}}


def test_health_shows_all_and_exits_with_one_when_an_instance_is_not_ready(world: World, cli: Cli) -> None:
    world.instances["shop", "web"] = (WEB,)
    answer = cli("registry", "health", "--format", "{{.Service}} {{.Health}}")
    assert (answer.code, answer.out) == (0, "shop/web healthy\n")
    world.instances["shop", "api"] = (API,)
    answer = cli("registry", "health", "--format", "{{.Service}} {{.Health}} {{.Reason}}")
    assert answer.code == 1
    assert answer.out == "shop/web healthy \nshop/api unhealthy its health check fails\n"
    assert cli("registry", "health", "shop/web", "-q").out == "a\n"


def test_register_says_what_is_meant(world: World, cli: Cli) -> None:
    given = ("--tag", "primary", "--meta", "rack=b", "--weight", "0", "--ttl", "10s", "--node", "old")
    answer = cli("registry", "register", "legacy/db", "--address", "[fd00::9]:5432", *given)
    assert (answer.code, answer.out) == (0, "legacy/db [fd00::9]:5432\n")
    assert "it is gone in 10 s" in answer.err
    (asked,) = world.asked
    assert asked.registration == registry_pb2.Registration(
        id="[fd00::9]:5432", service="db", stack="legacy", node="old", address="fd00::9", port=5432, weight=0,
        tags=["primary"], meta={"rack": "b"}, ttl_ms=10_000, standing=registry_pb2.STANDING_READY,
    )  # fmt: skip


def test_an_instance_without_a_stack_is_nobodys(world: World, cli: Cli) -> None:
    assert cli("registry", "register", "db", "--address", "10.0.0.9", "--id", "one").code == 0
    assert cli("registry", "deregister", "db", "one").code == 0
    registered, deregistered = world.asked
    assert (registered.registration.stack, registered.registration.port) == ("external", 0)
    assert (deregistered.stack, deregistered.service, deregistered.id) == ("external", "db", "one")


def test_a_lease_that_is_kept_is_renewed_and_ends_with_the_command(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    command = ("registry", "register", "--keep", "--ttl", "1s", "db", "--address", "10.0.0.9")
    with started(cli, tmp_path, *command) as (program, line):
        assert line() == "external/db 10.0.0.9\n"
        while len(world.asked) < 3:
            assert program.poll() is None
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 0
    kinds = [type(each).__name__ for each in world.asked]
    assert kinds[0] == "RegisterRequest" and kinds[-1] == "DeregisterRequest"
    assert set(kinds[1:-1]) == {"RegistryServiceRenewRequest"}


def test_what_cannot_be_registered_is_refused_with_the_reason(world: World, cli: Cli) -> None:
    answer = cli("registry", "register", "db", "--address", "10.0.0.9:http")
    assert (answer.code, world.asked) == (125, [])
    assert "'http' is no port" in answer.err
    world.refusal = Problem(kind=ProblemKind.REFUSED, summary="shop is deployed", hint="choose another stack")
    answer = cli("registry", "register", "shop/web", "--address", "10.0.0.9")
    assert answer.code == 1
    assert "shop is deployed" in answer.err


def test_an_override_says_only_what_was_given(world: World, cli: Cli) -> None:
    assert cli("registry", "override", "--drain", "shop/web", "a").code == 0
    assert cli("registry", "override", "--weight", "5", "shop/web", "a").code == 0
    assert cli("registry", "override", "--clear", "shop/web", "a").code == 0
    drained, weighed, cleared = world.asked
    assert drained.drain and not drained.HasField("weight")
    assert weighed.weight == 5 and not weighed.HasField("drain")
    assert cleared.clear
    assert cli("registry", "override", "shop/web", "a").code == 125
    assert cli("registry", "override", "--clear", "--drain", "shop/web", "a").code == 125


def test_the_xds_bootstrap_names_the_agents_server(cli: Cli) -> None:
    made = json.loads(cli("registry", "xds-bootstrap", "--node", "h1", "--zone", "a").out)
    assert made["xds_servers"][0]["server_uri"] == "127.0.0.1:7482"
    assert made["node"] == {"id": "h1", "locality": {"zone": "a"}}
