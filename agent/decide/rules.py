"""The data plane in nftables' words: the whole of it, or what leads from one state to another.

Pure; a function of the state alone, so that the same state is always the same text. A text is one
transaction. What was connected goes on: the kernel chooses once a connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from math import gcd
from typing import NamedTuple

from agent.decide.dataplane import Backend, Front, IngressPort, VirtualAddress
from agent.labels import BRIDGE_PREFIX, TABLE_MARK, TUNNEL_PREFIX

#: The name of our tables, in the families inet and bridge. Nothing else is in them.
TABLE = "bayplan"
#: Both, by family and name.
TABLES = (f"inet {TABLE}", f"bridge {TABLE}")
#: What says that they are ours.
_MARK = f'comment "{TABLE_MARK}"'

#: Before the engine's own rules (-100, 100, 0), which know nothing of these addresses and ports.
#: A container's call of a port at its own node goes where the engine would have let it. Who is sent on to
#: another node comes from this one's address; who reaches a container here keeps his own.
_INET = f"""\
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  {_MARK}
  set addresses {{ type ipv4_addr; }}
  set itself {{ type ipv4_addr . ipv4_addr; }}
  set open {{ type inet_service; }}
  map virtual {{ type ifname . ipv4_addr : verdict; }}
  map inside {{ type inet_proto . inet_service : verdict; }}
  map ports {{ type inet_proto . inet_service : verdict; }}
  map bound {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  chain published {{
    fib daddr type != local return
    ip daddr . meta l4proto . th dport vmap @bound
    meta l4proto . th dport vmap @ports
  }}
  chain from-container {{
    fib daddr type local meta l4proto . th dport vmap @inside
    goto published
  }}
  chain prerouting {{
    type nat hook prerouting priority -110;
    iifname . ip daddr vmap @virtual
    ip daddr @addresses return
    iifname "{BRIDGE_PREFIX}*" goto from-container
    iifname "docker*" goto from-container
    iifname "br-*" goto from-container
    goto published
  }}
  chain output {{
    type nat hook output priority -110;
    ip daddr 127.0.0.0/8 return
    ip daddr @addresses return
    goto published
  }}
  chain postrouting {{
    type nat hook postrouting priority 90;
    ct status dnat ip saddr . ip daddr @itself masquerade
    oifname "{BRIDGE_PREFIX}*" return
    oifname "docker*" return
    oifname "br-*" return
    ct status dnat meta l4proto tcp ct original proto-dst @open masquerade
    ct status dnat meta l4proto udp ct original proto-dst @open masquerade
    ct status dnat meta l4proto sctp ct original proto-dst @open masquerade
  }}
  chain input {{
    type filter hook input priority -10;
    ip daddr @addresses meta l4proto tcp reject with tcp reset
    ip daddr @addresses reject
  }}
}}
"""
#: Every host answers for a virtual address on its own bridge: no other one is asked.
_BRIDGE = f"""\
add table bridge {TABLE}
delete table bridge {TABLE}
table bridge {TABLE} {{
  {_MARK}
  set addresses {{ type ipv4_addr; }}
  chain prerouting {{
    type filter hook prerouting priority 0;
    iifname "{TUNNEL_PREFIX}*" arp daddr ip @addresses drop
  }}
  chain postrouting {{
    type filter hook postrouting priority 0;
    oifname "{TUNNEL_PREFIX}*" arp daddr ip @addresses drop
  }}
}}
"""


class Element(NamedTuple):
    """A member of a set or map of one of our tables; `value` is a map's."""

    family: str
    holder: str
    key: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.key} : {self.value}" if self.value else self.key


class Rules(NamedTuple):
    """All that changes in our tables: chains of one rule each, by name, and the elements."""

    chains: Mapping[str, str] = {}
    elements: frozenset[Element] = frozenset()


def rules_of(front: Front) -> Rules:
    """One service's."""
    chains: dict[str, str] = {}
    elements: set[Element] = set()
    for address in front.addresses:
        _add_address(address, chains, elements)
    for port in front.ports:
        _add_port(port, chains, elements)
    elements.update(_member("itself", f"{address} . {address}") for address in front.local)
    return Rules(chains, frozenset(elements))


def joined(parts: Iterable[Rules]) -> Rules:
    """Those of several services, in order: what two of them claim is the first one's."""
    chains: dict[str, str] = {}
    elements: set[Element] = set()
    for part in parts:
        for name, rule in part.chains.items():
            chains.setdefault(name, rule)
        elements |= part.elements
    return Rules(chains, frozenset(elements))


def whole(rules: Rules) -> str:
    """The commands that make the tables these, whatever was in them."""
    lines = [_add_chain(name, rule) for name, rule in sorted(rules.chains.items())]
    return "".join([_INET, _BRIDGE, *lines, *_change_elements("add", rules.elements)])


def difference(old: Rules, new: Rules) -> str:
    """The commands that lead from one state to the other; empty where nothing differs."""
    lines: list[str] = []
    for name, rule in sorted(new.chains.items()):
        before = old.chains.get(name)
        if before is None:
            lines.append(_add_chain(name, rule))
        elif before != rule:
            lines.append(f"flush chain inet {TABLE} {name}\n{_add_rule(name, rule)}")
    lines += _change_elements("delete", old.elements - new.elements)
    lines += _change_elements("add", new.elements - old.elements)
    for name in sorted(old.chains.keys() - new.chains.keys()):
        lines.append(f"flush chain inet {TABLE} {name}\ndelete chain inet {TABLE} {name}\n")
    return "".join(lines)


def spread(backends: Iterable[Backend]) -> str:
    """`numgen random mod 3 map { 0-1 : a, 2 : b }`: as many numbers for each as it has weight."""
    chosen = list(backends)
    unit = gcd(*(each.weight for each in chosen))
    ranges: list[str] = []
    begin = 0
    for each in chosen:
        end = begin + each.weight // unit - 1
        numbers = f"{begin}-{end}" if end > begin else str(begin)
        ranges.append(f"{numbers} : {each.address}{f' . {each.port}' if each.port else ''}")
        begin = end + 1
    return f"numgen random mod {begin} map {{ {', '.join(ranges)} }}"


def _add_address(given: VirtualAddress, chains: dict[str, str], elements: set[Element]) -> None:
    elements.add(_member("addresses", given.address))
    elements.add(Element("bridge", "addresses", given.address))
    if given.backends:
        chain = f"virtual-{given.address}"
        chains[chain] = f"dnat ip to {spread(given.backends)}"
        elements.add(_member("virtual", f'"{given.bridge}" . {given.address}', f"goto {chain}"))


def _add_port(given: IngressPort, chains: dict[str, str], elements: set[Element]) -> None:
    if not given.backends or not given.is_of_rules:
        return
    key, name = f"{given.protocol} . {given.port}", f"{given.protocol}-{given.port}"
    holder = "ports"
    if given.host_ip:
        holder, key, name = "bound", f"{given.host_ip} . {key}", f"{name}-{given.host_ip}"
    chains[f"port-{name}"] = _to_ports(given, given.backends)
    elements.add(_member(holder, key, f"goto port-{name}"))
    if given.inside and not given.host_ip:
        chains[f"inside-{name}"] = _to_ports(given, given.inside)
        elements.add(_member("inside", key, f"goto inside-{name}"))
    elements.add(_member("open", str(given.port)))


def _to_ports(given: IngressPort, backends: Iterable[Backend]) -> str:
    return f"meta l4proto {given.protocol} dnat ip addr . port to {spread(backends)}"


def _member(holder: str, key: str, value: str = "") -> Element:
    return Element("inet", holder, key, value)


def _add_chain(name: str, rule: str) -> str:
    return f"add chain inet {TABLE} {name}\n{_add_rule(name, rule)}"


def _add_rule(name: str, rule: str) -> str:
    return f"add rule inet {TABLE} {name} {rule}\n"


def _change_elements(verb: str, elements: Iterable[Element]) -> Iterator[str]:
    """One command for each set and map."""
    for (family, holder), group in groupby(sorted(elements), key=lambda each: each[:2]):
        text = ", ".join(str(each) if verb == "add" else each.key for each in group)
        yield f"{verb} element {family} {TABLE} {holder} {{ {text} }}\n"
