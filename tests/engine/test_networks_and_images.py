"""Networks and volumes that tasks share, and images that are pulled or not, on a real engine."""

from __future__ import annotations

from bayplan.lifecycle import TaskState
from bayplan.model import (
    IpamPool,
    Mount,
    MountKind,
    NetworkAttachment,
    NetworkSpec,
    PullPolicy,
    VolumeSpec,
)
from tests.engine.agent_world import IMAGE, World
from tests.engine.test_docker_runtime import shell, sleeper

CLOSED = NetworkSpec(internal=True)


def on_shop(spec: NetworkSpec, **fields: object) -> tuple[NetworkAttachment, ...]:
    return (NetworkAttachment(network="shop_back", spec=spec, **fields),)  # type: ignore[arg-type]


def used_by(world: World) -> str:
    return world.host.docker(
        "network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", "shop_back"
    )


def is_internal(world: World) -> bool:
    return world.host.docker("network", "inspect", "-f", "{{.Internal}}", "shop_back") == "true"


async def test_a_network_in_use_keeps_its_definition(world: World) -> None:
    await world.start_agent()
    world.assign("old", sleeper(networks=on_shop(NetworkSpec())))
    await world.reach("old", TaskState.RUNNING)
    world.assign("new", sleeper(networks=on_shop(CLOSED)))
    await world.reach("new", TaskState.RUNNING)
    assert not is_internal(world)
    assert world.agent_log("a network in use keeps its old definition")


async def test_an_idle_network_is_made_again_for_a_new_definition(world: World) -> None:
    await world.start_agent()
    world.assign("old", shell("exit 0", networks=on_shop(NetworkSpec())))
    await world.reach("old", TaskState.COMPLETE)  # its container stays, for its output
    await world.until("the engine has let go of its address", lambda: not used_by(world))
    world.assign("new", sleeper(networks=on_shop(CLOSED)))
    await world.reach("new", TaskState.RUNNING)
    assert is_internal(world)


async def test_an_external_network_must_exist_and_is_never_removed(world: World) -> None:
    outer = (NetworkAttachment(network="outer", spec=NetworkSpec(external=True)),)
    await world.start_agent()
    world.assign("early", sleeper(networks=outer))
    assert (await world.reach("early", TaskState.REJECTED)).message == (
        "network outer is external and does not exist on this node: "
        "make it with `docker network create outer`"
    )
    world.host.docker("network", "create", "outer")
    world.assign("late", sleeper(networks=outer))
    await world.reach("late", TaskState.RUNNING)
    world.withdraw("late")
    await world.until("late is gone", lambda: "late" in world.gone)
    assert world.host.networks() == ["outer"]


async def test_a_network_that_cannot_be_made_is_named(world: World) -> None:
    pools = (IpamPool(subnet="10.99.0.0/24", gateway="10.98.0.1"),)
    await world.start_agent()
    world.assign("t1", sleeper(networks=on_shop(NetworkSpec(pools=pools))))
    message = (await world.reach("t1", TaskState.REJECTED)).message
    assert message.startswith("network shop_back cannot be made: ")


async def test_a_named_volume_outlives_its_tasks_and_keeps_what_they_wrote(world: World) -> None:
    data = (Mount(kind=MountKind.VOLUME, source="shop_data", target="/data", volume=VolumeSpec()),)
    await world.start_agent()
    world.assign("writer", shell("echo kept >/data/file", mounts=data))
    await world.reach("writer", TaskState.COMPLETE)
    world.withdraw("writer")
    await world.until("the writer is gone", lambda: "writer" in world.gone)
    world.assign("reader", shell("grep kept /data/file", mounts=data))
    await world.reach("reader", TaskState.COMPLETE)
    label = world.host.docker("volume", "inspect", "-f", '{{index .Labels "bayplan.stack"}}', "shop_data")
    assert label == "shop"
    world.withdraw("reader")
    await world.until("the reader is gone", lambda: "reader" in world.gone)
    world.host.docker("volume", "rm", "shop_data")


async def test_an_external_volume_must_exist(world: World) -> None:
    outer = Mount(kind=MountKind.VOLUME, source="outer-{{.Task.Slot}}", target="/data")
    await world.start_agent()
    world.assign("early", sleeper(mounts=(outer,)))
    assert (await world.reach("early", TaskState.REJECTED)).message == (
        "volume outer-1 is external and does not exist on this node: "
        "make it with `docker volume create outer-1`"
    )
    world.host.docker("volume", "create", "outer-1")
    world.assign("late", sleeper(mounts=(outer,)))
    await world.reach("late", TaskState.RUNNING)
    world.withdraw("late")
    await world.until("late is gone", lambda: "late" in world.gone)
    world.host.docker("volume", "rm", "outer-1")


async def test_an_image_that_is_always_pulled_is_not_started_without_its_registry(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper(pull_policy=PullPolicy.ALWAYS))
    message = (await world.reach("t1", TaskState.REJECTED)).message
    assert message.startswith(f"image {IMAGE} cannot be pulled: ")
    assert world.host.containers() == []


async def test_an_image_that_is_never_pulled_is_started_or_refused_at_once(world: World) -> None:
    await world.start_agent()
    world.assign("here", sleeper(pull_policy=PullPolicy.NEVER))
    world.assign("gone", sleeper(image="nosuch:1", pull_policy=PullPolicy.NEVER))
    await world.reach("here", TaskState.RUNNING)
    message = (await world.reach("gone", TaskState.REJECTED)).message
    assert message == "image nosuch:1 is not on this node, and pull_policy is never"


async def test_an_image_of_another_platform_is_pulled_and_not_run(world: World) -> None:
    await world.start_agent()
    world.assign("mine", sleeper(platform="linux/amd64"))
    world.assign("other", sleeper(platform="linux/s390x"))
    await world.reach("mine", TaskState.RUNNING)
    message = (await world.reach("other", TaskState.REJECTED)).message
    assert message.startswith(f"image {IMAGE} cannot be pulled: ")


async def test_preflight_tells_what_an_image_means_on_this_node(world: World) -> None:
    await world.start_agent()
    result = await world.preflight(images=(IMAGE, "nosuch:1"))
    assert result.images == {IMAGE: world.host.docker("image", "inspect", "-f", "{{.Id}}", IMAGE)}


async def test_placeholders_become_what_the_task_is(world: World) -> None:
    await world.start_agent()
    line = 'test "$(hostname) $WHO" = "web-1 shop_web.1.t1"'
    world.assign("t1", shell(line, hostname="web-{{.Task.Slot}}", environment=("WHO={{.Task.Name}}",)))
    await world.reach("t1", TaskState.COMPLETE)
