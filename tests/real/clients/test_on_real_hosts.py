"""Every client that people have, on a host of a real cluster: each sees what appears, drains and vanishes."""

from __future__ import annotations

import pytest

from tests.real.clients.sights import CLIENTS, running
from tests.real.clients.story import Story, shop
from tests.real.cluster import Cluster

pytestmark = pytest.mark.timeout(300)  # the first test waits for all that happens


@pytest.fixture(scope="module")
def complaints(_shared_cluster: Cluster) -> dict[str, list[str]]:
    """What each client missed; they look on at the same time."""
    _shared_cluster.deploy("shop", shop(replicas=2))
    with running(_shared_cluster.hosts[0], list(CLIENTS)) as sights:
        story = Story(_shared_cluster, sights)
        story.tell()
    return story.complaints


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_sees_an_instance_appear_drain_and_vanish(
    complaints: dict[str, list[str]], client: str
) -> None:
    assert not complaints[client], "\n".join(complaints[client])
