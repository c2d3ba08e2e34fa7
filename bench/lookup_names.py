"""What bench.lookup asks for: the same names with the same addresses for bayplan, dnsmasq and unbound.

`web-1` to `web-1000` of the stack `shop` have three IPv4 addresses each, `six-1` and so on three of IPv6.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from pathlib import Path

from bayplan.directory import Entry, Port
from bayplan.dns import APEX
from bench.lookup_load import python

NAMES, ADDRESSES = 1_000, 3
STACK = "shop"
#: Services that are asked for by SRV, all with one port: dnsmasq goes through these one by one.
SRV_NAMES = 20
PORT = 8080
#: Questions of a file; of the mix so many in ten are for A, AAAA, SRV and a name that is not there.
QUESTIONS = 10_000
MIX = {"A": 5, "AAAA": 2, "SRV": 1, "NXDOMAIN": 2}


def services() -> Iterator[tuple[str, list[Entry]]]:
    """All services with their entries."""
    for kind, first in (("web", "10.0.0.0"), ("six", "fd00::")):
        begin = ipaddress.ip_address(first)
        for number in range(1, NAMES + 1):
            ips = [begin + number * 16 + one for one in range(1, ADDRESSES + 1)]
            yield f"{kind}-{number}", [_entry(f"{kind}-{number}", place, ip) for place, ip in enumerate(ips)]


def _entry(service: str, place: int, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Entry:
    ports = (Port(target=PORT, name="http"),)
    return Entry(
        id=f"{service}-{place}", slot=place + 1, node=f"n{place}", node_id=f"node{place}", address=str(ip),
        port=PORT, target=PORT, ports=ports, version=1,
    )  # fmt: skip


def _has_srv(service: str) -> bool:
    kind, _, number = service.partition("-")
    return kind == "web" and int(number) <= SRV_NAMES


def _addresses() -> Iterator[tuple[str, str]]:
    """Names without the dot at their end, and addresses."""
    for service, entries in services():
        for entry in entries:
            yield f"{service}.{STACK}.{APEX}", entry.address
            if _has_srv(service):
                yield _target(entry), entry.address


def _targets() -> Iterator[tuple[str, str]]:
    """Names of SRV records, and what they point at."""
    for service, entries in services():
        for entry in entries if _has_srv(service) else ():
            yield f"_{service}._tcp.{STACK}.{APEX}", _target(entry)


def _target(entry: Entry) -> str:
    """As bayplan names it."""
    return f"{ipaddress.ip_address(entry.address).packed.hex()}.addr.{APEX}"


def plain_questions(rng: random.Random) -> str:
    """A file for dnsperf: A of all names, shuffled."""
    names = [f"web-{number}.{STACK}.{APEX} A" for number in range(1, NAMES + 1)]
    rng.shuffle(names)
    return "\n".join(names) + "\n"


def mixed_questions(rng: random.Random) -> str:
    """A file for dnsperf: the mix."""
    drawn = rng.choices(list(MIX), list(MIX.values()), k=QUESTIONS)
    return "\n".join(_question(kind, rng.randint(1, NAMES)) for kind in drawn) + "\n"


def _question(kind: str, number: int) -> str:
    match kind:
        case "AAAA":
            return f"six-{number}.{STACK}.{APEX} AAAA"
        case "SRV":
            return f"_web-{1 + number % SRV_NAMES}._tcp.{STACK}.{APEX} SRV"
        case "NXDOMAIN":
            return f"none-{number}.{STACK}.{APEX} A"
    return f"web-{number}.{STACK}.{APEX} A"


def bayplan(folder: Path, port: int) -> list[str]:
    """The command of ours, which needs no files."""
    return python("bench.lookup_daemon", port)


def dnsmasq(folder: Path, port: int) -> list[str]:
    """Its command, with its files written to a folder."""
    (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in _addresses()))
    settings = [
        f"port={port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "user=root",
        f"addn-hosts={folder / 'hosts'}", "cache-size=10000", f"local=/{APEX}/", "local-ttl=1", "pid-file=",
        *(f"srv-host={name},{target},{PORT}" for name, target in _targets()),
    ]  # fmt: skip
    (folder / "dnsmasq.conf").write_text("\n".join(settings) + "\n")
    return ["dnsmasq", "--keep-in-foreground", f"--conf-file={folder / 'dnsmasq.conf'}"]


def unbound(folder: Path, port: int) -> list[str]:
    """Its command, with its file written to a folder."""
    soa = f"{APEX}. 1 IN SOA ns.{APEX}. hostmaster.{APEX}. 1 3600 600 86400 1"
    records = [soa]
    records += [f"{name}. 1 IN {'AAAA' if ':' in ip else 'A'} {ip}" for name, ip in _addresses()]
    records += [f"{name}. 1 IN SRV 0 1 {PORT} {target}." for name, target in _targets()]
    settings = [
        "server:", f"interface: 127.0.0.1@{port}", "num-threads: 1", "do-daemonize: no", 'username: ""',
        'chroot: ""', f'directory: "{folder}"', 'pidfile: ""', "use-syslog: no", 'module-config: "iterator"',
        f'local-zone: "{APEX}." static',
        *(f'local-data: "{record}"' for record in records),
        "remote-control:", "control-enable: no",
    ]  # fmt: skip
    (folder / "unbound.conf").write_text("\n".join(settings) + "\n")
    return ["unbound", "-p", "-c", str(folder / "unbound.conf")]
