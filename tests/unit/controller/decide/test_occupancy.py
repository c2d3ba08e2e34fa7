"""What is noted of ports by node."""

from __future__ import annotations

import numpy as np

from bayplan.model import Protocol
from controller.decide.filters import PortKey
from controller.decide.occupancy import Ports


def test_a_port_that_two_tasks_of_a_node_held_is_free_when_both_have_gone() -> None:
    """Found by a planted fault: after a real one, too, an agent may say that an ended task runs again."""
    key: PortKey = (8080, Protocol.TCP, "")
    ports, here, size = Ports(), np.array([0]), 4
    ports.write(0, frozenset({key}), size)
    ports.release(frozenset({key}), here, size)
    ports.release(frozenset({key}), here, size)
    fits = np.ones(size, np.bool_)
    ports.exclude([key], fits)
    assert fits.all() and not ports.at(0)
