"""What the lists print, as a newcomer reads it: the real program against the contract on a real socket."""

from __future__ import annotations

import json

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Desired,
    Health,
    Instance,
    Inventory,
    NodeCondition,
    NodeFault,
    NodeFaultKind,
    NodeStatus,
    Resources,
    ServiceMode,
)
from bayplan.views import NetworkView, Origin, Reservation
from tests.doors.cli.canned_controller import World, node, service, task
from tests.doors.cli.cli_world import Cli


def test_service_ls_has_dockers_columns_first(world: World, cli: Cli) -> None:
    world.shop()
    lines = cli("service", "ls").out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS", "HEALTH", "NOTE"]
    assert lines[2].split() == [
        "svcshop_web0", "shop_web", "replicated", "2/2", "demo:1", "*:8080->80/tcp", "✓", "ready",
    ]  # fmt: skip


def test_a_service_that_is_short_of_tasks_says_so_in_a_word(world: World, cli: Cli) -> None:
    world.put(service("shop_api", 3, ready=1), service("shop_web", 1, ready=0))
    assert cli("service", "ls", "--format", "{{.Name}} {{.Health}}").out.splitlines() == [
        "shop_api degraded",
        "shop_web down",
    ]


def test_jobs_and_services_that_wait_say_so_in_a_word(world: World, cli: Cli) -> None:
    world.put(
        service("shop_job", 3, ready=1, mode=ServiceMode.REPLICATED_JOB, completed=2),
        service("shop_migrate", 1, ready=0, completed=1),
        service("shop_web", 2, ready=0, waits_for="shop_migrate to complete"),
        service("shop_all", 2, mode=ServiceMode.GLOBAL, rollout="paused: 1 of 2 failed"),
    )
    template = "{{.Name}} {{.Mode}} {{.Replicas}} {{.Health}}"
    assert cli("service", "ls", "--format", template).out.splitlines() == [
        "shop_job replicated-job 1/3 (2/3 completed) running",
        "shop_migrate replicated 0/1 (1/1 completed) complete",
        "shop_web replicated 0/2 waiting",
        "shop_all global 2/2 paused",
    ]
    assert cli("stack", "ps", "shop").err == "shop_web waits for shop_migrate to complete\n"


def test_ps_shows_what_each_task_reserves_and_why_so_much(world: World, cli: Cli) -> None:
    world.shop()
    amounts = Resources(cpu_millis=50, memory_bytes=64 * 1024**2)
    world.put(
        service(
            "shop_api",
            1,
            reservation=Reservation(resources=amounts, cpu_origin=Origin.DEFAULT, memory_origin=Origin.LIMIT),
        )
    )
    assert cli("service", "ps", "shop_api").out.splitlines()[0].split()[-1] == "RESERVED"
    shown = cli("stack", "ps", "--format", "{{.Name}} {{.Reserved}}", "shop").out.splitlines()
    assert shown[0] == "shop_api.1 0.05 CPU (default), 64MiB (limit)"


def test_json_is_one_object_a_line_with_dockers_keys(world: World, cli: Cli) -> None:
    world.shop()
    rows = [json.loads(line) for line in cli("stack", "ps", "--format", "json", "shop").out.splitlines()]
    assert [row["Name"] for row in rows] == ["shop_api.1", "shop_web.1", "shop_web.2"]
    assert {"ID", "Image", "Node", "DesiredState", "CurrentState", "Error", "Ports"} <= rows[0].keys()


def test_an_older_task_of_a_slot_stands_indented_below_with_its_whole_error(world: World, cli: Cli) -> None:
    reason = (
        "manifest for registry.example/a/very/long/name/of/an/image:v1.2.3 was not found, at all, anywhere"
    )
    world.shop()
    world.tasks[1:1] = [
        task("shop_api.1", TaskState.REJECTED, id="older", message=reason, desired=Desired.STOP)
    ]
    line = cli("service", "ps", "shop_api").out.splitlines()[2]
    assert " \\_ shop_api.1" in line
    assert f'"{reason}"' in line


def test_a_pending_task_tells_every_reason(world: World, cli: Cli) -> None:
    world.put(service("shop_api", 1, ready=0))
    reasons = ("needs 8 CPU", "1 node: 1 short of CPU")
    world.tasks = [task("shop_api.1", TaskState.PENDING, node="", pending_reasons=reasons)]
    assert '"needs 8 CPU · 1 node: 1 short of CPU"' in cli("stack", "ps", "shop").out


def test_text_of_containers_cannot_drive_the_terminal(world: World, cli: Cli) -> None:
    world.put(service("shop_api", 1, ready=0))
    world.tasks = [task("shop_api.1", TaskState.FAILED, message="bad \x1b]0;owned\x07 end")]
    assert "bad \\x1b]0;owned\\x07 end" in cli("stack", "ps", "shop").out


@pytest.mark.parametrize("name", ["shop_web", "shop/web"])
def test_stack_slash_service_is_accepted(world: World, cli: Cli, name: str) -> None:
    world.shop()
    assert cli("service", "ps", "-q", name).out.split() == ["t1shop_webv1", "t2shop_webv1"]


def test_a_missing_service_offers_the_nearest_and_ends_with_1(world: World, cli: Cli) -> None:
    world.shop()
    answer = cli("service", "ps", "shop_wbe")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines() == ["error: no service shop_wbe", "hint: did you mean shop_web?"]


def test_filters_narrow_a_list_and_an_unknown_key_is_a_usage_error(world: World, cli: Cli) -> None:
    world.shop()
    world.tasks[0] = task("shop_api.1", TaskState.FAILED, desired=Desired.STOP)
    kept = cli("stack", "ps", "-f", "desired-state=running", "--format", "{{.Name}}", "shop").out
    assert kept.splitlines() == ["shop_web.1", "shop_web.2"]
    assert cli("stack", "ps", "-f", "colour=red", "shop").code == 125


def test_node_ls_shows_what_is_reserved_of_what_there_is(world: World, cli: Cli) -> None:
    world.nodes = [node("n1", tasks=3, labels={"zone": "a"}), node("n2", NodeStatus.DOWN)]
    lines = cli("node", "ls").out.splitlines()
    assert lines[0].split("   ")[0] == "ID"
    assert lines[1].split()[1:] == [
        "n1", "✓", "Ready", "Active", "28.2.2", "1.5/8", "512MiB/32GiB", "3", "zone=a",
    ]  # fmt: skip
    assert "✗ Down" in lines[2]


def test_inspect_is_json_with_dockers_keys_and_pretty_is_for_people(world: World, cli: Cli) -> None:
    world.shop()
    (found,) = json.loads(cli("service", "inspect", "shop_web").out)
    assert found["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] == ["serve"]
    assert found["Spec"]["Mode"]["Replicated"]["Replicas"] == 2
    image = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    assert cli("service", "inspect", "--format", image, "shop_web").out == "demo:1\n"
    assert (
        "Replicas:      2 wanted, 2 running, 2 ready" in cli("service", "inspect", "--pretty", "shop_web").out
    )
    (machine,) = json.loads(cli("node", "inspect", "n1").out)
    assert machine["Description"]["Resources"]["NanoCPUs"] == 8_000_000_000


WEB = Instance(
    id="0123456789abcdef", address="10.0.0.1", port=8080, node="n1", health=Health.HEALTHY, ready=True,
    slot=1, version=1,
)  # fmt: skip
SICK = Instance(
    id="fedcba9876543210", address="fd00::2", port=8080, node="n2", health=Health.UNHEALTHY, ready=False,
    slot=2, version=1, reason="check failed",
)  # fmt: skip


@pytest.mark.parametrize("names", [("shop/web",), ("shop_web",), ("shop", "web")])
def test_lookup_prints_addresses_that_can_be_used_as_they_are(
    world: World, cli: Cli, names: tuple[str, ...]
) -> None:
    world.instances = {("shop", "web"): (WEB, SICK)}
    assert cli("registry", "lookup", "-q", *names).out == "10.0.0.1:8080\n"
    assert cli("registry", "lookup", "-q", "--all", *names).out == "10.0.0.1:8080\n[fd00::2]:8080\n"


def test_lookup_all_gives_the_reason_of_those_not_ready(world: World, cli: Cli) -> None:
    world.instances = {("shop", "web"): (WEB, SICK)}
    lines = cli("registry", "lookup", "--all", "shop/web").out.splitlines()
    assert lines[0].split() == ["INSTANCE", "ADDRESS", "PORT", "NODE", "HEALTH", "REASON"]
    assert lines[2].split() == ["fedcba987654", "fd00::2", "8080", "n2", "✗", "unhealthy", "check", "failed"]


def test_lookup_without_an_instance_ends_with_1_and_the_reason(world: World, cli: Cli) -> None:
    answer = cli("registry", "lookup", "shop/web")
    assert (answer.code, answer.out) == (1, "")
    assert "no ready instance of shop/web: 1 is starting" in answer.err


def test_a_lookup_of_a_misspelt_service_offers_the_nearest(world: World, cli: Cli) -> None:
    world.instances = {("shop", "web"): (WEB,)}
    for name, near in (("shop/wbe", "shop/web"), ("shop_wbe", "shop_web")):
        answer = cli("registry", "lookup", name)
        assert answer.code == 1
        assert f"hint: did you mean {near}?" in answer.err


def test_status_ends_with_0_when_all_is_well_and_1_when_degraded(world: World, cli: Cli) -> None:
    world.shop()
    well = cli("status")
    assert well.code == 0
    assert "PROBLEMS" not in well.out
    world.nodes.append(node("n2", NodeStatus.DOWN))
    answer = cli("status")
    assert answer.code == 1
    assert "hint: on n2: `systemctl status bayplan-agent`" in answer.out


def test_doctor_tells_what_is_wrong_with_advice(world: World, cli: Cli) -> None:
    world.shop()
    world.copies = {"n1": 7}
    well = cli("doctor")
    assert well.code == 0
    assert [line.split()[0] for line in well.out.splitlines()] == ["PASSED"] * 5
    unable = Inventory(overlay_fault="the kernel has no vxlan")
    world.nodes += [node("n2", NodeStatus.DOWN), node("n3"), node("n4", inventory=unable)]
    world.copies |= {"n3": 5}
    answer = cli("doctor")
    assert answer.code == 1
    assert "FAILED  node n2 is down\n        on n2: `systemctl status bayplan-agent`\n" in answer.out
    assert (
        "WARN    node n4 can take no part in networks that span nodes: the kernel has no vxlan" in answer.out
    )
    assert "WARN    no copy of the registry on n4\n" in answer.out
    assert "WARN    node n3: its copy of the registry is 2 changes behind\n" in answer.out
    found = [json.loads(line) for line in cli("doctor", "--json").out.splitlines()]
    assert [each["verdict"] for each in found] == ["PASSED", "FAILED", "WARN", "PASSED", "WARN", "WARN"]


def test_doctor_tells_what_nodes_say_of_themselves(world: World, cli: Cli) -> None:
    def fault(kind: NodeFaultKind, subject: str, text: str) -> NodeFault:
        return NodeFault(kind=kind, subject=subject, text=text, hint=f"see {subject}")

    blocked = (
        fault(NodeFaultKind.PEER, "10.0.0.2", "nothing comes from 10.0.0.2"),
        fault(NodeFaultKind.PEER, "10.0.0.3", "nothing comes from 10.0.0.3"),
        fault(NodeFaultKind.SUBNET, "shop_default", "network shop_default overlaps 10.64.0.0/24"),
    )
    condition = NodeCondition(faults=blocked, link_mtu=1500)
    clashing = Inventory(routes=("10.64.1.0/24", "192.168.0.0/16", "nonsense"))
    world.networks = [NetworkView(id="network-0", name="shop_default", subnet="10.64.0.0/20")]
    world.nodes = [
        node("n1", address="10.0.0.1", condition=condition, inventory=clashing),
        node("n2", address="10.0.0.2", condition=NodeCondition(link_mtu=1400), inventory=clashing),
        node("n3", NodeStatus.DOWN, address="10.0.0.3", condition=NodeCondition(faults=blocked, link_mtu=9)),
    ]
    answer = cli("doctor")
    assert answer.code == 1
    assert "FAILED  node n1: nothing comes from n2 (10.0.0.2)\n        see 10.0.0.2\n" in answer.out
    assert "WARN    node n1: network shop_default overlaps 10.64.0.0/24\n" in answer.out
    assert "10.0.0.3" not in answer.out, "a node that is down is silent"
    assert "WARN    the links between the nodes differ in their MTU: 1400 on n2, 1500 on n1\n" in answer.out
    shown = "network shop_default, 10.64.0.0/20, overlaps 10.64.1.0/24, a route of node n2"
    assert answer.out.count(", a route of node ") == 1 and shown in answer.out


def test_version_tells_both_sides(world: World, cli: Cli) -> None:
    assert cli("version", "--format", "{{.Client.Version}} {{.Server.Version}}").out == "0.1.0 0.1.0\n"
