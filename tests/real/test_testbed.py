"""The testbed itself, where a fault of its own would look like one of bayplan's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.real.host import SWITCH_ADDRESS, Host
from tests.real.machine import Machine
from tests.real.testbed import Testbed


def _card(machine: Machine, device: str) -> str:
    link = machine.run("ip", "-o", "link", "show", device)
    return link.split("link/ether ")[1].split()[0]


def _datagrams(machine: Machine) -> int:
    """How many have come for which no program listens."""
    names, values = [line.split() for line in machine.run("grep", "^Udp:", "/proc/net/snmp").splitlines()]
    return int(values[names.index("NoPorts")])


def _reaches(speaker: Machine, listener: Machine, address: str) -> bool:
    before = _datagrams(listener)
    speaker.run("bash", "-c", f"for n in 1 2 3; do echo $n >/dev/udp/{address}/4999; done", check=False)
    return _datagrams(listener) > before


def _ways(testbed: Testbed, host: Host) -> tuple[bool, bool]:
    """Whether datagrams get to the host, and from it."""
    return (
        _reaches(testbed.switch, host, host.address),
        _reaches(host, testbed.switch, SWITCH_ADDRESS),
    )


def test_a_reboot_keeps_the_cards_that_the_neighbours_remember(testbed: Testbed) -> None:
    host, switch = testbed.hosts[0], testbed.switch
    before = _card(host, "eth0"), _card(switch, "br0")
    host.reboot()
    assert (_card(host, "eth0"), _card(switch, "br0")) == before


@pytest.mark.parametrize(
    ("cut", "left"),
    [
        (Host.cut, (False, False)),
        (Host.cut_inbound, (False, True)),
        (Host.cut_outbound, (True, False)),
    ],
)
def test_a_cut_ends_the_ways_it_names_and_no_other(
    testbed: Testbed, cut: Callable[[Host], None], left: tuple[bool, bool]
) -> None:
    host = testbed.hosts[0]
    assert _ways(testbed, host) == (True, True)  # the neighbours learn each other's cards
    cut(host)
    try:
        assert _ways(testbed, host) == left
    finally:
        host.heal()
    assert _ways(testbed, host) == (True, True)


def test_a_crash_ends_all_processes_and_leaves_the_address(testbed: Testbed) -> None:
    host = testbed.hosts[0]
    host.crash()
    try:
        assert "dockerd" not in host.run("sh", "-c", "cat /proc/[0-9]*/comm", check=False)
        assert _ways(testbed, host) == (True, True)
    finally:
        host.reboot()
