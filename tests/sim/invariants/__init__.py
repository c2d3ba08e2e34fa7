"""What must always be so, one checker a file."""

from tests.sim.invariants.addresses_unique import AddressesUnique
from tests.sim.invariants.base import Invariant, Part
from tests.sim.invariants.capacity_kept import CapacityKept
from tests.sim.invariants.copies_follow import CopiesFollow
from tests.sim.invariants.dependencies_first import DependenciesFirst
from tests.sim.invariants.directory_tells_truth import DirectoryTellsTruth
from tests.sim.invariants.drains_keep_one import DrainsKeepOne
from tests.sim.invariants.endpoints_drain import EndpointsDrain
from tests.sim.invariants.failures_counted import FailuresCounted
from tests.sim.invariants.intents_kept import IntentsKept
from tests.sim.invariants.jobs_run_once import JobsRunOnce
from tests.sim.invariants.listings_name_assigned import ListingsNameAssigned
from tests.sim.invariants.lookup_tells_truth import LookupTellsTruth
from tests.sim.invariants.networks_apart import NetworksApart
from tests.sim.invariants.newest_controller_obeyed import NewestControllerObeyed
from tests.sim.invariants.one_copy_per_slot import OneCopyPerSlot
from tests.sim.invariants.one_node_per_task import OneNodePerTask
from tests.sim.invariants.ports_unique import PortsUnique
from tests.sim.invariants.queues_bounded import QueuesBounded
from tests.sim.invariants.revisions_grow import RevisionsGrow
from tests.sim.invariants.said_is_durable import SaidIsDurable
from tests.sim.invariants.secrets_where_needed import SecretsWhereNeeded
from tests.sim.invariants.singletons_alone import SingletonsAlone
from tests.sim.invariants.states_go_forward import StatesGoForward

ALL: tuple[type[Invariant], ...] = (
    OneNodePerTask,
    StatesGoForward,
    OneCopyPerSlot,
    SingletonsAlone,
    DrainsKeepOne,
    EndpointsDrain,
    FailuresCounted,
    DependenciesFirst,
    JobsRunOnce,
    NewestControllerObeyed,
    SaidIsDurable,
    PortsUnique,
    AddressesUnique,
    NetworksApart,
    SecretsWhereNeeded,
    CapacityKept,
    LookupTellsTruth,
    ListingsNameAssigned,
    DirectoryTellsTruth,
    CopiesFollow,
    IntentsKept,
    RevisionsGrow,
    QueuesBounded,
)

__all__ = ["ALL", "Invariant", "Part"]
