"""The agent on a real engine."""

from __future__ import annotations

import asyncio
import time

from bayplan.lifecycle import TaskState
from bayplan.model import (
    ContainerSpec,
    Desired,
    Health,
    HealthCheck,
    LogConfig,
    Mount,
    MountKind,
    NetworkAttachment,
    PortCheck,
    PortSpec,
    Resources,
    VolumeSpec,
)
from bayplan.session import LogPull
from tests.engine.agent_world import IMAGE, World


def sleeper(**fields: object) -> ContainerSpec:
    """A container that runs until it is told to end, and then ends at once."""
    command = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
    return ContainerSpec(**({"image": IMAGE, "command": command} | fields))  # type: ignore[arg-type]


def shell(line: str, **fields: object) -> ContainerSpec:
    """A container that runs one shell line."""
    return ContainerSpec(**({"image": IMAGE, "command": ("sh", "-c", line)} | fields))  # type: ignore[arg-type]


async def test_an_assigned_task_runs_and_a_withdrawn_one_leaves_nothing(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper(networks=(NetworkAttachment(network="shop_default", aliases=("web",)),)))
    status = await world.reach("t1", TaskState.RUNNING)
    shown = world.host.inspect("bp-t1")
    assert shown["Id"] == status.container_id
    assert status.address.startswith("10.21.")
    assert shown["Config"]["Labels"]["bayplan.node"] == "n1"  # type: ignore[index]
    assert world.host.networks() == ["shop_default"]
    world.withdraw("t1")
    await world.until("t1 is gone", lambda: "t1" in world.gone)
    assert world.host.containers() == []
    await world.until("the network is gone", lambda: world.host.networks() == [])
    assert world.acked == world.revision


async def test_stopping_keeps_the_container_for_its_output(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    await world.reach("t1", TaskState.RUNNING)
    world.assign("t1", None, Desired.STOP)
    status = await world.reach("t1", TaskState.SHUTDOWN)
    assert status.exit_code == 0
    assert world.host.containers() == [status.container_id]
    assert TaskState.FAILED not in world.states("t1")


async def test_a_restarted_agent_adopts_its_containers(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    before = await world.reach("t1", TaskState.RUNNING)
    started = world.host.inspect("bp-t1")["State"]["StartedAt"]  # type: ignore[index]
    await world.kill_agent()
    began = time.monotonic()
    await world.start_agent()
    assert time.monotonic() - began < 3.0
    told = world.hellos[-1].tasks[0]
    assert (told.state, told.container_id) == (TaskState.RUNNING, before.container_id)
    assert (world.hellos[-1].epoch, world.hellos[-1].revision) == (1, 1)
    assert world.host.inspect("bp-t1")["State"]["StartedAt"] == started  # type: ignore[index]


async def test_a_container_that_dies_while_the_agent_is_away_is_told_in_hello(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    await world.reach("t1", TaskState.RUNNING)
    await world.kill_agent()
    world.host.kill_container("bp-t1")
    await world.start_agent()
    told = world.hellos[-1].tasks[0]
    assert (told.state, told.message) == (TaskState.FAILED, "killed by SIGKILL (exit code 137)")


async def test_a_death_is_reported_at_once(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    await world.reach("t1", TaskState.RUNNING)
    began = time.monotonic()
    world.host.kill_container("bp-t1")
    await world.reach("t1", TaskState.FAILED)
    assert time.monotonic() - began < 0.5  # includes two docker commands of the test itself


async def test_ends_are_told_in_the_users_words(world: World) -> None:
    await world.start_agent()
    world.assign("done", shell("exit 0"))
    world.assign("code", shell("exit 3"))
    world.assign("lost", shell("nosuchcommand"))
    eater = "x=a; while true; do x=$x$x; done"
    world.assign("oom", shell(eater, limits=Resources(memory_bytes=16 << 20)))
    assert (await world.reach("done", TaskState.COMPLETE)).exit_code == 0
    assert (await world.reach("code", TaskState.FAILED)).message == "exit code 3"
    message = (await world.reach("lost", TaskState.FAILED)).message
    assert message == "exit code 127: command not found"
    assert "out of memory" in (await world.reach("oom", TaskState.FAILED)).message


async def test_what_cannot_be_started_is_rejected_with_the_engines_reason(world: World) -> None:
    await world.start_agent()
    taken = PortSpec(target=80, published=8081)
    world.assign("first", sleeper(ports=(taken,)))
    await world.reach("first", TaskState.RUNNING)
    world.assign("port", sleeper(ports=(taken,)))
    world.assign("image", sleeper(image="nosuch:1"))
    mount = Mount(kind=MountKind.BIND, source="/nosuch/path", target="/data")
    world.assign("mount", sleeper(mounts=(mount,)))
    world.assign("command", ContainerSpec(image=IMAGE, command=("nosuchcommand",)))
    assert "port is already allocated" in (await world.reach("port", TaskState.REJECTED)).message
    assert (await world.reach("image", TaskState.REJECTED)).message.startswith(
        "image nosuch:1 cannot be pulled"
    )
    assert "/nosuch/path" in (await world.reach("mount", TaskState.REJECTED)).message
    message = (await world.reach("command", TaskState.REJECTED)).message
    assert "nosuchcommand" in message and "OCI runtime" not in message


async def test_a_health_check_makes_a_task_running_and_a_failing_one_ends_it(world: World) -> None:
    await world.start_agent()
    good = HealthCheck(test=("CMD", "true"), interval_ms=200, retries=1)
    bad = HealthCheck(test=("CMD-SHELL", "echo no database; exit 1"), interval_ms=200, retries=1)
    world.assign("good", sleeper(health_check=good))
    world.assign("bad", sleeper(health_check=bad))
    assert (await world.reach("good", TaskState.RUNNING)).health is Health.HEALTHY
    status = await world.reach("bad", TaskState.FAILED)
    assert status.message == "unhealthy: no database"
    assert status.probe_output == "no database\n(exit code 1)"
    assert TaskState.STARTING in world.states("good")
    assert TaskState.RUNNING not in world.states("bad")
    assert world.host.containers(running=True) == [world.host.inspect("bp-good")["Id"]]


async def test_the_last_failed_checks_stay_with_the_task_they_ended(world: World) -> None:
    line = "date +%N >>/seen; wc -l </seen; exit $(wc -l </seen)"
    check = HealthCheck(test=("CMD-SHELL", line), interval_ms=200, retries=4)
    await world.start_agent()
    world.assign("t1", sleeper(health_check=check))
    status = await world.reach("t1", TaskState.FAILED)
    assert status.message == "unhealthy: 4"
    assert status.probe_output == "4\n(exit code 4)\n3\n(exit code 3)\n2\n(exit code 2)"
    assert (status.health, status.exit_code) == (Health.UNHEALTHY, 0)


async def test_a_process_that_had_to_be_killed_is_told_of(world: World) -> None:
    await world.start_agent()
    world.assign("t1", shell("trap '' TERM; sleep 1000", stop_grace_ms=1_000))
    await world.reach("t1", TaskState.RUNNING)
    world.assign("t1", None, Desired.STOP)
    status = await world.reach("t1", TaskState.SHUTDOWN)
    assert (status.exit_code, status.message) == (137, "it did not end within its stop grace and was killed")


async def test_a_spec_arrives_at_the_engine_whole(world: World) -> None:
    await world.start_agent()
    spec = sleeper(
        environment=("A=1", "B=x=y"),
        labels={"mine": "yes"},
        user="0:0",
        working_dir="/tmp",
        hostname="front",
        init=True,
        read_only=True,
        stop_signal="SIGINT",
        stop_grace_ms=3_000,
        limits=Resources(cpu_millis=500, memory_bytes=64 << 20),
        mounts=(
            Mount(kind=MountKind.VOLUME, source="shop_data", target="/data", volume=VolumeSpec()),
            Mount(kind=MountKind.TMPFS, target="/cache", tmpfs_size_bytes=1 << 20),
        ),
        ports=(PortSpec(target=80), PortSpec(target=81, published=8082, host_ip="127.0.0.1")),
        networks=(NetworkAttachment(network="shop_a"), NetworkAttachment(network="shop_b", aliases=("b",))),
        cap_drop=("NET_RAW",),
        extra_hosts=("db:10.0.0.9",),
        log=LogConfig(options={"max-size": "1m"}),
    )
    world.assign("t1", spec)
    status = await world.reach("t1", TaskState.RUNNING)
    shown = world.host.inspect("bp-t1")
    config, host_config = shown["Config"], shown["HostConfig"]
    assert isinstance(config, dict) and isinstance(host_config, dict)
    assert {"A=1", "B=x=y"} <= set(config["Env"])
    assert config["Labels"]["mine"] == "yes"
    assert (config["User"], config["WorkingDir"], config["Hostname"]) == ("0:0", "/tmp", "front")
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGINT", 3)
    assert (host_config["NanoCpus"], host_config["Memory"]) == (500_000_000, 64 << 20)
    assert host_config["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}}
    assert set(shown["NetworkSettings"]["Networks"]) == {"shop_a", "shop_b"}  # type: ignore[index]
    assert status.address == shown["NetworkSettings"]["Networks"]["shop_a"]["IPAddress"]  # type: ignore[index]
    published = {port.target: (port.published, port.host_ip) for port in status.ports}
    assert published[81] == (8082, "127.0.0.1")
    assert published[80][0] > 1024 and published[80][1] == ""
    world.host.docker("volume", "ls")


async def test_without_a_controller_an_ended_container_is_started_again_in_place(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    before = await world.reach("t1", TaskState.RUNNING)
    await world.cut()
    world.host.kill_container("bp-t1")
    await world.until("t1 is dead", lambda: not world.host.containers(running=True))
    took_s = await world.until("t1 runs again", lambda: world.host.containers(running=True), 15.0)
    assert took_s > 3.0  # a controller that merely restarts gets the chance to replace it
    await world.heal()
    assert world.host.containers(running=True) == [before.container_id]
    told = world.hellos[-1].tasks[0]
    assert (told.state, told.restarts) == (TaskState.RUNNING, 1)


async def test_a_lost_journal_changes_nothing(world: World, tmp_path: object) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    before = await world.reach("t1", TaskState.RUNNING)
    await world.kill_agent()
    for file in world.journal_files():
        file.write_bytes(b"garbled")
    await world.start_agent()
    await world.reach("t1", TaskState.RUNNING)
    assert world.host.containers(running=True) == [before.container_id]


async def test_an_unknown_container_of_ours_is_kept_until_a_whole_set_arrives(world: World) -> None:
    labels = ("--label", "bayplan.node=n1", "--label", "bayplan.task=old")
    world.host.docker("run", "-d", "--stop-timeout", "1", "--name", "bp-old", *labels, IMAGE, "sleep", "1000")
    foreign = ("--label", "bayplan.node=n2", "--label", "bayplan.task=other")
    world.host.docker("run", "-d", "--name", "bp-other", *foreign, IMAGE, "sleep", "1000")
    await world.start_agent()
    assert [told.task_id for told in world.hellos[-1].tasks] == ["old"]
    assert len(world.host.containers(running=True)) == 2
    world.assign("t1", sleeper())
    await world.until("the zombie is gone", lambda: "old" in world.gone)
    await world.reach("t1", TaskState.RUNNING)
    assert world.host.inspect("bp-other")["State"]["Running"] is True  # type: ignore[index]


async def test_an_engine_that_is_killed_and_comes_back_costs_no_container(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    world.assign("t2", sleeper())
    await world.reach("t1", TaskState.RUNNING)
    before = await world.reach("t2", TaskState.RUNNING)
    started = world.host.inspect("bp-t1")["State"]["StartedAt"]  # type: ignore[index]
    world.host.kill_engine()
    world.host.start_engine()
    world.host.kill_container("bp-t2")
    await world.reach("t2", TaskState.FAILED)
    assert world.states("t1")[-1] is TaskState.RUNNING
    assert world.host.inspect("bp-t1")["State"]["StartedAt"] == started  # type: ignore[index]
    world.withdraw("t2")
    await world.until("t2 is removed", lambda: "t2" in world.gone)
    assert before.container_id not in world.host.containers()


async def test_preflight_names_every_fault(world: World) -> None:
    await world.start_agent()
    result = await world.preflight(
        images=(IMAGE, "nosuch:1"), ports=(PortCheck(port=1),), paths=("/", "/nosuch")
    )
    assert [fault.subject for fault in result.faults] == ["nosuch:1", "/nosuch"]
    assert result.faults[0].reason.startswith("image nosuch:1 cannot be pulled: ")


async def test_output_comes_by_line_with_stream_and_time_and_follows(world: World) -> None:
    await world.start_agent()
    world.assign("t1", shell("echo one; echo two >&2; sleep 1; echo three; sleep 1000"))
    world.assign("tty", shell("echo alpha", tty=True))
    await world.reach("t1", TaskState.RUNNING)
    await world.reach("tty", TaskState.COMPLETE)
    texts = await world.logs(LogPull(request_id="r1", task_ids=("t1", "tty", "none"), follow=True), 4)
    assert sorted(texts) == [b"alpha", b"one", b"three", b"two"]
    streams = {line.text: str(line.stream) for line in world.lines}
    assert (streams[b"one"], streams[b"two"]) == ("stdout", "stderr")
    assert all(abs(line.time_ns - time.time_ns()) < 30e9 for line in world.lines)
    assert world.warnings == ["no output of task none: it has no container on this node"]


async def test_a_create_whose_outcome_was_lost_is_adopted(world: World) -> None:
    labels = ("--label", "bayplan.node=n1", "--label", "bayplan.task=t1")
    await world.start_agent()
    made = world.host.docker("create", "--name", "bp-t1", *labels, IMAGE, "sleep", "1000")
    world.assign("t1", sleeper())
    assert (await world.reach("t1", TaskState.RUNNING)).container_id == made


async def test_a_name_that_someone_else_has_taken_is_a_refusal(world: World) -> None:
    await world.start_agent()
    world.host.docker("create", "--name", "bp-t1", IMAGE)
    world.assign("t1", sleeper())
    message = (await world.reach("t1", TaskState.REJECTED)).message
    assert message == "the name bp-t1 is taken by a container of someone else"


async def test_a_network_that_vanishes_is_made_again_for_the_next_task(world: World) -> None:
    shop = (NetworkAttachment(network="shop_default"),)
    await world.start_agent()
    world.assign("t1", shell("exit 0", networks=shop))
    await world.reach("t1", TaskState.COMPLETE)
    await world.until("the network is free", lambda: world.host.docker("network", "prune", "-f"))
    world.assign("t2", sleeper(networks=shop))
    await world.reach("t2", TaskState.REJECTED)
    world.assign("t3", sleeper(networks=shop))
    await world.reach("t3", TaskState.RUNNING)


async def test_many_tasks_start_and_go_within_the_nodes_slots(world: World) -> None:
    await world.start_agent()
    names = [f"t{number:02}" for number in range(12)]
    for name in names:
        world.assign(name, sleeper())
    for name in names:
        await world.reach(name, TaskState.RUNNING, 60)
    for name in names:
        world.withdraw(name)
    await world.until("all are gone", lambda: set(names) <= world.gone, 60)
    assert world.host.containers() == []


async def test_a_task_is_made_ready_and_starts_when_its_turn_comes(world: World) -> None:
    await world.start_agent()
    shop = (NetworkAttachment(network="shop_default"),)
    world.assign("t1", sleeper(networks=shop), Desired.READY)
    await world.until("it is ready", lambda: (status := world.status("t1")) and status.container_id)
    made = world.host.inspect("bp-t1")
    assert made["State"]["Status"] == "created"  # type: ignore[index]
    assert world.host.networks() == ["shop_default"]
    await world.kill_agent()
    await world.start_agent()
    assert world.hellos[-1].tasks[0].state is TaskState.PREPARING
    await asyncio.sleep(0.5)
    assert world.host.containers(running=True) == []
    world.assign("t1", None, Desired.RUN)
    assert (await world.reach("t1", TaskState.RUNNING)).container_id == made["Id"]
    world.assign("t2", sleeper(), Desired.READY)
    await world.until("t2 is ready", lambda: (status := world.status("t2")) and status.container_id)
    world.assign("t2", None, Desired.STOP)
    await world.reach("t2", TaskState.SHUTDOWN)
    assert world.host.containers() == [made["Id"]]
