"""All planted faults."""

from tests.sim.mutants import (
    capacity_overlooked,
    completion_forgotten,
    ends_overlooked,
    forgotten_on_reconnect,
    heir_before_the_end,
    moved_task,
    no_epoch_fence,
    no_grace_after_start,
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
        completion_forgotten,
        ends_overlooked,
        forgotten_on_reconnect,
        heir_before_the_end,
        moved_task,
        no_epoch_fence,
        no_grace_after_start,
        no_session_fence,
        order_ignored,
        ports_overlooked,
        replied_before_durable,
        rollback_ignored,
        said_before_kept,
        states_go_back,
    )
)
