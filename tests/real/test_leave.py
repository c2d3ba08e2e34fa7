"""A node leaves: all that its agent has made is gone, and nothing else."""

from __future__ import annotations

from tests.real.cluster import BIN, Cluster
from tests.real.host import Host

STACK = """\
services:
  web:
    image: bayplan/demo:1
    command: [serve, web]
    init: true
    ports: ["8080:80"]
    volumes: ["data:/data"]
    secrets: [key]
    deploy: {mode: global}
volumes: {data: {}}
secrets: {key: {file: ./key}}
"""
#: Links, packet filters, containers, networks and files, by name.
LISTINGS = (
    "ip -br link | grep -v ^veth | cut -d' ' -f1",
    "ip -br -4 addr | grep -v ^veth",
    "nft list tables",
    "bridge fdb show | grep dst; true",
    "find /run/bayplan-agent -mindepth 1 -maxdepth 1",
)


def listings(host: Host) -> dict[str, set[str]]:
    found = {each: set(host.run("sh", "-c", each).splitlines()) for each in LISTINGS}
    folders = {str(path.relative_to(host.folder)) for path in host.folder.glob("agent*/**")}
    return found | {"docker": {*host.containers(), *host.networks()}, "files": folders}


def leave(cluster: Cluster, host: Host) -> str:
    return host.run(
        str(BIN / "bayplan-agent"), "leave", "--yes",
        "--data-dir", str(host.folder / "agent"), "--docker-socket", str(host.docker_socket),
        check=False,
    )  # fmt: skip


def test_a_node_that_leaves_is_as_it_was(cluster: Cluster) -> None:
    host = cluster.hosts[0]
    host.run("sh", "-c", "ip link add bx-mine type bridge; nft add table inet mine")
    theirs = host.docker("run", "--detach", "--init", "bayplan/demo:1", "sleep", "infinity")
    network = host.docker("network", "create", "theirs")
    (cluster.bed.root / "key").write_text("secret")
    cluster.deploy("shop", STACK)
    cluster.wait_running("shop", len(cluster.hosts))
    before = listings(host)
    with cluster.client() as client:
        (mine,) = (f"/run/bayplan-agent/{node.id}" for node in client.nodes() if node.name == host.name)
    assert "bp-ba0001" in before[LISTINGS[0]] and mine in before[LISTINGS[4]]
    leave(cluster, host)
    assert host.containers(running=True) != [theirs], "an agent that runs would make all of it again"
    cluster.agents[host.name].kill()
    leave(cluster, host)
    left = listings(host)
    host.docker("rm", "--force", theirs)
    host.docker("network", "rm", "theirs")
    host.run("sh", "-c", "ip link del bx-mine; nft delete table inet mine")
    assert left["docker"] == {theirs, "theirs"}, network
    assert not {name for name in left[LISTINGS[0]] if name.startswith(("bp-", "bx-"))} - {"bx-mine"}
    assert "bx-mine" in left[LISTINGS[0]]
    assert {line for line in left[LISTINGS[2]] if "bayplan" in line} == set()
    assert "table inet mine" in left[LISTINGS[2]]
    assert left[LISTINGS[3]] == set()
    assert "10.64." not in str(left[LISTINGS[1]])
    assert left[LISTINGS[4]] == before[LISTINGS[4]] - {mine}
    assert left["files"] == set()
    assert host.docker("volume", "ls", "--quiet") == "shop_data", "volumes hold users' data"
