"""A controller that answers from a table: the real contract on a real unix socket, nothing behind it.

`world.stack(...)` and friends fill the table; `world.after_deploy` says how a deploy goes on. Requests
are kept, so that a test can see that nothing was sent.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import msgspec

from bayplan.errors import Problem, ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Availability,
    BoundPort,
    ContainerSpec,
    Desired,
    FileKind,
    Instance,
    Inventory,
    LogLine,
    NodeStatus,
    PortMode,
    PortSpec,
    Resources,
    ServiceSpec,
    StackSpec,
    TaskStatus,
)
from bayplan.rpc_errors import PROBLEM_KEY, STATUS_OF_KIND
from bayplan.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    container_pb2,
    event_pb2,
    event_pb2_grpc,
    explain_pb2,
    explain_pb2_grpc,
    file_pb2,
    file_pb2_grpc,
    network_pb2,
    network_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    rollout_pb2,
    rollout_pb2_grpc,
    service_pb2,
    service_pb2_grpc,
    stack_pb2,
    stack_pb2_grpc,
    task_pb2,
    task_pb2_grpc,
)
from bayplan.views import (
    Deployed,
    Event,
    Explanation,
    FileView,
    Move,
    NetworkUser,
    NetworkView,
    NodeView,
    Plan,
    RegistryEntry,
    RevisionView,
    RolloutView,
    ServiceAction,
    ServiceChange,
    ServicePlan,
    ServiceView,
    StackView,
    TaskView,
)
from bayplan.wire import from_pb, to_pb


def now_ms() -> int:
    """Asked each time: ages that are shown must not depend on how long the tests have run."""
    return int(time.time() * 1_000)


GIB = 1024**3


def service(name: str, desired: int = 1, ready: int | None = None, **fields: Any) -> ServiceView:
    stack = name.split("_", maxsplit=1)[0]
    ready = desired if ready is None else ready
    given = {"running": ready, "ready": ready, "current": ready, "version": 1, "image": "demo:1", **fields}
    return ServiceView(id=f"svc{name}0123456789", name=name, stack=stack, desired=desired, **given)


def task(name: str, state: TaskState = TaskState.RUNNING, node: str = "n1", **fields: Any) -> TaskView:
    """`task("shop_web.2")`; status fields and view fields alike, by name."""
    owner, _, slot = name.rpartition(".")
    status_names = {field.name for field in msgspec.structs.fields(TaskStatus)}
    seen = {key: fields.pop(key) for key in list(fields) if key in status_names}
    id_ = fields.pop("id", f"t{slot}{owner}v{fields.get('version', 1)}xxxxxxxxxx")
    status = TaskStatus(task_id=id_, state=state, **{"since_ms": now_ms() - 180_000, **seen})
    view = {
        "version": 1, "image": "demo:1", "desired": Desired.RUN, "created_ms": now_ms() - 200_000,
        "node": node, "node_address": "10.0.0.1", **fields,
    }  # fmt: skip
    return TaskView(id=id_, service=owner, slot=int(slot), status=status, **view)


def node(name: str, status: NodeStatus = NodeStatus.READY, **fields: Any) -> NodeView:
    given = {
        "availability": Availability.ACTIVE,
        "address": "10.0.0.1",
        "inventory": Inventory(
            hostname=name,
            capacity=Resources(cpu_millis=8_000, memory_bytes=32 * GIB),
            engine_version="28.2.2",
            agent_version="0.1.0",
            os="linux",
            arch="x86_64",
        ),
        "reserved": Resources(cpu_millis=1_500, memory_bytes=GIB // 2),
        **fields,
    }
    return NodeView(id=f"node{name}0123456789", name=name, status=status, **given)


KINDS = {container_pb2.FILE_KIND_CONFIG: FileKind.CONFIG, container_pb2.FILE_KIND_SECRET: FileKind.SECRET}


def stored(kind: FileKind, name: str, content: bytes = b"content", **fields: Any) -> FileView:
    """A config or secret; the content is kept only where a client may see it."""
    given = {
        "version": 1, "created_ms": now_ms() - 7_200_000, "updated_ms": now_ms() - 180_000,
        "digest": hashlib.sha256(f"{kind}{name}".encode()).hexdigest(), **fields,
    }  # fmt: skip
    shown = content if kind is FileKind.CONFIG else None
    return FileView(kind=kind, name=name, size_bytes=len(content), content=shown, **given)


WEB_PORT = PortSpec(target=80, published=8080, mode=PortMode.INGRESS)
BOUND_PORT = BoundPort(target=80, published=8080)


class World:
    """What the controller shows, and what it was asked."""

    def __init__(self) -> None:
        self.services: dict[str, ServiceView] = {}
        self.specs: dict[str, ServiceSpec] = {}
        self.tasks: list[TaskView] = []
        self.nodes: list[NodeView] = []
        self.instances: dict[tuple[str, str], tuple[Instance, ...]] = {}
        self.events: list[Event] = []
        self.problems: list[str] = []
        self.lines: list[LogLine] = []
        self.names: dict[str, str] = {}
        self.asked: list[Any] = []
        self.refusal: Problem | None = None
        #: Index of the registry's copy on each node; the controller's is 7.
        self.copies: dict[str, int] = {}
        self.actions: list[ServiceChange] = []
        self.plan: Plan | None = None
        self.planned: list[Any] = []
        self.revision = 1
        self.specs_of_stack: dict[int, StackSpec] = {}
        self.files: list[FileView] = []
        users = (NetworkUser(service="shop_api"), NetworkUser(service="shop_web"))
        self.networks = [NetworkView(id="network-0", name="shop_default", stack="shop", services=users)]
        self.rollouts: dict[str, RolloutView] = {}
        self.explanation = Explanation(subject="shop_web")
        self.moves: tuple[Move, ...] = ()
        self.ended: tuple[str, ...] = ()
        self.acknowledged: list[Any] = []
        self.after_deploy: Callable[[World], None] = lambda _world: None
        self.keep_following = False
        self.strange = False
        self.stop_serving: Callable[[], None] = lambda: None
        self._watchers: list[queue.Queue[None]] = []
        self._lock = threading.Lock()

    def shop(self) -> None:
        """A stack with two services and three ready tasks on one node."""
        self.nodes = [node("n1", tasks=3)]
        self.put(service("shop_api", 1), service("shop_web", 2, ports=(WEB_PORT,)))
        self.tasks = [task("shop_api.1"), task("shop_web.1", ports=(BOUND_PORT,)), task("shop_web.2")]

    def put(self, *services: ServiceView) -> None:
        for each in services:
            self.services[each.name] = each
            self.specs.setdefault(
                each.name,
                ServiceSpec(
                    name=each.name.partition("_")[2],
                    container=ContainerSpec(image=each.image, command=("serve",), environment=("A=1",)),
                    replicas=each.desired,
                ),
            )

    def plan_of(self, stack: str) -> Plan:
        """The plan that a test gave, else one with the actions of the coming deploy."""
        services = tuple(ServicePlan(change=change) for change in self.actions)
        return self.plan or Plan(stack=stack, index=self.revision, services=services)

    def changed(self) -> None:
        """Wakes every watcher."""
        with self._lock:
            for watcher in self._watchers:
                watcher.put(None)

    def watch(self) -> queue.Queue[None]:
        watcher: queue.Queue[None] = queue.Queue()
        with self._lock:
            self._watchers.append(watcher)
        return watcher

    def stack_services(self, stack: str) -> list[ServiceView]:
        return [each for each in self.services.values() if stack in ("", each.stack)]


def fail(context: grpc.ServicerContext, problem: Problem) -> None:
    context.set_trailing_metadata(((PROBLEM_KEY, to_pb(problem).SerializeToString()),))
    context.abort(STATUS_OF_KIND[problem.kind], problem.summary)


def no_such(context: grpc.ServicerContext, what: str) -> None:
    fail(context, Problem(kind=ProblemKind.NOT_FOUND, summary=f"no {what}"))


class Door:
    def __init__(self, world: World) -> None:
        self.world = world


class Stacks(Door, stack_pb2_grpc.StackServiceServicer):
    def Deploy(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        if self.world.refusal:
            fail(context, self.world.refusal)
        return stack_pb2.DeployResponse(deployed=self._deployed())

    def PlanStack(self, request: Any, context: Any) -> Any:
        self.world.planned.append(request)
        return stack_pb2.PlanStackResponse(plan=to_pb(self.world.plan_of(request.stack.name)))

    def GetStack(self, request: Any, context: Any) -> Any:
        revision = request.revision or self.world.revision
        if revision not in self.world.specs_of_stack:
            no_such(context, f"revision {revision} of {request.stack}")
        spec = to_pb(self.world.specs_of_stack[revision])
        return stack_pb2.GetStackResponse(stack=spec, revision=revision)

    def ListRevisions(self, request: Any, context: Any) -> Any:
        newest_first = sorted(self.world.specs_of_stack, reverse=True)
        return stack_pb2.ListRevisionsResponse(
            revisions=[to_pb(self._revision(each)) for each in newest_first]
        )

    def Rollback(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        spec = self.world.specs_of_stack[request.revision]
        self.world.revision = max(self.world.specs_of_stack) + 1
        self.world.specs_of_stack[self.world.revision] = spec
        return stack_pb2.RollbackResponse(deployed=self._deployed())

    def _revision(self, number: int) -> RevisionView:
        return RevisionView(
            revision=number,
            time_ms=now_ms() - 60_000 * (10 - number),
            cause="deploy",
            services=len(self.world.specs_of_stack[number].services),
            current=number == self.world.revision,
        )

    def _deployed(self) -> Any:
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return to_pb(Deployed(changes=tuple(self.world.actions), revision=self.world.revision))

    def Remove(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        names = [each.name for each in self.world.stack_services(request.stack)]
        self.world.put(*(msgspec.structs.replace(self.world.services[name], removed=True) for name in names))
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return stack_pb2.RemoveResponse(services=names)

    def ListStacks(self, request: Any, context: Any) -> Any:
        stacks = sorted({each.stack for each in self.world.services.values()})
        return stack_pb2.ListStacksResponse(stacks=[to_pb(self._stack(stack)) for stack in stacks])

    def _stack(self, stack: str) -> StackView:
        found = self.world.stack_services(stack)
        return StackView(
            name=stack,
            services=len(found),
            desired=sum(each.desired for each in found),
            ready=sum(each.ready for each in found),
            revision=self.world.revision,
        )

    def WatchStack(self, request: Any, context: Any) -> Iterator[Any]:
        watcher = self.world.watch()
        context.add_callback(lambda: watcher.put(None))
        while context.is_active():
            services = self.world.stack_services(request.stack)
            tasks = [each for each in self.world.tasks if each.service.startswith(f"{request.stack}_")]
            yield stack_pb2.WatchStackResponse(services=map(to_pb, services), tasks=map(to_pb, tasks))
            watcher.get()


class Services(Door, service_pb2_grpc.ServiceServiceServicer):
    def ListServices(self, request: Any, context: Any) -> Any:
        found = self.world.stack_services(request.stack)
        return service_pb2.ListServicesResponse(services=map(to_pb, found))

    def GetService(self, request: Any, context: Any) -> Any:
        if request.service not in self.world.services:
            no_such(context, f"service {request.service}")
        view, spec = self.world.services[request.service], self.world.specs[request.service]
        return service_pb2.GetServiceResponse(view=to_pb(view), spec=to_pb(spec))

    def Scale(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        before = self.world.services[request.service]
        self.world.put(msgspec.structs.replace(before, desired=request.replicas))
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return service_pb2.ScaleResponse(service=before.name, before=before.desired, after=request.replicas)


class Rollouts(Door, rollout_pb2_grpc.RolloutServiceServicer):
    def CreateService(self, request: Any, context: Any) -> Any:
        self._refuse_or_note(request, context)
        spec = from_pb(request.spec)
        made = service(f"{request.stack}_{spec.name}", spec.replicas, ready=0, image=spec.container.image)
        self.world.services[made.name] = msgspec.structs.replace(made, mode=spec.mode, stack=request.stack)
        self.world.specs[made.name] = spec
        return rollout_pb2.CreateServiceResponse(deployed=self._changed(made.name, ServiceAction.CREATE))

    def UpdateService(self, request: Any, context: Any) -> Any:
        self._refuse_or_note(request, context)
        self.world.specs[request.service] = from_pb(request.spec)
        self._next_version(request.service)
        return rollout_pb2.UpdateServiceResponse(deployed=self._changed(request.service))

    def RollbackService(self, request: Any, context: Any) -> Any:
        self._refuse_or_note(request, context)
        self._next_version(request.service)
        return rollout_pb2.RollbackServiceResponse(deployed=self._changed(request.service))

    def RestartService(self, request: Any, context: Any) -> Any:
        self._refuse_or_note(request, context)
        self._next_version(request.service)
        return rollout_pb2.RestartServiceResponse(deployed=self._changed(request.service))

    def RemoveService(self, request: Any, context: Any) -> Any:
        self._refuse_or_note(request, context)
        view = self.world.services[request.service]
        self.world.services[view.name] = msgspec.structs.replace(view, removed=True)
        return rollout_pb2.RemoveServiceResponse(deployed=self._changed(view.name, ServiceAction.REMOVE))

    def GetRollout(self, request: Any, context: Any) -> Any:
        if request.service not in self.world.rollouts:
            no_such(context, f"service {request.service}")
        return rollout_pb2.GetRolloutResponse(rollout=to_pb(self.world.rollouts[request.service]))

    def ControlRollout(self, request: Any, context: Any) -> Any:
        self._refuse_or_note(request, context)
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return rollout_pb2.ControlRolloutResponse(rollout=to_pb(self.world.rollouts[request.service]))

    def _refuse_or_note(self, request: Any, context: Any) -> None:
        self.world.asked.append(request)
        if self.world.refusal:
            fail(context, self.world.refusal)

    def _next_version(self, name: str) -> None:
        """Tasks of the version before are outdated from now on."""
        view = self.world.services[name]
        self.world.services[name] = msgspec.structs.replace(view, version=view.version + 1, current=0)

    def _changed(self, name: str, action: ServiceAction = ServiceAction.UPDATE) -> Any:
        version = self.world.services[name].version
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return to_pb(
            Deployed(changes=(ServiceChange(service=name, action=action, version=version),), revision=2)
        )


class Explains(Door, explain_pb2_grpc.ExplainServiceServicer):
    def Explain(self, request: Any, context: Any) -> Any:
        if request.target not in (self.world.explanation.subject, *self.world.services):
            no_such(context, f"service {request.target}")
        return explain_pb2.ExplainResponse(explanation=to_pb(self.world.explanation))

    def Simulate(self, request: Any, context: Any) -> Any:
        return explain_pb2.SimulateResponse(moves=map(to_pb, self.world.moves), ended=self.world.ended)

    def Rebalance(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return explain_pb2.RebalanceResponse(moves=map(to_pb, self.world.moves))


class Events(Door, event_pb2_grpc.EventServiceServicer):
    def WatchEvents(self, request: Any, context: Any) -> Iterator[Any]:
        watcher = self.world.watch()
        context.add_callback(lambda: watcher.put(None))
        after = request.after
        while context.is_active():
            news = [each for each in self.world.events if each.index > after]
            if news:
                after = news[-1].index
                yield event_pb2.WatchEventsResponse(events=map(to_pb, news))
            if not request.follow:
                return
            watcher.get()


class Files(Door, file_pb2_grpc.FileServiceServicer):
    def CreateFile(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        kind = KINDS[request.kind]
        made = stored(kind, request.name, request.content, labels=dict(request.labels))
        self.world.files.append(made)
        return file_pb2.CreateFileResponse(file=to_pb(made))

    def UpdateFile(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        (before,) = (each for each in self.world.files if each.name == request.name)
        after = msgspec.structs.replace(before, content=request.content, version=before.version + 1)
        self.world.files[self.world.files.index(before)] = after
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return file_pb2.UpdateFileResponse(file=to_pb(after), rolled=before.used_by)

    def ListFiles(self, request: Any, context: Any) -> Any:
        found = [each for each in self.world.files if each.kind is KINDS[request.kind]]
        listed = [msgspec.structs.replace(each, content=None) for each in found]
        return file_pb2.ListFilesResponse(files=map(to_pb, listed))

    def GetFile(self, request: Any, context: Any) -> Any:
        (found,) = (each for each in self.world.files if each.name == request.name)
        return file_pb2.GetFileResponse(file=to_pb(found))

    def RemoveFile(self, request: Any, context: Any) -> Any:
        (found,) = (each for each in self.world.files if each.name == request.name)
        if found.used_by:
            summary = f"{found.kind} {found.name} is mounted by {found.used_by[0]}"
            fail(context, Problem(kind=ProblemKind.REFUSED, summary=summary))
        self.world.files.remove(found)
        return file_pb2.RemoveFileResponse()


class Networks(Door, network_pb2_grpc.NetworkServiceServicer):
    def CreateNetwork(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        made = NetworkView(id="network-1", name=request.name, spec=from_pb(request.spec))
        self.world.networks.append(made)
        return network_pb2.CreateNetworkResponse(network=to_pb(made))

    def ListNetworks(self, request: Any, context: Any) -> Any:
        return network_pb2.ListNetworksResponse(networks=map(to_pb, self.world.networks))

    def GetNetwork(self, request: Any, context: Any) -> Any:
        found = next((each for each in self.world.networks if each.name == request.network), None)
        if found is None:
            no_such(context, f"network {request.network}")
        return network_pb2.GetNetworkResponse(network=to_pb(found))

    def RemoveNetwork(self, request: Any, context: Any) -> Any:
        (found,) = (each for each in self.world.networks if each.name == request.name)
        if found.services:
            summary = f"the network {found.name} is in use: {found.services[0].service}"
            fail(context, Problem(kind=ProblemKind.REFUSED, summary=summary))
        self.world.networks.remove(found)
        return network_pb2.RemoveNetworkResponse()


class Tasks(Door, task_pb2_grpc.TaskServiceServicer):
    def ListTasks(self, request: Any, context: Any) -> Any:
        found = [
            each
            for each in self.world.tasks
            if request.service in ("", each.service)
            and request.node in ("", each.node)
            and (not request.stack or each.service.startswith(f"{request.stack}_"))
        ]
        return task_pb2.ListTasksResponse(tasks=map(to_pb, found))

    def Logs(self, request: Any, context: Any) -> Iterator[Any]:
        self.world.asked.append(request)
        if not set(request.targets) & {
            target.rpartition(".")[0] for target in self.world.names.values()
        } and (not set(request.targets) & {target.partition("@")[0] for target in self.world.names.values()}):
            no_such(context, f"service or task {request.targets[0]}")
        yield task_pb2.LogsResponse(names=self.world.names)
        for line in self.world.lines:
            yield task_pb2.LogsResponse(lines=[to_pb(line)])
        while self.world.keep_following and request.follow and context.is_active():
            time.sleep(0.05)


class Nodes(Door, node_pb2_grpc.NodeServiceServicer):
    def ListNodes(self, request: Any, context: Any) -> Any:
        answer = node_pb2.ListNodesResponse(nodes=map(to_pb, self.world.nodes))
        if self.world.strange:
            answer.nodes[0].status = 77
        return answer

    def GetNode(self, request: Any, context: Any) -> Any:
        for each in self.world.nodes:
            if request.node in (each.name, each.id):
                return node_pb2.GetNodeResponse(node=to_pb(each))
        return no_such(context, f"node {request.node}")

    def UpdateNode(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        if self.world.refusal:
            fail(context, self.world.refusal)
        (found,) = (each for each in self.world.nodes if each.name == request.node)
        threading.Thread(target=self.world.after_deploy, args=(self.world,), daemon=True).start()
        return node_pb2.UpdateNodeResponse(node=to_pb(found))

    def RemoveNode(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        if self.world.refusal:
            fail(context, self.world.refusal)
        (found,) = (each for each in self.world.nodes if each.name == request.node)
        self.world.nodes.remove(found)
        return node_pb2.RemoveNodeResponse(id=found.id, name=found.name)


class Registry(Door, registry_pb2_grpc.RegistryServiceServicer):
    def Lookup(self, request: Any, context: Any) -> Any:
        found = self.world.instances.get((request.stack, request.service))
        if found is None:
            no_such(context, f"ready instance of {request.stack}/{request.service}: 1 is starting")
        kept = [each for each in found or () if each.ready or request.all]
        return registry_pb2.LookupResponse(
            stack=request.stack, service=request.service, revision=3, instances=map(to_pb, kept)
        )

    def Watch(self, request: Any, context: Any) -> Iterator[Any]:
        self.world.asked.append(request)
        watcher = self.world.watch()
        context.add_callback(lambda: watcher.put(None))
        while context.is_active():
            self.world.revision += 1
            found = self.world.instances.get((request.stack, request.service), ())
            yield registry_pb2.WatchResponse(
                stack=request.stack,
                service=request.service,
                revision=self.world.revision,
                instances=map(to_pb, found),
            )
            watcher.get()

    def ListFollowers(self, request: Any, context: Any) -> Any:
        followers = [
            registry_pb2.Follower(node=node, index=index) for node, index in self.world.copies.items()
        ]
        return registry_pb2.ListFollowersResponse(index=7, followers=followers)

    def Register(self, request: Any, context: Any) -> Any:
        self._ask(request, context)
        return registry_pb2.RegisterResponse()

    def Renew(self, request: Any, context: Any) -> Any:
        self._ask(request, context)
        return registry_pb2.RegistryServiceRenewResponse()

    def Deregister(self, request: Any, context: Any) -> Any:
        self._ask(request, context)
        return registry_pb2.DeregisterResponse()

    def Override(self, request: Any, context: Any) -> Any:
        self._ask(request, context)
        return registry_pb2.OverrideResponse()

    def _ask(self, request: Any, context: Any) -> None:
        self.world.asked.append(request)
        if self.world.refusal:
            fail(context, self.world.refusal)

    def Acknowledge(self, request: Any, context: Any) -> Any:
        self.world.acknowledged.append(request)
        return registry_pb2.AcknowledgeResponse()

    def List(self, request: Any, context: Any) -> Any:
        entries = [
            RegistryEntry(stack=stack, service=name, ready=sum(i.ready for i in found), total=len(found))
            for (stack, name), found in self.world.instances.items()
        ]
        return registry_pb2.ListResponse(services=map(to_pb, entries))


class Cluster(Door, cluster_pb2_grpc.ClusterServiceServicer):
    def GetStatus(self, request: Any, context: Any) -> Any:
        return cluster_pb2.GetStatusResponse(
            cluster_id="c0ffee",
            controller_version="0.1.0",
            epoch=4,
            uptime_ms=7_200_000,
            join_address="10.0.0.1:7444",
            http_address="http://127.0.0.1:7480",
            nodes=map(to_pb, self.world.nodes),
            services=map(to_pb, self.world.services.values()),
            events=map(to_pb, self.world.events),
            problems=self.world.problems,
        )

    def CreateJoinToken(self, request: Any, context: Any) -> Any:
        self.world.asked.append(request)
        return cluster_pb2.CreateJoinTokenResponse(
            token="BPL1-a-pin-id-secret-check", join_address="10.0.0.1:7444", expires_ms=now_ms() + 3_600_000
        )


def serve(world: World, path: Path) -> grpc.Server:
    """Starts it at the socket; the caller stops it."""
    server = grpc.server(ThreadPoolExecutor(16))
    stack_pb2_grpc.add_StackServiceServicer_to_server(Stacks(world), server)
    service_pb2_grpc.add_ServiceServiceServicer_to_server(Services(world), server)
    rollout_pb2_grpc.add_RolloutServiceServicer_to_server(Rollouts(world), server)
    explain_pb2_grpc.add_ExplainServiceServicer_to_server(Explains(world), server)
    event_pb2_grpc.add_EventServiceServicer_to_server(Events(world), server)
    task_pb2_grpc.add_TaskServiceServicer_to_server(Tasks(world), server)
    file_pb2_grpc.add_FileServiceServicer_to_server(Files(world), server)
    network_pb2_grpc.add_NetworkServiceServicer_to_server(Networks(world), server)
    node_pb2_grpc.add_NodeServiceServicer_to_server(Nodes(world), server)
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(Registry(world), server)
    cluster_pb2_grpc.add_ClusterServiceServicer_to_server(Cluster(world), server)
    server.add_insecure_port(f"unix://{path}")
    server.start()
    world.stop_serving = lambda: server.stop(0).wait()
    return server


CREATE, SAME = ServiceAction.CREATE, ServiceAction.SAME
