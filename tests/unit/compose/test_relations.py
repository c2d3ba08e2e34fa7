"""What services have to do with each other: order, circles, links, volumes of others, networks, images."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayplan.compose import Source, load
from bayplan.compose.images import Build
from bayplan.compose.volumes import SHARED_MOUNTS_MAX
from bayplan.model import (
    Dependency,
    DependencyCondition,
    MountKind,
    NetworkAttachment,
    NetworkSpec,
    PortSpec,
    RestartCondition,
    ServiceSpec,
    VolumeSpec,
)
from tests.unit.compose.world import loaded, refusal

STARTED, HEALTHY, COMPLETED = DependencyCondition


def services(text: str) -> dict[str, ServiceSpec]:
    return {service.name: service for service in loaded(text).stack.services}


def aliases(service: ServiceSpec) -> dict[str, tuple[str, ...]]:
    return {each.network: each.aliases for each in service.container.networks}


def test_a_service_comes_after_those_it_depends_on_links_to_and_has_volumes_from() -> None:
    found = services("""
    services:
      web:
        image: a
        depends_on:
          db: {condition: service_healthy, restart: true}
          job: {condition: service_completed_successfully, required: false}
        links: [db, cache]
        volumes_from: [store]
      db: {image: a}
      job: {image: a}
      cache: {image: a}
      store: {image: a}
    """)
    assert found["web"].depends_on == (
        Dependency(service="db", condition=HEALTHY, restart=True, required=True),
        Dependency(service="job", condition=COMPLETED),
        Dependency(service="cache", required=True),
        Dependency(service="store", required=True),
    )


def test_what_is_absent_and_not_required_is_not_waited_for() -> None:
    assert services("services: {a: {image: a, depends_on: {b: {required: false}}}}")["a"].depends_on == ()


@pytest.mark.parametrize(
    ("policy", "condition"),
    [
        ("", RestartCondition.ON_FAILURE),
        (", deploy: {restart_policy: {delay: 5s}}", RestartCondition.ON_FAILURE),
        (", restart: 'no'", RestartCondition.NONE),
        (", restart: always", RestartCondition.ANY),
        (", deploy: {mode: replicated-job, restart_policy: {condition: none}}", RestartCondition.NONE),
    ],
)
def test_a_service_that_is_to_complete_can_end(policy: str, condition: RestartCondition) -> None:
    text = f"""
    services:
      web: {{image: a, depends_on: {{init: {{condition: service_completed_successfully}}}}}}
      init: {{image: a{policy}}}
    """
    assert services(text)["init"].restart.condition is condition
    assert services(text)["web"].restart.condition is RestartCondition.ANY
    warnings = loaded(text).warnings
    always = "services.init is always started again, but services.web waits for it to complete"
    assert any(always in line for line in warnings) is (condition is RestartCondition.ANY)


def test_a_job_is_started_again_on_failure_only() -> None:
    job = services("services: {a: {image: a, deploy: {mode: global-job}}}")["a"]
    assert job.restart.condition is RestartCondition.ON_FAILURE


def test_a_circle_is_refused_with_its_path_and_places() -> None:
    lines = refusal("""\
    services:
      out: {image: a, depends_on: [a]}
      a: {image: a, depends_on: [b]}
      b:
        image: a
        links:
          - c
      c: {image: a, volumes_from: [a]}
    """)
    assert lines == [
        "error: compose.yml:3: services depend on each other in a circle: a -> b -> c -> a",
        "  a after b, at compose.yml:3",
        "  b after c, at compose.yml:7",
        "  c after a, at compose.yml:8",
        "hint: remove one of these dependencies",
    ]


def test_many_services_in_a_row_or_in_a_mesh_are_no_circle() -> None:
    row = "".join(f"  s{i}: {{image: a, depends_on: [s{i + 1}]}}\n" for i in range(900))
    loaded(f"services:\n{row}  s900: {{image: a}}\n")
    mesh = "".join(
        f"  s{i}: {{image: a, volumes_from: [{', '.join(f's{j}' for j in range(i)[-32:])}]}}\n"
        for i in range(40)
    )
    loaded(f"services:\n{mesh}")


def test_a_link_is_a_name_of_the_other_service_where_both_are() -> None:
    found = services("""
    services:
      web: {image: a, links: ["db:database", db], networks: [front, back]}
      db: {image: a, networks: [back, data]}
    networks: {front: , back: , data: }
    """)
    assert aliases(found["db"]) == {"shop_back": ("db", "database"), "shop_data": ("db",)}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "a: {image: a, links: ['b:db']}\n  b: {image: a}\n  db: {image: a}",
            "the link makes db a name of b in the network shop_default",
        ),
        (
            "a: {image: a, links: ['b:db']}\n  b: {image: a}\n  c: {image: a, links: ['a:db']}",
            "the link makes db a name of a in the network shop_default",
        ),
    ],
)
def test_a_link_that_would_mislead_is_refused(body: str, problem: str) -> None:
    assert problem in refusal(f"services:\n  {body}\nnetworks: {{x: }}")[0]


def test_a_link_without_a_network_in_common_is_told_to_have_no_effect() -> None:
    found = loaded("""
    services:
      a: {image: a, links: ["b:db"], networks: [x]}
      b: {image: a}
    networks: {x: }
    """)
    assert found.warnings == (
        "compose.yml:3: services.a links to 'b' without effect: they have no network in common",
    )
    assert aliases(found.stack.services[1]) == {"shop_default": ("b",)}


def test_what_no_service_uses_is_told_once_for_each_kind() -> None:
    text = """
    services:
      a: {image: a, volumes: ["data:/d", {type: volume, source: more, target: /m}], secrets: [{source: key}]}
      b: {image: a, networks: [back], configs: [conf]}
    networks: {default: , back: , front: {driver: macvlan}}
    volumes: {data: , more: , old: , older: }
    configs: {conf: {content: x}, spare: {content: x}}
    secrets: {key: {content: x}}
    """
    warnings = (
        "compose.yml:5: no service uses the network front: left out",
        "compose.yml:6: no service uses the volumes old, older: left out",
        "compose.yml:7: no service uses the config spare: left out",
    )
    assert loaded(text).warnings == warnings
    assert loaded(text.replace("b: {image: a,", "b: {image: a, profiles: [p],")).warnings == warnings


def test_what_is_true_of_many_is_told_once_with_their_names() -> None:
    found = loaded("""
    services:
      a: {image: a, container_name: one, volumes: ["/a:/a:z"], user: $A}
      b: {image: a, container_name: two, user: $A, volumes: ["/a:/a:z", "/b:/b:z"]}
    """)
    label = "has the option z, an SELinux label, which is not set: label the path on the nodes with chcon"
    assert found.warnings == (
        "compose.yml:3: the variable A is not set; it becomes empty",
        "compose.yml:3: services.a.container_name becomes a network alias (the same: b)",
        f"compose.yml:3: services.a.volumes[0] {label} (the same: b, b.volumes[1])",
    )


def test_volumes_from_others_are_the_same_mounts() -> None:
    found = services("""
    services:
      web: {image: a, volumes: ["/own:/one"], volumes_from: ["store:ro"]}
      store: {image: a, volumes: ["data:/one", "data:/two", "/three"], volumes_from: [deep], tmpfs: /four}
      deep: {image: a, volumes: ["/deep:/five"]}
    volumes: {data: }
    """)
    mounts = {each.target: each for each in found["web"].container.mounts}
    assert set(mounts) == {"/one", "/two", "/five"}
    assert (mounts["/one"].kind, mounts["/one"].read_only) == (MountKind.BIND, False)
    assert (mounts["/two"].source, mounts["/two"].read_only) == ("shop_data", True)
    assert (mounts["/five"].source, mounts["/five"].read_only) == ("/deep", True)


def test_volumes_from_others_are_not_without_end() -> None:
    row = "".join(
        f"  s{i}: {{image: a, volumes: ['/{i}:/{i}'], volumes_from: [s{i + 1}]}}\n"
        for i in range(SHARED_MOUNTS_MAX + 2)
    )
    problem = f"services.s0 has more than {SHARED_MOUNTS_MAX} volumes from other services"
    assert any(
        problem in line for line in refusal(f"services:\n{row}  s{SHARED_MOUNTS_MAX + 2}: {{image: a}}\n")
    )


def test_the_default_network_can_be_described() -> None:
    text = "services: {web: {image: a}}\nnetworks: {default: {name: proxy, external: true}}"
    spec = NetworkSpec(external=True)
    attachment = NetworkAttachment(network="proxy", aliases=("web",), spec=spec)
    assert services(text)["web"].container.networks == (attachment,)


@pytest.mark.parametrize(
    "network", ["{external: true, name: host}", "{external: {name: host}}", "{driver: host}"]
)
def test_the_engines_own_network_is_a_mode(network: str) -> None:
    text = f"services: {{web: {{image: a, networks: [n], ports: ['80:8080']}}}}\nnetworks: {{n: {network}}}"
    container = services(text)["web"].container
    assert (container.networks, container.network_mode) == ((), "host")
    assert (container.ports, container.expose) == ((), (PortSpec(target=8080),))


def test_the_engines_own_network_is_alone() -> None:
    text = "services: {web: {image: a, networks: [n, m]}}\nnetworks: {m: , n: {external: true, name: none}}"
    assert "services.web is in the network none and in others" in refusal(text)[0]


def test_the_mode_bridge_is_the_default_network() -> None:
    container = services("services: {web: {image: a, network_mode: bridge}}")["web"].container
    assert [each.network for each in container.networks] == ["shop_default"]


def network_of(written: str) -> tuple[NetworkSpec, tuple[str, ...]]:
    """How the network is made, and the warnings."""
    found = loaded(f"services: {{a: {{image: a, networks: [n]}}}}\nnetworks: {{n: {written}}}")
    return found.stack.services[0].container.networks[0].spec, found.warnings


@pytest.mark.parametrize("written", ["", "{}", "{driver: bridge}", "{driver: overlay}"])
def test_a_network_of_a_file_is_over_all_nodes(written: str) -> None:
    spec, warnings = network_of(written)
    assert (spec, spec.spans_nodes, warnings) == (NetworkSpec(), True, ())


@pytest.mark.parametrize("written", ["{driver: macvlan}", "{x-bayplan: {scope: node}}", "{external: true}"])
def test_a_network_of_another_driver_or_scope_is_each_nodes_own(written: str) -> None:
    assert not network_of(written)[0].spans_nodes


@pytest.mark.parametrize("value", ["", "true", "'1'"])
def test_dockers_option_encrypts_a_network(value: str) -> None:
    options = f"{{encrypted: {value or repr('')}, com.docker.network.driver.mtu: 1400}}"
    spec, _ = network_of(f"{{driver: overlay, driver_opts: {options}}}")
    assert spec == NetworkSpec(driver_options={"com.docker.network.driver.mtu": "1400"}, encrypted=True)


def test_what_a_network_over_all_nodes_cannot_have_is_told() -> None:
    spec, warnings = network_of(
        "{driver_opts: {a: 1}, enable_ipv6: true, ipam: {config: [{subnet: 'fd00::/64'}]}}"
    )
    assert spec == NetworkSpec()
    assert [line.partition(" is ")[0].partition(" has ")[0] for line in warnings] == [
        "compose.yml:2: networks.n"
    ] * 2
    assert "x-bayplan: {scope: node}" in warnings[1]


@pytest.mark.parametrize("ipam", ["{driver: d}", "{config: [{subnet: 10.1.0.0/24}, {subnet: 10.2.0.0/24}]}"])
def test_addresses_that_a_network_over_all_nodes_cannot_give_are_refused(ipam: str) -> None:
    text = f"services: {{a: {{image: a, networks: [n]}}}}\nnetworks: {{n: {{ipam: {ipam}}}}}"
    assert "is over all nodes and has" in refusal(text)[0]


def test_a_volume_that_is_a_bind_in_disguise_begins_in_the_project_folder() -> None:
    found = loaded("""
    services:
      a: {image: a, volumes: ["d:/d", "far:/far"]}
    volumes:
      d: {driver: local, driver_opts: {type: none, o: "rw,bind", device: ./data}}
      far: {driver_opts: {type: nfs, o: addr=10.0.0.1, device: "data"}}
    """)
    made = {each.target: each.volume for each in found.stack.services[0].container.mounts}
    assert made["/d"] is not None and made["/far"] is not None
    assert made["/d"].driver_options["device"] == "/srv/app/data"
    assert made["/far"].driver_options["device"] == "data"
    assert found.warnings == (
        "compose.yml:5: volumes.d is the folder /srv/app/data of the node where a task runs, "
        "which has to be there",
    )


def test_a_mount_that_is_written_twice_counts_once() -> None:
    found = services("""
    services:
      a: {image: a, volumes: ["/a:/b", "/a:/b:rw", "/t"], tmpfs: [/run, /run]}
    """)
    assert [each.target for each in found["a"].container.mounts] == ["/b", "/t", "/run"]


def test_only_the_stacks_own_volumes_are_made() -> None:
    found = services("""
    services: {web: {image: a, volumes: ["own:/a", "named:/b", "theirs:/c", "older:/d"]}}
    volumes:
      own: {driver: local}
      named: {name: full, driver: nfs}
      theirs: {external: true}
      older: {external: {name: o}}
    """)
    made = {each.source: each.volume for each in found["web"].container.mounts}
    assert made == {"shop_own": VolumeSpec(), "full": VolumeSpec(driver="nfs"), "theirs": None, "o": None}


def test_what_is_built_is_told_to_whoever_builds() -> None:
    text = """\
services:
  web: {build: ./web}
  db:
    image: team/db:2
    build: {context: https://github.com/a/b.git, dockerfile: D, args: [A, B=2, C], target: t, tags: [x:1]}
"""
    environment = {"A": "1"}
    found = load("shop", [Source("f.yml", text.encode())], environment, Path("/srv"), build=True)
    assert [service.container.image for service in found.stack.services] == ["shop-web:latest", "team/db:2"]
    assert found.warnings == ()
    assert found.builds == (
        Build(service="web", image="shop-web:latest", context="/srv/web", place="f.yml:2"),
        Build(
            service="db",
            image="team/db:2",
            context="https://github.com/a/b.git",
            dockerfile="D",
            args={"A": "1", "B": "2"},
            target="t",
            tags=("x:1",),
            place="f.yml:5",
        ),
    )
