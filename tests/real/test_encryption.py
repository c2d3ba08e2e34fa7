"""Encrypted networks over three hosts: what an eavesdropper on the cable reads, and what new keys cost."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial

from tests.real.boxes import WHO_PATH, Box, boxes, failures, visits
from tests.real.cluster import Cluster
from tests.real.machine import wait_until
from tests.real.test_networks import SHOP

LISTEN_S = 2
HEARD_TIMEOUT_S = 15.0
#: Older than any pair of keys is used.
LONG_AGO_S = 30 * 24 * 3600


def shop(*, encrypted: bool) -> str:
    return f"{SHOP}networks: {{default: {{x-bayplan: {{encrypted: {str(encrypted).lower()}}}}}}}\n"


def far_from(client: Box, fleet: Cluster) -> str:
    """The own address of a web server on another host."""
    web = next(box for box in boxes(fleet, "shop", "web") if box.host is not client.host)
    (address,) = web.own_addresses().values()
    return address


def overheard(client: Box, address: str) -> dict[str, int]:
    """How many frames leave and enter the client's host while it calls an address, and how many of them tell
    of what it asks."""
    tap = client.host.spawn(sys.executable, "-m", "tests.real.overhear", "eth0", str(LISTEN_S), WHO_PATH)
    until = time.monotonic() + LISTEN_S
    while time.monotonic() < until:
        assert not failures(visits(client, address, 80, 5))
    tap.wait()
    found: dict[str, int] = json.loads(tap.log.read_text().splitlines()[-1])
    return found


def all_answer(client: Box, address: str) -> bool:
    """Whether ten calls, one after the other, are all answered."""
    return not failures(visits(client, address, 80, 10))


def test_who_listens_on_the_cable_reads_nothing_of_an_encrypted_network(fleet: Cluster) -> None:
    fleet.deploy("shop", shop(encrypted=False))
    client = boxes(fleet, "shop", "client")[0]
    assert overheard(client, far_from(client, fleet))["found"], "else this test shows nothing"
    fleet.remove("shop")
    fleet.deploy("shop", shop(encrypted=True))
    for client in boxes(fleet, "shop", "client"):
        (virtual,) = client.addresses("web")
        # a task is not held until all peers have its node's key: the first calls may come before them
        wait_until("the tunnels are there", partial(all_answer, client, virtual), HEARD_TIMEOUT_S, 0.1)
        assert not failures(visits(client, virtual, 80, 30))
    client = boxes(fleet, "shop", "client")[0]
    seen = overheard(client, far_from(client, fleet))
    assert seen["frames"] and not seen["found"]


def test_nothing_leaves_in_plaintext_where_the_tunnel_is_missing_and_it_comes_back(fleet: Cluster) -> None:
    fleet.deploy("shop", shop(encrypted=True))
    client = boxes(fleet, "shop", "client")[0]
    address = far_from(client, fleet)
    assert not failures(visits(client, address, 80, 3))
    client.host.run("sh", "-ec", "ip link del $(ip -o link | grep -oE 'bw-[0-9a-f]+')")
    tap = client.host.spawn(sys.executable, "-m", "tests.real.overhear", "eth0", str(LISTEN_S), WHO_PATH)
    assert failures(visits(client, address, 80, 1))
    tap.wait()
    assert not json.loads(tap.log.read_text().splitlines()[-1])["found"]
    fleet.cli("service", "scale", "shop_web=6")  # with it the networks are looked at
    wait_until("the tunnel is there again", lambda: not failures(visits(client, address, 80, 1)), 45.0, 0.5)


def test_a_restarted_agent_keeps_the_tunnel_and_an_old_key_is_replaced(fleet: Cluster) -> None:
    fleet.deploy("shop", shop(encrypted=True))
    client = boxes(fleet, "shop", "client")[0]
    host, address = client.host, far_from(client, fleet)
    folder = host.folder / "agent"
    key = (folder / "tunnel.key").read_text()
    fleet.agents[host.name].signal(signal.SIGKILL)
    assert not failures(visits(client, address, 80, 3)), "without an agent"
    long_ago = time.time() - LONG_AGO_S
    os.utime(folder / "tunnel.key", (long_ago, long_ago))
    fleet.start_agent(host)
    wait_until("there is another key", lambda: (folder / "tunnel.key").read_text() != key, HEARD_TIMEOUT_S)
    wait_until(
        "it is heard with it", lambda: not failures(visits(client, address, 80, 1)), HEARD_TIMEOUT_S, 0.1
    )
    assert not failures(visits(client, address, 80, 20))
