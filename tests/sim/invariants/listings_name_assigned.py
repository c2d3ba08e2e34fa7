"""No surface, on no node, ever names an address and port that was not that of a task of the service, or of
somebody who registered for it: neither the directories, nor what the surfaces make out of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from bayplan.directory import Directory, Entry, key_of
from controller.records import Service, ServiceVersion
from tests.sim.directory import Copy
from tests.sim.invariants.base import Part, View
from tests.sim.surfaces import DNS, SURFACES

#: Of so many looks at the directory one asks each copy a question.
LOOKS_PER_QUESTION = 5

#: The surfaces beside DNS, which is asked each time.
OTHERS = tuple(each for each in SURFACES if each != DNS)


class ListingsNameAssigned:
    watches = frozenset({Part.BOXES, Part.RECORDS, Part.LISTINGS})

    def __init__(self) -> None:
        self._services: dict[str, str] = {}
        #: By service and version: the ports that it declares. Some are known to older controllers only.
        self._declared: dict[tuple[str, int], set[int]] = {}
        #: By task: the addresses and the published ports that its containers ever had.
        self._addresses: defaultdict[str, set[str]] = defaultdict(set)
        self._ports: defaultdict[str, set[int]] = defaultdict(set)
        #: What was found to be so; by the service's key all endpoints of that, and their addresses.
        self._good: set[tuple[str, str, str, int]] = set()
        self._named: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        self._addresses_of: defaultdict[str, set[str]] = defaultdict(set)
        self._looks = 0

    def check(self, world: View) -> str:
        for _, box in world.news.boxes:
            self._addresses[box.task_id].add(box.address)
            self._ports[box.task_id].update(each.published for each in box.ports)
        for record in world.news.records:
            if isinstance(record, Service):
                self._services[record.id] = key_of(record.stack, record.short_name)
            elif isinstance(record, ServiceVersion):
                ports = record.spec.container.ports + record.spec.container.expose
                self._declared[record.service_id, record.version] = {each.target for each in ports}
        for copy, keys in world.news.listed:
            fault = self._look(world, copy, keys) if keys else ""
            if fault:
                return f"{copy.name if copy else 'the controller'} names {fault}"
            if copy is None and not keys:
                self._looks += 1
                if self._looks % LOOKS_PER_QUESTION == 0 and (fault := self._ask_all(world)):
                    return fault
        return ""

    def _look(self, world: View, copy: Copy | None, keys: Collection[str]) -> str:
        directory = _directory(world, copy)
        for key in keys if directory is not None else ():
            service, _, stack = key.rpartition(".")
            listing = directory.get(stack, service) if directory is not None else None
            for entry in listing.entries if listing is not None else ():
                found = (key, entry.id, entry.address, entry.port)
                if found in self._good:
                    continue
                if not self._is_so(world, key, entry):
                    return f"{entry.id} at {entry.address}:{entry.port} in {key}, which it never had"
                self._good.add(found)
                self._named[key].add((entry.address, entry.port))
                self._addresses_of[key].add(entry.address)
        return ""

    def _is_so(self, world: View, key: str, entry: Entry) -> bool:
        if key == key_of("", ""):
            host = world.hosts_by_id.get(entry.id)
            return host is None or entry.address == world.addresses[host.name]  # None: it is joining
        if (key, entry.id, entry.address, entry.port) in world.registered:
            return True
        task = world.control.tasks_ever.get(entry.id)
        if task is None and entry.id in self._addresses:
            # An older controller made it, on a node that had forgotten the newer one.
            return entry.address in self._addresses[entry.id] or entry.port in self._ports[entry.id]
        if task is None or self._services.get(task.service_id) != key or entry.node_id != task.node_id:
            return False
        host = world.hosts_by_id[task.node_id]
        declared = self._declared.get((task.service_id, task.version), set())
        addresses = {world.addresses[host.name], *self._addresses[task.id]}
        return entry.address in addresses and entry.port in {0, *declared, *self._ports[task.id]}

    def _ask_all(self, world: View) -> str:
        """Each node answers a question by DNS and by one more of its surfaces; services and surfaces take
        turns."""
        for place, (name, host) in enumerate(sorted(world.hosts.items())):
            copy = host.copy
            keys = sorted(each.key for each in copy.directory) if copy is not None else []
            if copy is None or not host.running or not keys:
                continue
            turn = self._looks // LOOKS_PER_QUESTION + place
            key, other = keys[(self._looks + place) % len(keys)], OTHERS[turn % len(OTHERS)]
            service, _, stack = key.rpartition(".")
            for surface in (DNS, other):
                for address, port in SURFACES[surface](copy, stack, service):
                    if not self._was_named(key, address, port):
                        found = f"{address}:{port}" if port else address
                        return f"{surface} on {name} gives {found} for {key}, which nobody of it ever had"
        return ""

    def _was_named(self, key: str, address: str, port: int) -> bool:
        """Whether somebody of the service had this address, and with it the port, if there is one."""
        return (address, port) in self._named[key] or (not port and address in self._addresses_of[key])


def _directory(world: View, copy: Copy | None) -> Directory | None:
    if copy is not None:
        return copy.directory
    return world.control.keeper.directory if world.control.keeper is not None else None
