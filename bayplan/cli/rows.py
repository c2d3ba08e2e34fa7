"""Views as rows of text: Docker's keys and words first, ours after. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from bayplan.cli.listing import Column, Row
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Availability,
    BoundPort,
    Desired,
    Instance,
    NodeStatus,
    PortMode,
    PortSpec,
    Resources,
    ServiceMode,
    TaskStatus,
)
from bayplan.render.amounts import ago, clock, cpus, rfc3339, size, span, until
from bayplan.render.network import DRIVER, SCOPE
from bayplan.render.printable import one_line, printable
from bayplan.render.reservation import reserved
from bayplan.views import (
    FileView,
    NetworkView,
    NodeView,
    QuotaView,
    RegistryEntry,
    RevisionView,
    ServiceView,
    StackView,
    TaskView,
)

#: Modes whose tasks shall end.
JOB_MODES = frozenset({ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB})
#: How the message of a task begins that was stopped because its health check failed.
UNHEALTHY = "unhealthy"
#: Docker's words for what is wanted of a task.
_DESIRED = {Desired.RUN: "Running", Desired.READY: "Ready", Desired.STOP: "Shutdown"}

STACKS = (
    Column("NAME", "Name"),
    Column("SERVICES", "Services"),
    Column("TASKS", "Tasks"),
    Column("HEALTH", "Health", state=True),
    Column("REVISION", "Revision"),
)
REVISIONS = (
    Column("REVISION", "Revision"),
    Column("AGE", "Age"),
    Column("CAUSE", "Cause"),
    Column("SERVICES", "Services"),
    Column("CURRENT", "Current"),
)
QUOTAS = (
    Column("STACK", "Stack"),
    Column("CPU", "CPU"),
    Column("MEMORY", "Memory"),
    Column("DISK", "Disk"),
    Column("PROCESSES", "Pids"),
    Column("TASKS", "Tasks"),
)
CONFIGS = (
    Column("ID", "ID"),
    Column("NAME", "Name"),
    Column("CREATED", "CreatedAt"),
    Column("UPDATED", "UpdatedAt"),
    Column("VERSION", "Version"),
    Column("SIZE", "Size"),
    Column("USED BY", "UsedBy"),
)
SECRETS = (*CONFIGS[:2], Column("DRIVER", "Driver"), *CONFIGS[2:])
NETWORKS = (
    Column("NETWORK ID", "ID"),
    Column("NAME", "Name"),
    Column("DRIVER", "Driver"),
    Column("SCOPE", "Scope"),
    Column("SUBNET", "Subnet"),
    Column("NODES", "Nodes"),
    Column("SERVICES", "Services"),
    Column("STACK", "Stack"),
)
SERVICES = (
    Column("ID", "ID"),
    Column("NAME", "Name"),
    Column("MODE", "Mode"),
    Column("REPLICAS", "Replicas"),
    Column("IMAGE", "Image"),
    Column("PORTS", "Ports"),
    Column("HEALTH", "Health", state=True),
    Column("NOTE", "Note"),
)
TASKS = (
    Column("ID", "ID"),
    Column("NAME", "Name"),
    Column("IMAGE", "Image"),
    Column("NODE", "Node"),
    Column("DESIRED STATE", "DesiredState"),
    Column("CURRENT STATE", "CurrentState"),
    Column("ERROR", "Error"),
    Column("PORTS", "Ports"),
    Column("RESERVED", "Reserved"),
)
NODES = (
    Column("ID", "ID"),
    Column("HOSTNAME", "Hostname"),
    Column("STATUS", "Status", state=True),
    Column("AVAILABILITY", "Availability"),
    Column("ENGINE VERSION", "EngineVersion"),
    Column("CPU", "CPU"),
    Column("MEM", "Mem"),
    Column("TASKS", "Tasks"),
    Column("LABELS", "Labels"),
    Column("NOTE", "Note"),
)
ENTRIES = (
    Column("STACK", "Stack"),
    Column("SERVICE", "Service"),
    Column("READY", "Ready"),
    Column("TOTAL", "Total"),
    Column("REVISION", "Revision"),
)
INSTANCES = (
    Column("INSTANCE", "ID"),
    Column("ADDRESS", "Address"),
    Column("PORT", "Port"),
    Column("NODE", "Node"),
    Column("HEALTH", "Health", state=True),
)
EVERY_INSTANCE = (*INSTANCES, Column("REASON", "Reason"))
HEALTH = (Column("SERVICE", "Service"), *EVERY_INSTANCE)


def quota_row(quota: QuotaView) -> Row:
    """What is used of what is allowed; what has no limit alone."""
    used, limit = quota.used, quota.limit
    return {
        "Stack": quota.stack,
        "CPU": _of(cpus(used.cpu_millis), limit.cpu_millis and cpus(limit.cpu_millis)),
        "Memory": _of(size(used.memory_bytes), limit.memory_bytes and size(limit.memory_bytes)),
        "Disk": _of(size(used.disk_bytes), limit.disk_bytes and size(limit.disk_bytes)),
        "Pids": _of(str(used.pids), limit.pids and str(limit.pids)),
        "Tasks": _of(str(quota.used_tasks), quota.tasks and str(quota.tasks)),
    }


def _of(used: str, limit: str | int) -> str:
    return f"{used} of {limit}" if limit else used


def stack_row(stack: StackView) -> Row:
    return {
        "Name": stack.name,
        "Services": str(stack.services),
        "Tasks": f"{stack.ready}/{stack.desired}",
        "Health": health_word(stack.ready, stack.desired),
        "Revision": str(stack.revision),
        "Orchestrator": "bayplan",
    }


def revision_row(revision: RevisionView, now_ms: int) -> Row:
    return {
        "Revision": str(revision.revision),
        "Age": span(now_ms - revision.time_ms),
        "Cause": one_line(revision.cause),
        "Services": str(revision.services),
        "Current": "*" if revision.current else "",
        "CreatedAt": rfc3339(revision.time_ms),
    }


def file_row(file: FileView, now_ms: int) -> Row:
    return {
        "ID": file.digest,
        "Name": file.name,
        "Driver": "",
        "CreatedAt": ago(file.created_ms, now_ms),
        "UpdatedAt": ago(file.updated_ms, now_ms),
        "Version": str(file.version),
        "Size": size(file.size_bytes),
        "UsedBy": ",".join(file.used_by),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(file.labels.items())),
        "Stack": file.stack,
    }


def network_row(network: NetworkView, now_ms: int) -> Row:
    return {
        "ID": network.id,
        "Name": network.name,
        "Driver": DRIVER,
        "Scope": SCOPE,
        "Subnet": network.subnet,
        "Nodes": str(len(network.nodes)),
        "Services": str(len(network.services)),
        "Stack": network.stack,
        "VXLAN": str(network.vni),
        "CreatedAt": ago(network.created_ms, now_ms),
        "Internal": str(network.spec.internal).lower(),
        "IPv6": "false",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(network.spec.labels.items())),
    }


def service_row(service: ServiceView, now_ms: int) -> Row:
    return {
        "ID": service.id,
        "Name": service.name,
        "Mode": service.mode.replace("_", "-"),
        "Replicas": _replicas(service),
        "Image": printable(service.image),
        "Ports": ports_text(service.ports),
        "Health": service_health(service),
        "Note": service_note(service, now_ms),
        "Stack": service.stack,
    }


def service_note(service: ServiceView, now_ms: int) -> str:
    """What a user would ask next: what it waits for, how its rollout goes, when it runs next."""
    parts = [f"waits for {service.waits_for}"] if service.waits_for else []
    parts += [one_line(service.rollout)] if service.rollout else []
    parts += [f"next run {until(service.next_run_ms, now_ms)}"] if service.next_run_ms else []
    return " · ".join(parts)


def _replicas(service: ServiceView) -> str:
    """`2/2`; where tasks shall end as in Docker, `1/3 (2/3 completed)`."""
    running = f"{service.running}/{service.desired}"
    if service.mode in JOB_MODES or service.completed:
        return f"{running} ({service.completed}/{service.desired} completed)"
    return running


def service_health(service: ServiceView) -> str:
    """One word: removing, waiting (for a dependency), paused, canary (it waits for promotion), scheduled (a
    job between two runs), complete, running (a job), updating (an old version still answers), ready,
    degraded or down."""
    if service.removed:
        return "removing"
    if service.waits_for:
        return "waiting"
    if "paused" in service.rollout.partition(":")[0]:
        return "paused"
    if service.rollout.startswith("awaiting promotion"):
        return "canary"
    if service.next_run_ms and not service.running:
        return "scheduled"
    if service.completed and service.completed >= service.desired:
        return "complete"
    if service.mode in JOB_MODES:
        return "running"
    if service.current < service.ready and service.ready >= service.desired:
        return "updating"
    return health_word(service.ready + service.completed, service.desired)


def health_word(ready: int, desired: int) -> str:
    if ready >= desired:
        return "ready"
    return "degraded" if ready else "down"


def task_name(task: TaskView) -> str:
    return f"{task.service}.{task.slot}"


def task_rows(tasks: Iterable[TaskView], services: Iterable[ServiceView], now_ms: int) -> list[Row]:
    """The newest task of each slot under its name, older ones after it behind Docker's ` \\_ `.

    What a task reserves is known by its service.
    """
    reservations = {service.name: reserved(service.reservation) for service in services}
    rows = []
    for _slot, group in groupby(tasks, key=task_name):
        for index, task in enumerate(group):
            row = _task_row(task, " \\_ " if index else "", now_ms)
            rows.append({**row, "Reserved": reservations.get(task.service, "")})
    return rows


def _task_row(task: TaskView, mark: str, now_ms: int) -> Row:
    since = ago(task.status.since_ms or task.created_ms, now_ms)
    stale = " (last known)" if task.stale else ""
    return {
        "ID": task.id,
        "Name": mark + task_name(task),
        "Image": printable(task.image),
        "Node": task.node,
        "DesiredState": _DESIRED[task.desired],
        "CurrentState": f"{task.status.state.capitalize()} {since}".strip() + stale,
        "Error": quoted(task_error(task)),
        "Ports": bound_text(task.status.ports),
        "Addresses": _addresses(task.status),
    }


def task_error(task: TaskView) -> str:
    """Why a task is not as it should be, whole and on one line; empty when all is well."""
    status = task.status
    if status.state is TaskState.PENDING:
        return one_line("\n".join(task.pending_reasons))
    if status.state is TaskState.STARTING and status.probe_output:
        return one_line(f"health check fails: {status.probe_output}")
    if status.state not in (TaskState.FAILED, TaskState.REJECTED, TaskState.LOST):
        return ""
    parts = [status.message]
    is_killed = status.message.startswith(UNHEALTHY)  # the code is that of our own signal
    if status.exit_code is not None and str(status.exit_code) not in status.message and not is_killed:
        parts.append(f"exit code {status.exit_code}")
    if status.probe_output and status.probe_output.strip() not in status.message:
        parts.append(f"last health check: {status.probe_output}")
    return one_line("\n".join(parts))


def quoted(text: str) -> str:
    return f'"{text}"' if text else ""


def ports_text(ports: Iterable[PortSpec]) -> str:
    """`*:8080->80/tcp`, with `(host)` where only tasks' nodes answer; `*->80/tcp` where each node chooses a
    port for itself."""
    return ", ".join(
        f"{port.host_ip or '*'}:{port.published}->{port.target}/{port.protocol}{_mode(port)}"
        if port.published
        else f"{port.host_ip or '*'}->{port.target}/{port.protocol}"
        for port in ports
    )


def _mode(port: PortSpec) -> str:
    return " (host)" if port.mode is PortMode.HOST else ""


def _addresses(status: TaskStatus) -> str:
    """`shop_back=10.64.0.5, shop_front=10.64.16.4`; where there is one network, its address alone."""
    found = [f"{network}={address}" for network, address in sorted(status.addresses.items())]
    return ", ".join(found) or status.address


def bound_text(ports: Iterable[BoundPort]) -> str:
    return ", ".join(
        f"{port.host_ip or '*'}:{port.published}->{port.target}/{port.protocol}" for port in ports
    )


def node_row(node: NodeView, now_ms: int) -> Row:
    capacity = node.inventory.capacity
    return {
        "ID": node.id,
        "Hostname": node.name,
        "Status": node.status.capitalize(),
        "Availability": node.availability.capitalize(),
        "EngineVersion": node.inventory.engine_version,
        "CPU": cpu_use(node.reserved, capacity),
        "Mem": memory_use(node.reserved, capacity),
        "Tasks": str(node.tasks),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(node.labels.items())),
        "Note": node_note(node, now_ms),
        "Address": node.address,
    }


def node_note(node: NodeView, now_ms: int) -> str:
    """What is unusual about a node: its engine is silent, its tasks are held, it came and went, it drains."""
    parts = []
    if node.engine_silent_ms:
        parts.append(f"engine silent for {span(node.engine_silent_ms).lower()}")
    if node.held:
        parts.append(f"tasks are held: {one_line(node.held)}")
    if node.shaky_ms:
        parts.append(f"came and went: spared for {span(node.shaky_ms).lower()}")
    if node.availability is Availability.DRAIN and node.tasks:
        until_text = f" until {clock(node.drain_until_ms)}" if node.drain_until_ms > now_ms else ""
        parts.append(f"drains{until_text}")
    return " · ".join(parts)


def cpu_use(reserved: Resources, capacity: Resources) -> str:
    return f"{cpus(reserved.cpu_millis)}/{cpus(capacity.cpu_millis)}"


def memory_use(reserved: Resources, capacity: Resources) -> str:
    return f"{size(reserved.memory_bytes)}/{size(capacity.memory_bytes)}"


def entry_row(entry: RegistryEntry) -> Row:
    return {
        "Stack": entry.stack,
        "Service": entry.service,
        "Name": f"{entry.stack}/{entry.service}",
        "Ready": str(entry.ready),
        "Total": str(entry.total),
        "Revision": str(entry.revision),
    }


def instance_row(instance: Instance) -> Row:
    return {
        "ID": instance.id,
        "Address": instance.address,
        "Port": str(instance.port) if instance.port else "",
        "Node": instance.node,
        "Health": _instance_health(instance),
        "Reason": one_line(instance.reason),
        "Endpoint": endpoint(instance.address, instance.port),
    }


def _instance_health(instance: Instance) -> str:
    """The check's word; without a check, whether the instance can be used."""
    if instance.health.value != "none":
        return instance.health.value
    return "ready" if instance.ready else "down"


def endpoint(address: str, port: int) -> str:
    """`address:port`, an IPv6 address in brackets; the address alone where there is no port."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def node_is_well(node: NodeView) -> bool:
    return node.status is NodeStatus.READY and not node.engine_silent_ms
