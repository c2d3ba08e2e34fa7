"""The promises of a cluster, on three hosts with a real engine each: what users and crashes do to it."""

from __future__ import annotations

import signal
import time

from tests.real.cluster import Cluster
from tests.real.machine import wait_until
from tests.real.stacks import SHOP, SHOP_TASKS, demanding, publishing, sleepers

#: A dead container must be gone from the registry's answers after this.
GONE_FROM_LOOKUP_S = 1.0
#: A silent node is down after 6 s of missing beats; starting its tasks elsewhere takes the rest.
ELSEWHERE_TIMEOUT_S = 30.0
#: A restarted agent has taken over what it finds.
ADOPTED_TIMEOUT_S = 10.0
ROUNDS_OF_RM_AND_DEPLOY = 10


def test_eight_tasks_spread_over_three_hosts_and_are_found_and_called_by_name(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)

    assert len(cluster.running("shop")) == SHOP_TASKS
    assert {task.node for task in cluster.running("shop")} == {"h1", "h2", "h3"}
    for service, replicas in (("web", 4), ("api", 3)):
        found = cluster.lookup("shop", service)
        assert len(found) == replicas
        assert cluster.http_lookup("shop", service) == found
        for address in found:
            assert service in cluster.get(address)


def test_deploying_an_unchanged_file_changes_nothing_and_says_so(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    before = cluster.containers()

    answer = cluster.try_deploy("shop", SHOP)

    assert answer.code == 0
    assert "unchanged" in (answer.out + answer.err).lower()
    assert cluster.containers() == before


def test_a_killed_container_leaves_the_registry_at_once_and_is_replaced(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    before = cluster.lookup("shop", "web")
    container, host = next(
        (found, where)
        for found, where in cluster.containers().items()
        if where.docker("inspect", "--format", "{{.Config.Cmd}}", found).endswith("web]")
    )
    killed_at = time.monotonic()
    host.kill_container(container)
    while cluster.http_lookup("shop", "web") == before:
        assert time.monotonic() - killed_at < GONE_FROM_LOOKUP_S + 5

    assert time.monotonic() - killed_at < GONE_FROM_LOOKUP_S
    cluster.wait_running("shop", SHOP_TASKS)
    wait_until("lookup has four again", lambda: len(cluster.lookup("shop", "web")) == 4, 10)


def test_a_killed_agent_comes_back_and_adopts_its_containers(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    before = cluster.containers()
    host = cluster.bed.hosts[0]

    cluster.agents[host.name].kill()
    cluster.start_agent(host)
    wait_until("three nodes are ready", lambda: cluster.ready_nodes() == 3, ADOPTED_TIMEOUT_S, every_s=0.1)
    cluster.wait_running("shop", SHOP_TASKS)

    assert cluster.containers() == before
    cluster.cli("service", "scale", "shop_web=5")  # and it still obeys
    cluster.wait_running("shop", SHOP_TASKS + 1)
    assert before.items() <= cluster.containers().items()


def test_a_stopped_agent_leaves_its_containers_running(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    before = cluster.containers()

    for agent in cluster.agents.values():
        agent.stop()

    assert cluster.containers() == before


def test_a_controller_killed_in_the_middle_of_a_deploy_loses_nothing_and_the_deploy_ends(
    cluster: Cluster,
) -> None:
    cluster.deploy("shop", SHOP)
    acknowledged = cluster.containers()
    deploy = cluster.deploy_in_background("batch", sleepers(12))
    wait_until("the deploy has begun", lambda: len(cluster.containers()) > SHOP_TASKS, 30)

    cluster.controller.kill()
    cluster.start_controller()

    assert deploy.wait(60) == 0  # the command held on while the controller was away
    cluster.wait_running("batch", 12)
    assert cluster.stacks() == {"shop", "batch"}
    assert acknowledged.items() <= cluster.containers().items()
    assert len(cluster.containers()) == SHOP_TASKS + 12
    cluster.wait_running("shop", SHOP_TASKS)


def test_agents_restart_their_containers_while_the_controller_is_away(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    before = cluster.containers()

    cluster.controller.kill()
    dead, host = next(iter(before.items()))
    host.kill_container(dead)
    wait_until("it is dead", lambda: dead not in cluster.containers(), 5)
    wait_until("its agent has started it again", lambda: cluster.containers() == before, 30)
    cluster.start_controller()
    cluster.wait_nodes(3)

    cluster.wait_running("shop", SHOP_TASKS)
    assert cluster.containers() == before


def test_the_tasks_of_a_dead_host_run_elsewhere(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    lost = cluster.bed.hosts[1]

    lost.power_off()

    wait_until(
        "eight tasks run on the two hosts that are left",
        lambda: len([t for t in cluster.running("shop") if t.node != lost.name]) == SHOP_TASKS,
        ELSEWHERE_TIMEOUT_S,
        every_s=0.2,
    )
    found = cluster.lookup("shop", "web")
    assert len(found) == 4
    assert not [address for address in found if address.startswith(f"{lost.address}:")]
    for address in found:
        assert "web" in cluster.get(address)


def test_a_host_that_comes_back_gives_up_the_tasks_that_moved(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    cut = cluster.bed.hosts[1]
    cut.cut()
    wait_until("the node is down", lambda: cluster.ready_nodes() == 2, ELSEWHERE_TIMEOUT_S, every_s=0.2)
    wait_until("the tasks run elsewhere", lambda: len(cluster.lookup("shop", "web")) == 4, 30)

    cut.heal()

    cluster.wait_nodes(3)
    wait_until("the extra copies are gone", lambda: len(cluster.containers()) == SHOP_TASKS, 30)
    cluster.wait_running("shop", SHOP_TASKS)


def test_a_rebooted_host_brings_its_tasks_back_with_no_controller_reachable(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)
    host = cluster.bed.hosts[0]
    before = len(host.containers(running=True))
    assert before > 0

    cluster.controller.kill()
    host.power_off()
    host.power_on()
    host.start_engine()
    cluster.start_agent(host)

    wait_until("its tasks run again", lambda: len(host.containers(running=True)) == before, 30)


def test_stack_rm_leaves_nothing_on_any_engine(cluster: Cluster) -> None:
    cluster.deploy("shop", SHOP)

    cluster.remove("shop")

    assert cluster.stacks() == set()
    assert cluster.containers(running=False) == {}
    assert [name for host in cluster.bed.hosts for name in host.networks()] == []


def test_deploy_after_rm_works_at_once_ten_times_in_a_row(cluster: Cluster) -> None:
    for _ in range(ROUNDS_OF_RM_AND_DEPLOY):
        cluster.deploy("shop", publishing(port=8080, replicas=3))
        assert len(cluster.running("shop")) == 3
        cluster.remove("shop")
        assert cluster.containers(running=False) == {}


def test_an_image_that_does_not_exist_ends_the_deploy_with_the_reason(cluster: Cluster) -> None:
    answer = cluster.try_deploy("bad", "services:\n  web:\n    image: no-such-host.invalid/web:9\n")

    assert answer.code == 1
    assert "no-such-host.invalid/web:9" in answer.err
    assert cluster.containers(running=False) == {}


def test_a_port_that_every_node_has_given_away_is_refused_by_name(cluster: Cluster) -> None:
    cluster.deploy("first", publishing(port=8080, replicas=3))
    before = cluster.containers()

    answer = cluster.try_deploy("second", publishing(port=8080, replicas=1))

    assert answer.code == 5
    assert "8080" in answer.err
    assert cluster.stacks() == {"first"}
    assert cluster.containers() == before


def test_a_service_that_fits_nowhere_is_refused_with_the_nearest_node(cluster: Cluster) -> None:
    answer = cluster.try_deploy("big", demanding(cpus=64))

    assert answer.code == 5
    assert "big_web" in answer.err
    assert "64 CPU" in answer.err
    assert "3 nodes" in answer.err
    assert cluster.stacks() == set()


def test_an_unreachable_controller_ends_a_command_with_four(cluster: Cluster) -> None:
    cluster.controller.signal(signal.SIGKILL)
    cluster.controller.wait()

    answer = cluster.try_cli("node", "ls")

    assert answer.code == 4
    assert "hint:" in answer.err
