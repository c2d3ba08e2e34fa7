"""How long from submitting a stack until all of its containers run, beside the engines' own speed.

Both sides start the same containers on the same engines in the same run: the raw side creates and
starts them straight through the engine API, at the concurrency that was best here. Both include
making the stack's network. The end is the engine's own word: the latest StartedAt.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiodocker
import aiohttp

from bench.common import Options, options, progress, publish
from tests.real.cluster import Cluster
from tests.real.stacks import sleepers
from tests.real.testbed import Host, Testbed

#: Docker Swarm against its raw engine by number of containers, quiet machine; shown beside ours.
SWARM_RATIO = {10: 1.26, 50: 1.25, 100: 1.17}
STACK = "bench"
_rounds = itertools.count(1)
NETWORK = f"{STACK}_default"
#: One call of the engine; it starts some eight containers a second here.
ENGINE_DEADLINE_S = 120.0


@dataclass(frozen=True)
class Plan:
    """What is measured: numbers of containers, numbers of engines, rounds of each.

    `concurrencies`: starts in flight per engine that the raw side tries before it takes the best.
    """

    counts: tuple[int, ...]
    engines: tuple[int, ...]
    rounds: int
    concurrencies: tuple[int, ...]


FULL = Plan(counts=(10, 50, 100), engines=(1, 3), rounds=3, concurrencies=(2, 4, 8))
QUICK = Plan(counts=(10,), engines=(1,), rounds=2, concurrencies=(4,))


def started_at(inspected: dict[str, Any]) -> float:
    """Unix seconds of the container's start, as the engine noted it."""
    stamp = inspected["State"]["StartedAt"].removesuffix("Z")
    whole, _, fraction = stamp.partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")


def last_start(hosts: Iterable[Host]) -> float:
    return max(started_at(host.inspect(found)) for host in hosts for found in host.containers())


def measure_ours(cluster: Cluster, hosts: Sequence[Host], count: int) -> tuple[float, float]:
    """Seconds until the last container ran, and until the command said so."""
    began, clock = time.time(), time.monotonic()
    cluster.deploy(STACK, sleepers(count))
    told = time.monotonic() - clock
    running = sum(len(host.containers(running=True)) for host in hosts)
    assert running == count, f"{running} of {count} containers run"
    return last_start(hosts) - began, told


def template(host: Host) -> dict[str, Any]:
    """The body with which a container of ours was created, for the raw side to use."""
    found = host.inspect(host.containers()[0])
    config: dict[str, Any] = dict(found["Config"])
    config.pop("Hostname")
    config["HostConfig"] = found["HostConfig"]
    endpoint = found["NetworkSettings"]["Networks"][NETWORK]
    config["NetworkingConfig"] = {"EndpointsConfig": {NETWORK: {"Aliases": endpoint["Aliases"][:1]}}}
    return config


def on_network(body: dict[str, Any], network: str) -> dict[str, Any]:
    """The same container on another network."""
    (endpoint,) = body["NetworkingConfig"]["EndpointsConfig"].values()
    return body | {
        "HostConfig": body["HostConfig"] | {"NetworkMode": network},
        "NetworkingConfig": {"EndpointsConfig": {network: endpoint}},
    }


async def _start_on(host: Host, count: int, template: dict[str, Any], concurrency: int) -> None:
    # A network of its own each time: Docker 20.10 does not always let go of one that held many containers.
    network = f"raw-{next(_rounds)}"
    body = on_network(template, network)
    connector = aiohttp.UnixConnector(str(host.docker_socket), limit=0)
    timeout = aiohttp.ClientTimeout(total=ENGINE_DEADLINE_S)
    session = aiohttp.ClientSession(connector=connector, timeout=timeout)
    docker = aiodocker.Docker(url="unix://localhost", connector=connector, session=session)
    turn = asyncio.Semaphore(concurrency)

    async def start(number: int) -> None:
        async with turn:
            container = await docker.containers.create(body, name=f"raw-{number}")
            await container.start()

    try:
        await docker.networks.create({"Name": network, "Driver": "bridge"})
        await asyncio.gather(*(start(number) for number in range(count)))
    finally:
        await docker.close()
        await session.close()


def measure_raw(hosts: Sequence[Host], count: int, body: dict[str, Any], concurrency: int) -> float:
    """Seconds until the last container ran, spread evenly over the hosts."""
    shares = [0] * len(hosts)
    for index in itertools.islice(itertools.cycle(range(len(hosts))), count):
        shares[index] += 1

    async def all_hosts() -> None:
        pairs = zip(hosts, shares, strict=True)
        await asyncio.gather(*(_start_on(host, share, body, concurrency) for host, share in pairs))

    began = time.time()
    asyncio.run(all_hosts())
    return last_start(hosts) - began


def clear(hosts: Iterable[Host]) -> None:
    """Takes the raw side's containers away, and its network if the engine lets it go."""
    for host in hosts:
        host.docker("rm", "--force", *host.containers())
        host.docker("network", "rm", *host.networks(), check=False)


def best_concurrency(
    hosts: Sequence[Host], count: int, body: dict[str, Any], concurrencies: tuple[int, ...]
) -> int:
    def seconds(concurrency: int) -> float:
        took = measure_raw(hosts, count, body, concurrency)
        clear(hosts)
        return took

    return concurrencies[0] if len(concurrencies) == 1 else min(concurrencies, key=seconds)


def measure(bed: Testbed, plan: Plan) -> list[dict[str, Any]]:
    cluster, hosts = Cluster(bed), bed.hosts
    cluster.start()
    try:
        cluster.deploy(STACK, sleepers(len(hosts)))
        body = template(hosts[0])
        cluster.remove(STACK)
        middle = plan.counts[len(plan.counts) // 2]
        concurrency = best_concurrency(hosts, middle, body, plan.concurrencies)
        progress(f"{len(hosts)} engines: the raw side has {concurrency} starts in flight on each")
        return [row(cluster, hosts, count, body, concurrency, plan.rounds) for count in plan.counts]
    finally:
        cluster.stop()


def row(
    cluster: Cluster, hosts: Sequence[Host], count: int, body: dict[str, Any], concurrency: int, rounds: int
) -> dict[str, Any]:
    """Both sides in turns, so that a noisy neighbour hits both; medians."""
    raw, ours, told = [], [], []
    for _ in range(rounds):
        raw.append(measure_raw(hosts, count, body, concurrency))
        clear(hosts)
        until_running, until_told = measure_ours(cluster, hosts, count)
        ours.append(until_running)
        told.append(until_told)
        cluster.remove(STACK)
    progress(f"{len(hosts)} engines, {count} containers: raw {raw}, bayplan {ours}")
    return {
        "engines": len(hosts),
        "containers": count,
        "raw s": statistics.median(raw),
        "bayplan s": statistics.median(ours),
        "command returned s": statistics.median(told),
        "ratio": statistics.median(ours) / statistics.median(raw),
        "Swarm's ratio": SWARM_RATIO[count],
    }


def main(wanted: Options) -> None:
    plan = QUICK if wanted.quick else FULL
    rows: list[dict[str, Any]] = []
    for engines in plan.engines:
        with Testbed(hosts=engines) as bed:
            rows += measure(bed, plan)
    publish("deploy", rows, wanted)


if __name__ == "__main__":
    try:
        main(options("Time from submit to all running, beside the raw engine."))
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"error: {error}") from None
