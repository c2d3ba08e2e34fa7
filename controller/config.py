"""What a controller is told at its making, kept in its data directory."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, ip_address
from pathlib import Path

import msgspec

from bayplan import policy
from bayplan.addressing import PREFIX_MAX
from bayplan.errors import ProblemKind, refuse
from bayplan.files import write_whole
from bayplan.model import Model, Resources
from bayplan.policy import Privilege
from bayplan.units import parse_bytes, parse_cpus, parse_duration_ms
from controller.decide.addresses import POOL, SUBNET_PREFIX
from controller.decide.liveness import Timing
from controller.decide.reservations import DEFAULT_RESERVATION

#: Where everything is kept when no other place is given.
DATA_DIR = Path("/var/lib/bayplan/controller")

#: Agents' port (mTLS), joining machines' port, the lookup's loopback port, the command line's socket.
LISTEN = "0.0.0.0:7443"
BOOTSTRAP_LISTEN = "0.0.0.0:7444"
HTTP_LISTEN = "127.0.0.1:7480"
SOCKET = "/run/bayplan/controller.sock"

#: How often a node may be asked for a sign of life, in ms: any oftener and the answers are all that it does.
HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX = 250, 60_000
#: So many beats without an answer make a node suspect, and down.
SUSPECT_BEATS, DOWN_BEATS = 2, 3

#: The largest range that networks get their subnets from.
POOL_PREFIX_MIN = 8

#: In the data directory: the store, and the CA.
STORE_FILE = "state.db"
CA_FOLDER = "ca"

#: The witnesses' port where none is given: so much above the agents'.
WITNESS_PORT_ABOVE = 2
#: Given as --witness-listen: no witnesses.
NO_WITNESSES = "off"

_FILE = "config.json"


class Config(Model, frozen=True, kw_only=True):
    """Addresses as host:port. `advertise_addr` is the host under which others reach the controller.

    `witness_listen` empty: beside `listen`. `allow` are privileges that containers may have;
    `default_reservation` is what a task sets aside whose service declares nothing. `preemption`: a task that
    waits may stop less important ones. `consolidation`: after updates tasks move so that nodes become free.
    `network_pool`: where networks that span nodes get their subnets from, in CIDR form.
    """

    advertise_addr: str
    listen: str = LISTEN
    bootstrap_listen: str = BOOTSTRAP_LISTEN
    http_listen: str = HTTP_LISTEN
    witness_listen: str = ""
    socket: str = SOCKET
    timing: Timing = Timing()
    allow: tuple[Privilege, ...] = ()
    default_reservation: Resources = DEFAULT_RESERVATION
    preemption: bool = False
    consolidation: bool = False
    network_pool: str = POOL

    @property
    def main_address(self) -> str:
        """Where agents find the main (mTLS) listener."""
        return f"{self.advertise_addr}:{self.listen.rpartition(':')[2]}"

    @property
    def join_address(self) -> str:
        """Where machines join."""
        return f"{self.advertise_addr}:{self.bootstrap_listen.rpartition(':')[2]}"


def witness_address(config: Config) -> tuple[str, int] | None:
    """Host and port for the witnesses; None where none are wanted. Raises ProblemError."""
    if config.witness_listen == NO_WITNESSES:
        return None
    host, _, port = (config.witness_listen or config.listen).rpartition(":")
    try:
        number = int(port) + (0 if config.witness_listen else WITNESS_PORT_ABOVE)
    except ValueError as error:
        raise refuse(
            ProblemKind.INVALID,
            f"--witness-listen {config.witness_listen}: {error}",
            hint=f"give it as 0.0.0.0:7445, or {NO_WITNESSES}",
        ) from error
    return host.strip("[]"), number


def save(config: Config, data_dir: Path) -> None:
    """Write it. Raises OSError."""
    pretty = msgspec.json.format(msgspec.json.encode(config), indent=2)
    write_whole(data_dir / _FILE, pretty + b"\n")


def load(data_dir: Path) -> Config:
    """Read it. Raises ProblemError."""
    path = data_dir / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except FileNotFoundError as error:
        raise refuse(
            ProblemKind.NOT_FOUND,
            f"there is no cluster in {data_dir}",
            f"{path} does not exist",
            hint="make one with `bayplan init`, or name another place with --data-dir",
        ) from error
    except PermissionError as error:
        raise refuse(
            ProblemKind.REFUSED, f"{path} cannot be read: {error.strerror}", hint="are you root?"
        ) from error
    except msgspec.DecodeError as error:
        raise refuse(
            ProblemKind.INVALID, str(error), hint="correct the file, or restore it", place=f"{path}:1"
        ) from error


def parse_allow(text: str) -> tuple[Privilege, ...]:
    """The privileges of --allow. Raises ProblemError."""
    try:
        return policy.parse(text)
    except ValueError as error:
        raise refuse(ProblemKind.INVALID, f"--allow: {error}") from error


def parse_default(cpus: str, memory: str) -> Resources:
    """The default reservation; an empty text is the ordinary one. Raises ProblemError."""
    try:
        return Resources(
            cpu_millis=parse_cpus(cpus) if cpus else DEFAULT_RESERVATION.cpu_millis,
            memory_bytes=parse_bytes(memory) if memory else DEFAULT_RESERVATION.memory_bytes,
        )
    except ValueError as error:
        raise refuse(ProblemKind.INVALID, f"--default-cpus, --default-memory: {error}") from error


def parse_pool(text: str) -> str:
    """The range of --network-pool; an empty text is the ordinary one. Raises ProblemError."""
    try:
        pool = IPv4Network(text or POOL)
    except ValueError as error:
        raise refuse(
            ProblemKind.INVALID, f"--network-pool: {error}", hint=f"give it as a range of IPv4, as {POOL}"
        ) from error
    if not POOL_PREFIX_MIN <= pool.prefixlen <= PREFIX_MAX or pool.is_loopback or pool.is_multicast:
        raise refuse(
            ProblemKind.INVALID,
            f"--network-pool: {pool} cannot be the range of networks",
            hint=f"give a private range from /{POOL_PREFIX_MIN} to /{PREFIX_MAX}; each network takes a "
            f"/{SUBNET_PREFIX} of it",
        )
    return str(pool)


def parse_heartbeat(text: str) -> Timing:
    """The timing that goes with --heartbeat; an empty text is the default. Raises ProblemError."""
    if not text:
        return Timing()
    try:
        beat_ms = parse_duration_ms(text)
        if not HEARTBEAT_MS_MIN <= beat_ms <= HEARTBEAT_MS_MAX:
            raise ValueError(f"not between {HEARTBEAT_MS_MIN} ms and {HEARTBEAT_MS_MAX // 1_000} s: {text}")
    except ValueError as error:
        raise refuse(ProblemKind.INVALID, f"--heartbeat: {error}", hint="give it as 1s or 500ms") from error
    return Timing(heartbeat_ms=beat_ms, suspect_ms=SUSPECT_BEATS * beat_ms, down_ms=DOWN_BEATS * beat_ms)


def check_loopback(listen: str) -> tuple[str, int]:
    """Host and port of host:port. Raises ProblemError when the host is not loopback."""
    host, _, port = listen.rpartition(":")
    try:
        loopback = host == "localhost" or ip_address(host.strip("[]")).is_loopback
        number = int(port)
    except ValueError as error:
        raise refuse(
            ProblemKind.INVALID, f"--http-listen {listen}: {error}", hint="give it as 127.0.0.1:7480"
        ) from error
    if not loopback:
        raise refuse(
            ProblemKind.INVALID,
            f"--http-listen {listen} is not a loopback address",
            "the HTTP lookup has no TLS and so does not leave the host",
            hint="listen on 127.0.0.1, or use the gRPC lookup from other hosts",
        )
    return host.strip("[]"), number


def guess_address() -> str:
    """This host's address on its default route, or loopback when it has none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): only asks the routing table
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
