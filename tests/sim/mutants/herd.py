"""All planted faults."""

from tests.sim.mutants import (
    capacity_overlooked,
    clone_welcomed,
    completion_forgotten,
    drain_stops_first,
    endpoints_not_let_go,
    ends_overlooked,
    failures_forgotten,
    fence_ignored,
    forgotten_on_reconnect,
    heir_before_the_end,
    monitor_ignored,
    moved_task,
    no_brake,
    no_epoch_fence,
    no_session_fence,
    order_ignored,
    ports_overlooked,
    replied_before_durable,
    rollback_ignored,
    said_before_kept,
    states_go_back,
)
from tests.sim.mutants.base import Mutant

HERD: tuple[Mutant, ...] = tuple(
    module.MUTANT
    for module in (
        capacity_overlooked,
        clone_welcomed,
        completion_forgotten,
        drain_stops_first,
        endpoints_not_let_go,
        ends_overlooked,
        failures_forgotten,
        fence_ignored,
        forgotten_on_reconnect,
        heir_before_the_end,
        monitor_ignored,
        moved_task,
        no_epoch_fence,
        no_brake,
        no_session_fence,
        order_ignored,
        ports_overlooked,
        replied_before_durable,
        rollback_ignored,
        said_before_kept,
        states_go_back,
    )
)
