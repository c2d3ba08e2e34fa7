"""The testbed itself, where a fault of its own would look like one of bayplan's."""

from __future__ import annotations

from tests.real.testbed import Machine, Testbed


def _card(machine: Machine, device: str) -> str:
    link = machine.run("ip", "-o", "link", "show", device)
    return link.split("link/ether ")[1].split()[0]


def test_a_reboot_keeps_the_cards_that_the_neighbours_remember(testbed: Testbed) -> None:
    host, switch = testbed.hosts[0], testbed.switch
    before = _card(host, "eth0"), _card(switch, "br0")
    host.power_off()
    host.power_on()
    host.start_engine()
    assert (_card(host, "eth0"), _card(switch, "br0")) == before
