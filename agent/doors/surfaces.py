"""What this node answers of the registry by itself: DNS, HTTP and xDS, out of its copy of the directory.

A port that somebody else has is told of once and tried again: the agent does its other work meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from agent.addresses import local_address
from agent.directory import DirectoryCopy
from agent.identity import Membership
from agent.runtime import checks
from bayplan.directory.registrar import Registrar
from bayplan.dns import APEX, Desk, DnsServer, Forwarder, Responder, Zone, bind
from bayplan.dns.forward import upstreams_of
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import NodeFault, NodeFaultKind
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.saving import KeptFile

#: In place of an address: nowhere.
OFF = "off"
#: What could not be listened on is tried again so much later, in seconds.
RETRY_S = 5.0
#: Who has served at an address for so long has it, in seconds.
HAD_S = 1.0
#: What registered on this node, in the agent's data folder.
REGISTRATIONS_FILE = "registrations.journal"

_RESOLV_CONF = Path("/etc/resolv.conf")
_log = structlog.get_logger(__name__)


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SurfaceSettings:
    """Where this node answers. `containers` are DNS addresses where others' names are asked of the machine's
    own name servers, for containers that have no other."""

    dns: tuple[Address, ...] = ()
    containers: tuple[Address, ...] = ()
    http: tuple[Address, ...] = ()
    domain: str = APEX
    xds: tuple[Address, ...] = ()


def addresses(option: str, given: tuple[str, ...], *, loopback: bool = False) -> tuple[Address, ...]:
    """What an option's values mean; `off` alone is nowhere. Raises ProblemError (INVALID)."""
    if given == (OFF,):
        return ()
    return tuple([_address(option, each, loopback) for each in given])


def _address(option: str, given: str, loopback: bool) -> Address:
    host, _, port = given.rpartition(":")
    try:
        found = Address(str(ipaddress.ip_address(host.strip("[]"))), int(port))
    except ValueError:
        found = Address("0.0.0.0", 0)
    if not 0 < found.port < 65_536:
        hint = f"write it as 127.0.0.1:8600, [::1]:8600 or {OFF}"
        raise refuse(ProblemKind.INVALID, f"{option}: {given!r} is no address with a port", hint=hint)
    if loopback and not found.is_loopback:
        raise refuse(
            ProblemKind.INVALID,
            f"{option}: {given} is not an address of loopback",
            "it has no TLS",
            hint=f"take 127.0.0.1, [::1] or {OFF}",
        )
    return found


class Surfaces:
    """Answers at all addresses that are set."""

    def __init__(
        self,
        settings: SurfaceSettings,
        copy: DirectoryCopy,
        member: Membership,
        registrar: Registrar,
        data_dir: Path,
    ) -> None:
        """Raises ProblemError (INVALID) for a domain that is no name."""
        self._settings, self._copy = settings, copy
        self._lacking = Lacking()
        self._responder = Responder(_zone(settings, copy))
        self._file = KeptFile(data_dir / REGISTRATIONS_FILE)
        address = local_address(member.controller_address) or "127.0.0.1"
        self._local = LocalServices(
            registrar, node=member.name, address=address, save=self._file.save, ask=checks.ask
        )

    @property
    def faults(self) -> tuple[NodeFault, ...]:
        """The addresses that cannot be had."""
        return self._lacking.faults

    async def run(self) -> None:
        """Answer, forever."""
        self._local.restore(await asyncio.to_thread(self._file.load))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._local.run())
            for address in self._settings.dns:
                group.create_task(keep_trying("DNS", address, self._serve_dns, self._lacking))
            for address in self._settings.containers:
                group.create_task(keep_trying("DNS", address, self._serve_containers, self._lacking))
            for address in self._settings.http:
                group.create_task(
                    keep_trying("HTTP", address, self._serve_http, self._lacking, NodeFaultKind.SURFACE)
                )
            for address in self._settings.xds:
                group.create_task(
                    keep_trying("xDS", address, self._serve_xds, self._lacking, NodeFaultKind.SURFACE)
                )

    async def _serve_dns(self, address: Address) -> None:
        await DnsServer(Desk(self._responder), bind(*address)).run()

    async def _serve_containers(self, address: Address) -> None:
        own = {each.host for each in (*self._settings.dns, *self._settings.containers) if each.port == 53}

        def upstreams() -> list[str]:
            return [each for each in machine_servers() if each not in own]

        await DnsServer(Desk(self._responder, Forwarder(upstreams)), bind(*address)).run()

    async def _serve_http(self, address: Address) -> None:
        # Its libraries are a third of all that a start imports: containers come first.
        http = await asyncio.to_thread(importlib.import_module, "bayplan.surfaces.http")
        surfaces = http.HttpSurfaces(self._copy, self._local)
        hint = "`ss -ltnp` shows who has the port; --http-listen takes another, or off"
        await _until_cancelled(
            await http.listen(surfaces, surfaces.application(), address.host, address.port, hint)
        )

    async def _serve_xds(self, address: Address) -> None:
        xds = await asyncio.to_thread(importlib.import_module, "bayplan.surfaces.xds.server")
        await _until_cancelled(await xds.listen(self._copy, address.host, address.port))


async def _until_cancelled(stop: Callable[[], Awaitable[None]]) -> None:
    """Leave a server alone, and stop it in the end."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await stop()


def _zone(settings: SurfaceSettings, copy: DirectoryCopy) -> Zone:
    hosts = dict.fromkeys(each.host for each in (*settings.containers, *settings.dns))
    try:
        return Zone(copy, settings.domain, tuple(hosts))
    except ValueError as error:
        hint = "such as bayplan, or svc.example.org"
        raise refuse(ProblemKind.INVALID, f"--dns-domain: {error}", hint=hint) from error


class Lacking:
    """The addresses that cannot be had, each as a fault of the node. Keys are of whoever tries."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, Address], NodeFault] = {}

    @property
    def faults(self) -> tuple[NodeFault, ...]:
        return tuple(self._faults.values())

    def tell(self, what: str, address: Address, fault: NodeFault) -> None:
        self._faults[what, address] = fault

    def end(self, what: str, address: Address) -> None:
        """It is had, or wanted no more."""
        self._faults.pop((what, address), None)


async def keep_trying(
    what: str,
    address: Address,
    serve: Callable[[Address], Awaitable[None]],
    lacking: Lacking,
    kind: NodeFaultKind = NodeFaultKind.RESOLVER,
    subject: str = "",
) -> None:
    """Serve at an address as soon as it can be had. While it cannot, `lacking` shows a fault of that kind."""
    try:
        await _keep_trying(what, address, serve, lacking, NodeFault(kind=kind, subject=subject, text=""))
    finally:
        lacking.end(what, address)


async def _keep_trying(
    what: str,
    address: Address,
    serve: Callable[[Address], Awaitable[None]],
    lacking: Lacking,
    fault: NodeFault,
) -> None:
    told, loop = "", asyncio.get_running_loop()
    while True:
        had = loop.call_later(HAD_S, lacking.end, what, address)
        try:
            await serve(address)
        except ProblemError as error:
            text = f"this node does not answer {what} at {address}: {error}"
            lacking.tell(what, address, replace(fault, text=text, hint=error.problem.hint))
            if str(error) != told:
                told = str(error)
                _log.warning(
                    f"this node does not answer {what} there",
                    cause=told,
                    hint=error.problem.hint,
                    again_every_s=RETRY_S,
                )
        finally:
            had.cancel()
        await asyncio.sleep(RETRY_S)


def machine_servers() -> list[str]:
    """The name servers that this machine asks, as they are now."""
    try:
        return upstreams_of(_RESOLV_CONF.read_text())
    except (OSError, ValueError):
        return []
