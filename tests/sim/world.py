"""The whole cluster on virtual time, and the small language in which tests speak of it.

    world = World(seed=1)
    world.node("h1", cpu=4)
    world.deploy(stack("shop", service("web", replicas=2)))  # see stacks.py
    world.run(10)
    world.cut("h1")

The same seed gives the same trace. Invariants are checked after each event that changed something;
a broken one raises `BrokenError`, which prints the seed and the log, one line per change of state.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from agent.events import Phase
from bayplan.directory import EXTERNAL, key_of
from bayplan.directory.registrar import Registration
from bayplan.errors import Problem
from bayplan.model import Availability, Resources, ServiceSpec, StackSpec
from bayplan.views import RolloutAction
from controller.events import (
    DeployAsked,
    DeregisterAsked,
    JoinAsked,
    NodeRemoveAsked,
    NodeUpdateAsked,
    OverrideAsked,
    RebalanceAsked,
    RegisterAsked,
    RemoveAsked,
    Reply,
    RolloutAsked,
    ScaleAsked,
    ServiceRemoveAsked,
    ServiceRestartAsked,
    ServiceRollbackAsked,
    ServiceUpdateAsked,
    TokenMade,
)
from controller.records import Node, Task
from controller.state import State
from tests.sim.clock import WALL_START_MS, Clock
from tests.sim.control import Control
from tests.sim.copies import Copies
from tests.sim.engine import Box
from tests.sim.faults import Faults
from tests.sim.host import Host, Session
from tests.sim.intents import Intents, in_records
from tests.sim.invariants import ALL, Invariant, convergence
from tests.sim.link import Connection, Wire
from tests.sim.news import News, Part
from tests.sim.sight import Sight
from tests.sim.watchers import Watcher
from tests.sim.witness import Witness

#: Lines of the log that a failure prints.
LOG_LINES_SHOWN = 60
#: The world must have converged this long after the last fault.
CONVERGE_S = 30


#: Whoever wants a node out asks again after this time; after so many tries the machine is switched off.
REMOVE_AGAIN_MS = 3_000
REMOVE_TRIES = 4


class BrokenError(AssertionError):
    """An invariant does not hold."""


class World(Faults):
    """The controller and its hosts. The classes can be replaced by ones with a fault planted in."""

    def __init__(
        self,
        seed: int | str,
        *,
        delay_ms: tuple[int, int] = (0, 5),
        control: type[Control] = Control,
        host: type[Host] = Host,
        consolidation: bool = False,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.clock = Clock()
        self.rng = random.Random(f"{seed}/world")
        self.hosts: dict[str, Host] = {}
        self.hosts_by_id: dict[str, Host] = {}
        self.leaving = set()
        self.news = News(self.clock)
        self.copies = Copies()
        self.watchers: list[Watcher] = []
        self.replies: dict[str, Reply] = {}
        self.intents = Intents()
        self.addresses: dict[str, str] = {}
        self.registered: set[tuple[str, str, str, int]] = set()
        self.control = control(self.clock, str(seed), self._replied, self._turned, self.news)
        self.control.settings = replace(self.control.settings, consolidation=consolidation)
        self.control.on_crash = self._control_died
        self._host_class, self._delay_ms = host, delay_ms
        self._tickets = 0
        self._sight = Sight(self.news)
        self._invariants: list[Invariant] = [make() for make in ALL]
        #: Those who watch any of these parts, in their order.
        self._watching: dict[frozenset[Part], list[Invariant]] = {}
        self.held: dict[str, list[Task]] = {}
        self.control.start()
        self._ask(TokenMade, token_id="token", secret_hash="hash", expires_ms=WALL_START_MS * 2, uses=1_000)

    # --- building and asking ---

    def node(self, name: str, cpu: float = 4, **labels: str) -> Host:
        """A machine that joins and starts its agent."""
        wire = Wire(self.clock, random.Random(f"{self.seed}/wire/{name}"), self._delay_ms)
        capacity = Resources(cpu_millis=int(cpu * 1000), memory_bytes=8 << 30)
        subnet = 17 + len(self.hosts)
        host = self._host_class(
            name, self.clock, str(self.seed), wire, self._connect, self.news, capacity, subnet
        )
        asked: dict[str, Any] = {"token_id": "token", "secret_hash": "hash", "key_id": name, "name": name}
        self.addresses[name] = f"10.0.0.{subnet}"
        ticket = self._ask(JoinAsked, **asked, address=self.addresses[name], labels=labels)
        self._run_until(lambda: ticket in self.replies)
        node = self.replies[ticket].value
        assert isinstance(node, Node), self.replies[ticket]
        host.identity = type(host.identity)(node_id=node.id, cluster_id="sim")
        host.witness = Witness(self.clock, lambda witness: self._connect_witness(host, witness))
        self.hosts[name] = self.hosts_by_id[node.id] = host
        host.start_agent()
        return host

    def _clone_of(self, host: Host, wire: Wire) -> Host:
        made = self._host_class(
            f"{host.name}-clone",
            self.clock,
            f"{self.seed}/{self.clock.now_ms}",
            wire,
            self._connect,
            News(self.clock),
            host.engine.inventory.capacity,
            99,
        )
        made.identity = host.identity
        return made

    def nodes(self, count: int, cpu: float = 4) -> list[Host]:
        """Machines h1, h2, ... in session."""
        made = [self.node(f"h{number}", cpu) for number in range(1, count + 1)]
        self.run(2)
        return made

    def deploy(self, spec: StackSpec) -> str:
        """Ask for a stack, and for nothing else in it; returns the ticket."""
        return self._ask(DeployAsked, self.intents.deploy, spec, stack=spec, prune=True)

    def remove(self, name: str) -> str:
        """Ask for a stack to go; returns the ticket."""
        return self._ask(RemoveAsked, self.intents.remove, name, stack=name)

    def scale(self, full_name: str, replicas: int) -> str:
        """Ask for another number of replicas; returns the ticket."""
        of = full_name.partition("_")[0]
        asked = (of, full_name, replicas)
        return self._ask(ScaleAsked, self.intents.scale, *asked, service=full_name, replicas=replicas)

    def update_service(self, full_name: str, spec: ServiceSpec) -> str:
        """Ask for another spec of a service; returns the ticket."""
        of = full_name.partition("_")[0]
        return self._ask(
            ServiceUpdateAsked, self.intents.update, of, full_name, spec, service=full_name, spec=spec
        )

    def restart_service(self, full_name: str) -> str:
        """Ask for new tasks of the same spec; returns the ticket."""
        of = full_name.partition("_")[0]
        return self._ask(ServiceRestartAsked, self.intents.go_back, of, full_name, service=full_name)

    def roll_back(self, full_name: str) -> str:
        """Ask for the version before the current one; returns the ticket."""
        of = full_name.partition("_")[0]
        return self._ask(ServiceRollbackAsked, self.intents.go_back, of, full_name, service=full_name)

    def steer(self, full_name: str, action: RolloutAction) -> str:
        """Ask for a rollout to pause, go on, promote its canaries or go back; returns the ticket."""
        of = full_name.partition("_")[0]
        return self._ask(RolloutAsked, self.intents.go_back, of, full_name, service=full_name, action=action)

    def register(self, service: str, entry_id: str, stack: str = EXTERNAL, ttl_s: float = 10) -> str:
        """Somebody from outside asks to be found; returns the ticket."""
        port = 9_000 + len(self.registered)
        asked = Registration(
            id=entry_id,
            service=service,
            stack=stack,
            address="192.0.2.1",
            port=port,
            ttl_ms=int(ttl_s * 1000),
        )
        self.registered.add((key_of(stack, service), entry_id, asked.address, port))
        return self._ask(RegisterAsked, registration=asked)

    def deregister(self, service: str, entry_id: str, stack: str = EXTERNAL) -> str:
        """It leaves; returns the ticket."""
        return self._ask(DeregisterAsked, stack=stack, service=service, id=entry_id)

    def override(self, stack: str, service: str, entry_id: str, **word: Any) -> str:
        """An operator drains an instance, weighs it, or takes that back; returns the ticket."""
        return self._ask(OverrideAsked, stack=stack, service=service, id=entry_id, **word)

    def take_back(self, stack: str, service: str, entry_id: str) -> None:
        """What was said of an instance holds no more."""
        self.override(stack, service, entry_id, clear=True)

    def rebalance(self) -> str:
        """Ask for the load to be evened out; returns the ticket."""
        return self._ask(RebalanceAsked)

    def remove_service(self, full_name: str) -> str:
        """Ask for one service to go; returns the ticket."""
        of = full_name.partition("_")[0]
        return self._ask(ServiceRemoveAsked, self.intents.remove_service, of, full_name, service=full_name)

    def update_node(self, name: str, availability: Availability, deadline_s: float = 0) -> str:
        """Ask for a node to be drained, paused or active; returns the ticket."""
        deadline_ms = int(deadline_s * 1000) if availability is Availability.DRAIN else 0
        return self._ask(
            NodeUpdateAsked,
            self.intents.update_node,
            name,
            availability,
            node=name,
            availability=availability,
            deadline_ms=deadline_ms,
        )

    def take_out(self, name: str, *, drained: bool) -> None:
        """A machine shall leave for good: drained before, or switched off. It is asked for until its node is
        gone; one that cannot be emptied is switched off as well, and nothing of it comes back."""
        self.leaving.add(name)
        if drained:
            self.update_node(name, Availability.DRAIN)
        else:
            self._switch_off(name)
        self.clock.after(REMOVE_AGAIN_MS if drained else 0, lambda: self._remove_node(name, REMOVE_TRIES))

    def _remove_node(self, name: str, tries: int) -> None:
        host = self.hosts[name]
        gone = ("Node", host.identity.node_id) not in self.control.records
        if gone or not tries:
            self._switch_off(name)
        if not gone:
            force = not host.powered
            self._ask(NodeRemoveAsked, self.intents.remove_node, name, node=name, force=force)
            self.clock.after(REMOVE_AGAIN_MS, lambda: self._remove_node(name, tries - 1))

    def _switch_off(self, name: str) -> None:
        if self.hosts[name].powered:
            self.power_off(name)

    def watch(self, full_name: str, ack_s: float = 0.05) -> Watcher:
        """Somebody watches a service, and acknowledges each view after a while."""
        name = f"watcher-{len(self.watchers) + 1}"
        watcher = Watcher(self.clock, self.control, full_name, name, int(ack_s * 1000))
        self.watchers.append(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """A watcher leaves."""
        self.watchers.remove(watcher)
        watcher.leave()

    def problem(self, ticket: str) -> Problem | None:
        """Why a request was refused; it must have been answered."""
        return self.replies[ticket].problem

    def accepted(self, ticket: str) -> bool:
        """Whether a request was answered with a yes."""
        return ticket in self.replies and self.replies[ticket].problem is None

    def answered(self, ticket: str, within_s: float = CONVERGE_S) -> bool:
        """Let time pass until a request is answered; returns whether with a yes."""
        self.run_until(lambda: ticket in self.replies, within_s)
        return self.accepted(ticket)

    def forget_intents(self, name: str) -> None:
        """Nobody holds the controller to what it promised about a stack (its disk is replaced)."""
        self.intents.may_be.pop(name, None)

    def _ask(self, event: type[Any], intend: Any = None, *intent: Any, **fields: Any) -> str:
        self._tickets += 1
        ticket = f"ticket-{self._tickets}"
        if self.control.running:
            if intend is not None:
                intend(ticket, *intent)
                about = fields.get("stack") or fields.get("service") or f"{fields.get('node')} {intent[-1]}"
                about = getattr(about, "name", about)
                self.news.tell(f"user asks {event.__name__} {about} ({ticket})")
            self.control.post(event(ticket=ticket, **fields))
        return ticket

    # --- looking ---

    @property
    def state(self) -> State:
        """What the running controller knows."""
        return self.control.state

    @property
    def trace(self) -> list[str]:
        """The log, one line per change of state."""
        return self.news.trace

    def boxes(self, stack_name: str = "", *, running: bool = True) -> list[tuple[Host, Box]]:
        """All containers (of a stack), by host and task."""
        return [
            (host, box)
            for _, host in sorted(self.hosts.items())
            for _, box in sorted(host.engine.boxes.items())
            if (not stack_name or box.labels["bayplan.stack"] == stack_name)
            and (not running or box.phase is Phase.RUNNING)
        ]

    def container_ids(self, stack_name: str = "") -> list[str]:
        """The ids of the running containers."""
        return sorted(box.container_id for _, box in self.boxes(stack_name))

    # --- running ---

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until_ms = self.clock.now_ms + int(seconds * 1000)
        with self._told():
            while self.clock.step(until_ms):
                if self.news.parts:
                    self._check()

    def run_until(self, what: Callable[[], bool], within_s: float = CONVERGE_S) -> float:
        """Let time pass until something is so; returns the seconds that it took."""
        began_ms = self.clock.now_ms
        self._run_until(what, within_s)
        return (self.clock.now_ms - began_ms) / 1000

    def converge(self, within_s: float = CONVERGE_S) -> float:
        """Let time pass until all is as wanted; returns the seconds that it took."""
        began_ms = self.clock.now_ms
        with self._told():
            while left := convergence.missing(self):
                due = self.clock.now_ms + 100
                if due > began_ms + within_s * 1000:
                    raise BrokenError(f"not converged after {within_s} s: {'; '.join(left)}")
                while self.clock.step(due):
                    if self.news.parts:
                        self._check()
        return (self.clock.now_ms - began_ms) / 1000

    def _run_until(self, what: Callable[[], bool], within_s: float = CONVERGE_S) -> None:
        until_ms = self.clock.now_ms + int(within_s * 1000)
        with self._told():
            while not what():
                if not self.clock.step(until_ms):
                    raise BrokenError(f"did not come about within {within_s} s")
                if self.news.parts:
                    self._check()

    def _check(self) -> None:
        """Let the checkers look at what they watch of what has changed."""
        parts = frozenset(self.news.parts)
        watching = self._watching.get(parts)
        if watching is None:
            watching = [each for each in self._invariants if not parts.isdisjoint(each.watches)]
            self._watching[parts] = watching
        self.copies.update(self)
        for invariant in watching:
            fault = invariant.check(self)
            if fault:
                raise BrokenError(f"{type(invariant).__name__}: {fault}")
        self.held.clear()
        self.news.clear()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let a failure tell its seed and what came before."""
        try:
            yield
        except Exception as error:
            tail = "\n".join(self.news.trace[-LOG_LINES_SHOWN:])
            error.add_note(f"seed {self.seed}, at {self.clock.now_ms / 1000:.3f} s; the log's end:\n{tail}")
            raise

    # --- what the parts tell ---

    def _connect(self, session: Session) -> Connection | None:
        if self.old_control is not None and self.rng.random() < 0.5:
            return self.old_control.accept(session, session.host.identity.node_id)
        return self.control.accept(session, session.host.identity.node_id)

    def _connect_witness(self, host: Host, witness: Witness) -> Connection | None:
        if any(host.wire.is_cut):
            return None
        return self.control.accept_witness(witness, host.wire, host.identity.node_id)

    def _replied(self, reply: Reply) -> None:
        self.replies[reply.ticket] = reply
        answer = reply.problem.summary if reply.problem else "accepted"
        stack_name = self.intents.answered(reply.ticket, reply.problem is None)
        self.news.tell(f"reply {reply.ticket}: {answer}", Part.SERVICES)
        if stack_name:
            readings = in_records(self.control.records.values()).get(stack_name, [{}])
            allowed = self.intents.allowed(stack_name)
            if not any(reading in allowed for reading in readings):
                raise BrokenError(f"{reply.ticket} was answered, and {stack_name} is not durably so")

    def _turned(self) -> None:
        self._sight.look(self.state)
        for watcher in self.watchers:
            watcher.look(self.state)
