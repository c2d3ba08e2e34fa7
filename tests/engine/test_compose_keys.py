"""Each compose key that is honoured, on a real engine: what a container shows, not what was asked for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import pytest

from agent.events import FaultKind
from agent.labels import LABEL_NODE, container_name
from agent.runtime.base import EngineError
from agent.runtime.docker import DockerEngine
from bayplan.compose.fields import Support
from bayplan.compose.schema import TABLES
from tests.engine import compose_cases, compose_places
from tests.engine.compose_cases import UNSEEN
from tests.engine.compose_elsewhere import ELSEWHERE
from tests.engine.compose_world import NODE, SLEEP, TASK_ID, Case, Look, Seen, container_spec, start
from tests.real.testbed import REPO, Host, TestbedError

BARE = Case(
    "bare",
    f"""
    services: {{web: {{image: "bayplan/demo:1", command: {SLEEP}}}}}
    """,
    {},
)
PRIVILEGED = Case(
    "privileged",
    f"""
    services: {{web: {{image: "bayplan/demo:1", command: {SLEEP}, privileged: true}}}}
    """,
    {},
)
CPU_CGROUPS = Path("/sys/fs/cgroup/cpu")
pytestmark = pytest.mark.skipif(not CPU_CGROUPS.is_dir(), reason="looks into cgroups of version 1")
CASES = (*compose_cases.CASES, *compose_places.CASES)


@pytest.fixture(scope="module")
def environment(host: Host) -> Iterator[dict[str, str]]:
    """A folder of the host to bind, on a shared mount, and what is external to the stack."""
    binds = host.folder / "binds"
    binds.mkdir()
    host.run("mount", "--bind", str(binds), str(binds))
    host.run("mount", "--make-shared", str(binds))
    # A share of real-time CPU, of which cgroups have none to begin with.
    share = CPU_CGROUPS / host.cgroup
    share.mkdir(exist_ok=True)
    (share / "cpu.rt_runtime_us").write_text("100000")
    host.docker("volume", "create", "outer-volume")
    host.docker("network", "create", "outer-network")
    yield {"BINDS": str(binds), "CGROUP": f"{host.cgroup}-keys"}
    host.docker("network", "rm", "outer-network")
    host.docker("volume", "rm", "outer-volume")
    host.run("umount", str(binds))


@pytest.fixture
async def engine(host: Host) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(str(host.docker_socket), NODE, "0") as engine:
        yield engine
        for container in await engine.list_ids():
            await engine.remove(container)
        for network in await engine.list_networks():
            await engine.remove_network(network)
        volumes = host.docker("volume", "ls", "-q", "--filter", f"label={LABEL_NODE}={NODE.node_id}")
        if volumes:
            host.docker("volume", "rm", *volumes.split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_container_shows_each_key_of_its_file(
    case: Case, engine: DockerEngine, host: Host, environment: dict[str, str]
) -> None:
    spec = container_spec(case, environment)
    if case.refusal:
        with pytest.raises(EngineError, match=re.escape(case.refusal)) as refused:
            await start(engine, host, spec)
        assert refused.value.fault.kind is FaultKind.REFUSED
    else:
        await start(engine, host, spec)
    seen = Seen(host, container_name(TASK_ID))
    wrong = []
    for key, (look, expected) in case.proofs.items():
        found = _found(look, seen)
        if found != expected:
            wrong.append(f"{key}: {found!r} instead of {expected!r}")
    assert not wrong, "\n".join(wrong)


async def test_a_container_without_the_keys_shows_none_of_it(
    engine: DockerEngine, host: Host, environment: dict[str, str]
) -> None:
    seen = await start(engine, host, container_spec(BARE, environment))
    shown = {
        key
        for case in CASES
        if not case.refusal
        for key, (look, expected) in case.proofs.items()
        if _found(look, seen) == expected
    }
    assert shown == {"services.*.image", "(no pids_limit)"}


def _found(look: Look, seen: Seen) -> object:
    """What a look shows; the error of one that cannot be had."""
    try:
        found = look(seen)
    except (TestbedError, KeyError, IndexError, TypeError) as error:
        return error
    return found.strip() if isinstance(found, str) else found


async def test_a_privileged_container_gets_every_capability_or_none_is_started(
    engine: DockerEngine, host: Host, environment: dict[str, str]
) -> None:
    privileged = container_spec(PRIVILEGED, environment)
    mine = int(host.run("sh", "-c", "grep CapBnd /proc/self/status").split()[1], 16)
    last = int(host.run("cat", "/proc/sys/kernel/cap_last_cap"))
    if mine == (1 << last + 1) - 1:
        seen = await start(engine, host, privileged)
        assert int(seen.inside("grep CapEff /proc/1/status | cut -f2"), 16) == mine
    else:  # this machine's own root lacks some
        with pytest.raises(EngineError, match="unable to apply caps"):
            await start(engine, host, privileged)


def test_each_key_that_is_honoured_is_shown_here_or_named_with_the_reason() -> None:
    shown = {key for case in CASES for key in case.proofs} | {"services.*.privileged"}
    honoured = {
        f"{path}.{name}".removeprefix(".")
        for path, keys in TABLES.items()
        for name, key in keys.items()
        if key.support in (Support.YES, Support.MAPPED)
    }
    named = shown | UNSEEN.keys.keys() | ELSEWHERE.keys()
    assert sorted(key for key in honoured if not _covered(key, named)) == []
    assert sorted(key for key in ELSEWHERE if not _covered(key, honoured)) == []
    assert [place for place in ELSEWHERE.values() if not (REPO / place).exists()] == []


def _covered(key: str, named: Collection[str]) -> bool:
    """A key is named itself, by the mapping that it is in, or by what is in it."""
    return any(
        key == each or key.startswith((f"{each}.", f"{each}[")) or each.startswith((f"{key}.", f"{key}["))
        for each in named
    )
