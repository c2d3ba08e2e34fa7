"""A container engine in memory: containers, pulls, health checks, exits, ports; calls that are slow, fail
or hang.

What a container does follows from its image's name (see IMAGES). A call that is not answered may have
been carried out all the same, and one whose caller died goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

from agent import commands as do
from agent import events as ev
from agent.runtime.calls import START_DEADLINE_S
from bayplan.model import BoundPort, ContainerSpec, Health, Inventory, PreflightFault, Resources
from bayplan.session import PreflightResult
from tests.sim.clock import WALL_START_MS, Clock

#: Images that can be pulled, and how their containers behave.
IMAGES = {
    "app": "runs until it is told to stop, and then stops at once",
    "slow": "needs most of its grace to stop",
    "crash": "exits with code 1 after half a second",
    "job": "exits with code 0 after a second",
    "sick": "its health check fails",
}
#: Ports that the engine chooses for containers begin here.
EPHEMERAL_PORT = 32_768
#: A call that is not answered is given up after this time.
CALL_DEADLINE_MS = int(START_DEADLINE_S * 1000)
#: A process of the image `crash` lives so long, one of `job` twice as long.
SHORT_LIFE_MS = 500


@dataclass
class Box:
    """A container as the engine has it. `started_ms`, `first_ms` (its first start) and `ended_ms` are world
    time."""

    task_id: str
    container_id: str
    spec: ContainerSpec
    labels: dict[str, str]
    stop_grace_ms: int
    phase: ev.Phase = ev.Phase.CREATED
    health: Health = Health.NONE
    exit_code: int | None = None
    oom_killed: bool = False
    address: str = ""
    ports: tuple[BoundPort, ...] = ()
    changed_ms: int = 0
    started_ms: int = 0
    first_ms: int = 0
    ended_ms: int = 0
    runs: int = 0

    @property
    def addresses(self) -> dict[str, str]:
        """Those that it was made with."""
        return {each.network: each.ipv4_address for each in self.spec.networks if each.ipv4_address}

    def view(self) -> ev.Container:
        """The container as the agent's runtime shows it."""
        exited = self.phase is ev.Phase.EXITED
        networks = tuple(sorted(each.network for each in self.spec.networks)) or ("bridge",)
        return ev.Container(
            task_id=self.task_id,
            container_id=self.container_id,
            phase=self.phase,
            health=self.health,
            probe_output="probe: connection refused" if self.health is Health.UNHEALTHY else "",
            exit_code=self.exit_code if exited else None,
            oom_killed=self.oom_killed and exited,
            address=self.address,
            ports=self.ports,
            networks=networks,
            addresses=self.addresses,
            changed_ms=self.changed_ms,
            stop_grace_ms=self.stop_grace_ms,
        )


Answer = Callable[[ev.Event], None]
_UNANSWERED = ev.Fault(kind=ev.FaultKind.UNANSWERED, reason="the engine did not answer")
_CONTAINER_COMMANDS = (do.CreateContainer, do.StartContainer, do.StopContainer, do.RemoveContainer)


class Engine:
    """One machine's engine. `seen` hears (action, container) in order; `started` every start."""

    def __init__(self, clock: Clock, rng: random.Random, name: str, capacity: Resources, subnet: int) -> None:
        self.name = name
        self.boxes: dict[str, Box] = {}
        #: When each container was removed, by task, in world time.
        self.removed_ms: dict[str, int] = {}
        self.networks: set[str] = set()
        self.images: set[str] = set()
        self.inventory = Inventory(hostname=name, capacity=capacity, engine_version="sim", os="linux")
        #: The share of calls that are not answered, and the factor by which all are slower.
        self.trouble = 0.0
        self.slowness = 1
        #: It stands still (SIGSTOP): what falls due happens when it goes on.
        self.hangs = False
        #: No pull gets on.
        self.pulls_stall = False
        #: The wall clock of its machine beside the world's.
        self.wall_ahead_ms = 0
        self.seen: Callable[[str, Box], None] = lambda action, box: None
        self._stuck: list[Callable[[], None]] = []
        self._stalled: list[Callable[[], None]] = []
        self._clock, self._rng, self._subnet = clock, rng, subnet
        #: When the last call about each container is carried out, by task, in world time.
        self._turns_ms: dict[str, int] = {}
        self._made = 0
        self._power = 0

    # --- what befalls it ---

    def power_off(self) -> None:
        """Every process ends at once, and every call under way."""
        self._power += 1
        self.hangs, self._stuck, self._stalled = False, [], []
        for box in self.boxes.values():
            if box.phase is ev.Phase.RUNNING:
                self._mark_exited(box, 255)
                self.seen("die", box)

    def kill(self, box: Box, exit_code: int = 137, oom_killed: bool = False) -> None:
        """A container's process dies."""
        if box.phase is ev.Phase.RUNNING:
            box.oom_killed = oom_killed
            self._mark_exited(box, exit_code)
            self.seen("die", box)

    def sicken(self, box: Box) -> None:
        """A container's health check begins to fail."""
        if box.phase is ev.Phase.RUNNING and box.health is Health.HEALTHY:
            box.health = Health.UNHEALTHY
            self.seen("health_status", box)

    def go_on(self) -> None:
        """It hangs no more: all that fell due meanwhile happens now, in order."""
        self.hangs = False
        stuck, self._stuck = self._stuck, []
        for act in stuck:
            act()

    def pull_on(self) -> None:
        """Pulls get on again."""
        self.pulls_stall = False
        stalled, self._stalled = self._stalled, []
        for act in stalled:
            self._after((50, 500), act)

    def take_away(self, box: Box) -> None:
        """Somebody removes a container by hand."""
        self._remove(box.task_id)

    def wall_ms(self) -> int:
        """What the machine's wall clock shows."""
        return WALL_START_MS + self._clock.now_ms + self.wall_ahead_ms

    def running(self) -> list[Box]:
        """The containers that run, by task."""
        return [box for _, box in sorted(self.boxes.items()) if box.phase is ev.Phase.RUNNING]

    # --- calls ---

    def perform(self, command: Any, answer: Answer) -> None:
        """Carry a command out; exactly one answer, unless the caller is gone by then."""
        match command:
            case do.PullImage(image=image):
                self._call((150, 900), lambda done: self._begin_pull(image, done), _failure(command), answer)
            case do.RemoveNetwork(network=network):
                self._call(
                    (5, 60), lambda done: done(self._remove_network(network)), _failure(command), answer
                )
            case do.KeepOverlays(overlays=overlays):
                names = tuple(overlay.network for overlay in overlays)
                self._after((5, 50), lambda: answer(ev.OverlaysKept(made=names)))
            case do.CheckPreflight(link=link, preflight=asked):
                self._after(
                    (10, 300), lambda: answer(ev.PreflightChecked(link=link, result=self._check(asked)))
                )
            case _:
                handle, fail = (lambda done: self._handle(command, done)), _failure(command)
                self._call((10, 150), handle, fail, answer, getattr(command, "task_id", ""))

    def _call(
        self,
        took_ms: tuple[int, int],
        act: Callable[[Answer], None],
        fail: Callable[[ev.Fault], ev.Event],
        answer: Answer,
        task_id: str = "",
    ) -> None:
        """Cases: it works; it never arrived; it works but the caller hears nothing, or too early. A caller
        that waited for its deadline does not hear what comes later. As with Docker, which locks a container
        while a call is at it, calls about one container are carried out in their order."""
        answer = _once(answer)
        self._clock.after(CALL_DEADLINE_MS, lambda: answer(fail(_UNANSWERED)))
        if self._rng.random() >= self.trouble:
            self._after(took_ms, lambda: act(answer), task_id)
            return
        if self._rng.random() < 0.6:
            self._after((took_ms[0], took_ms[1] * 4), lambda: act(lambda event: None), task_id)
        self._after((took_ms[0], took_ms[1] * 3), lambda: answer(fail(_UNANSWERED)))

    def _after(self, took_ms: tuple[int, int], act: Callable[[], None], task_id: str = "") -> None:
        power, at_ms = self._power, self._clock.now_ms + self._rng.randint(*took_ms) * self.slowness
        if task_id:
            at_ms = self._turns_ms[task_id] = max(at_ms, self._turns_ms.get(task_id, 0) + 1)

        def due() -> None:
            if self._power != power:
                return
            if self.hangs:
                self._stuck.append(act)
            else:
                act()

        self._clock.at(at_ms, due)

    def _handle(self, command: Any, done: Answer) -> None:
        match command:
            case do.CreateContainer():
                done(self._create(command))
            case do.StartContainer(task_id=task_id):
                done(self._start(task_id))
            case do.StopContainer(task_id=task_id, grace_ms=grace_ms):
                self._stop(task_id, grace_ms, done)
            case do.RemoveContainer(task_id=task_id):
                done(self._remove(task_id))
            case do.RunHooks():
                done(self._run_hooks(command))
            case _:
                assert_never(command)

    def _create(self, command: do.CreateContainer) -> ev.Event:
        known = self.boxes.get(command.task_id)
        if known is not None:
            return ev.ContainerCreated(container=known.view())
        if command.spec.image not in self.images:
            return _refused(command.task_id, ev.FaultKind.NO_IMAGE, f"no such image: {command.spec.image}")
        self._made += 1
        box = Box(
            task_id=command.task_id,
            container_id=f"{self.name}-{self._made}",
            spec=command.spec,
            labels=dict(command.config["Labels"]),
            stop_grace_ms=command.config["StopTimeout"] * 1000,
        )
        self.boxes[box.task_id] = box
        self.networks.update(each.network for each in command.spec.networks)
        self.seen("create", box)
        return ev.ContainerCreated(container=box.view())

    def _start(self, task_id: str) -> ev.Event:
        box = self.boxes.get(task_id)
        if box is None:
            return _refused(task_id, ev.FaultKind.NO_CONTAINER, "no such container")
        if box.phase is not ev.Phase.RUNNING:
            taken = self._bound()
            wanted = {(port.published, port.protocol) for port in box.spec.ports if port.published}
            if wanted & taken:
                return _refused(task_id, ev.FaultKind.REFUSED, "port is already allocated")
            self._run(box)
        return ev.ContainerStarted(container=box.view())

    def _run(self, box: Box) -> None:
        self._made += 1
        box.phase, box.exit_code, box.oom_killed = ev.Phase.RUNNING, None, False
        box.runs += 1
        own = f"172.{self._subnet}.{self._made // 250}.{self._made % 250}"
        box.address = next(iter(box.addresses.values()), own)
        box.ports = tuple(
            BoundPort(target=port.target, published=port.published or EPHEMERAL_PORT + self._made)
            for port in box.spec.ports
        )
        box.started_ms = self._clock.now_ms
        box.first_ms = box.first_ms or box.started_ms
        box.changed_ms = self.wall_ms()
        box.health = Health.STARTING if box.spec.health_check else Health.NONE
        self.seen("start", box)
        run = box.runs
        if box.spec.image in ("crash", "job"):
            life, code = (SHORT_LIFE_MS, 1) if box.spec.image == "crash" else (2 * SHORT_LIFE_MS, 0)
            self._after((life, life), lambda: self.kill(box, code) if box.runs == run else None)
        if box.spec.health_check is not None:
            check = box.spec.health_check
            sick = box.spec.image == "sick"
            first = check.interval_ms * (check.retries if sick else 1)
            verdict = Health.UNHEALTHY if sick else Health.HEALTHY
            self._after((first, first), lambda: self._judge(box, run, verdict))

    def _judge(self, box: Box, run: int, verdict: Health) -> None:
        if box.phase is ev.Phase.RUNNING and box.runs == run and box.health is not verdict:
            box.health = verdict
            self.seen("health_status", box)

    def _run_hooks(self, command: do.RunHooks) -> ev.Event:
        """Hooks succeed where the container still runs."""
        box = self.boxes.get(command.task_id)
        if box is None or box.phase is not ev.Phase.RUNNING:
            return _hooks_failed(
                command, ev.Fault(kind=ev.FaultKind.REFUSED, reason="container is not running")
            )
        return ev.HooksDone(task_id=command.task_id, started_ms=command.started_ms)

    def _stop(self, task_id: str, grace_ms: int, done: Answer) -> None:
        box = self.boxes.get(task_id)
        if box is None:
            done(_refused(task_id, ev.FaultKind.NO_CONTAINER, "no such container"))
            return
        run = box.runs

        def ends() -> None:
            if box.runs == run:
                self.kill(box, 0)
            done(ev.ContainerStopped(container=box.view()))

        if box.phase is not ev.Phase.RUNNING:
            ends()
        else:
            lasts = (grace_ms * 3 // 4, grace_ms) if box.spec.image == "slow" else (5, 100)
            self._after(lasts, ends)

    def _remove(self, task_id: str) -> ev.Event:
        box = self.boxes.get(task_id)
        if box is not None:
            self.kill(box)
            del self.boxes[task_id]
            self.removed_ms[task_id] = self._clock.now_ms
            self.seen("destroy", box)
        return ev.ContainerRemoved(task_id=task_id)

    def _begin_pull(self, image: str, done: Answer) -> None:
        if self.pulls_stall:
            self._stalled.append(lambda: self._begin_pull(image, done))
        else:
            done(self._pull(image))

    def _pull(self, image: str) -> ev.Event:
        if image not in IMAGES:
            reason = f"image {image} cannot be pulled: manifest unknown"
            return ev.PullFailed(image=image, fault=ev.Fault(kind=ev.FaultKind.REFUSED, reason=reason))
        self.images.add(image)
        return ev.ImagePulled(image=image)

    def _remove_network(self, network: str) -> ev.Event:
        if any(network in box.view().networks for box in self.boxes.values()):
            return ev.NetworkKept(network=network, reason="has active endpoints")
        self.networks.discard(network)
        return ev.NetworkRemoved(network=network)

    def _check(self, asked: Any) -> PreflightResult:
        unknown = [image for image in asked.images if image not in IMAGES]
        self.images.update(image for image in asked.images if image in IMAGES)
        taken = {port for port, _ in self._bound()}
        faults = [PreflightFault(subject=image, reason=f"image {image} does not exist") for image in unknown]
        faults += [
            PreflightFault(subject=f"{each.port}/{each.protocol}", reason=f"port {each.port} is taken")
            for each in asked.ports
            if each.port in taken
        ]
        return PreflightResult(ticket=asked.ticket, faults=tuple(faults))

    def _bound(self) -> set[tuple[int, str]]:
        return {(port.published, port.protocol) for box in self.running() for port in box.ports}

    def _mark_exited(self, box: Box, exit_code: int) -> None:
        box.phase, box.exit_code, box.ended_ms = ev.Phase.EXITED, exit_code, self._clock.now_ms
        box.changed_ms = self.wall_ms()
        box.address, box.ports, box.health = "", (), Health.NONE


def _once(answer: Answer) -> Answer:
    """Passes the first answer on, and no other."""
    waiting = True

    def first(event: ev.Event) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            answer(event)

    return first


def _failure(command: Any) -> Callable[[ev.Fault], ev.Event]:
    """The event that tells that a command failed."""

    def failed(fault: ev.Fault) -> ev.Event:
        match command:
            case do.PullImage(image=image):
                return ev.PullFailed(image=image, fault=fault)
            case do.RemoveNetwork(network=network):
                return ev.NetworkKept(network=network, reason=fault.reason)
            case do.RunHooks():
                return _hooks_failed(command, fault)
            case _:
                return ev.CommandFailed(task_id=command.task_id, fault=fault)

    return failed


def _hooks_failed(command: do.RunHooks, fault: ev.Fault) -> ev.Event:
    return ev.HooksFailed(task_id=command.task_id, fault=fault)


def _refused(task_id: str, kind: ev.FaultKind, reason: str) -> ev.Event:
    return ev.CommandFailed(task_id=task_id, fault=ev.Fault(kind=kind, reason=reason))
