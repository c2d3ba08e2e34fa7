"""What happens to the controller's core (events, past tense) and what it wants done (commands).

A ticket names a caller that waits for a Reply; doors make them, the core only hands them back.
"""

from __future__ import annotations

from bayplan.directory.registrar import Registration, Renewal
from bayplan.errors import Problem
from bayplan.model import Availability, FileKind, Model, NetworkSpec, Resources, ServiceSpec, StackSpec
from bayplan.session import AgentSays, Dismissal, Files, Hello, Preflight, Pulse, Welcome
from bayplan.views import Deployed, FileView, Move, NetworkView, Plan, QuotaView, RolloutAction, RolloutView
from controller.records import Node, Override

# --- events -----------------------------------------------------------------------------------------


class SessionOpened(Model, frozen=True, kw_only=True, tag=True):
    """An agent with the certificate of `node_id` said Hello."""

    node_id: str
    session_id: str
    hello: Hello
    peer: str = ""


class AgentSaid(Model, frozen=True, kw_only=True, tag=True):
    """An agent said something after Hello."""

    node_id: str
    session_id: str
    message: AgentSays


class SessionLost(Model, frozen=True, kw_only=True, tag=True):
    """The stream ended, with or without a Goodbye."""

    node_id: str
    session_id: str


class DeployAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants this stack; with `check_index` only if that still is the stack's revision."""

    ticket: str
    stack: StackSpec
    prune: bool = False
    check_index: int | None = None


class PlanAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants to know what deploying this stack would do."""

    ticket: str
    stack: StackSpec
    prune: bool = False


class RollbackAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants an older revision of a stack; 0 is the one before the current."""

    ticket: str
    stack: str
    revision: int = 0
    check_index: int | None = None


class RemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a stack to go."""

    ticket: str
    stack: str


class ScaleAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants another number of replicas; `service` is a full name, an id or a unique prefix."""

    ticket: str
    service: str
    replicas: int


class ServiceCreateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants one more service in a stack, which may be new."""

    ticket: str
    stack: str
    spec: ServiceSpec


class ServiceUpdateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants another spec of a service; with `check_version` only if that is the current one."""

    ticket: str
    service: str
    spec: ServiceSpec
    check_version: int = 0


class ServiceRestartAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants all tasks of a service replaced by new ones of the same spec."""

    ticket: str
    service: str


class ServiceRemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants one service out of its stack."""

    ticket: str
    service: str


class ServiceRollbackAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants the version that ran before the current one."""

    ticket: str
    service: str


class RolloutAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user steers a rollout."""

    ticket: str
    service: str
    action: RolloutAction


class NodeUpdateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants something different about a node; None and nothing are "as it is"."""

    ticket: str
    node: str
    availability: Availability | None = None
    label_add: dict[str, str] = {}
    label_remove: tuple[str, ...] = ()
    deadline_ms: int = 0


class NodeRemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a node out of the cluster."""

    ticket: str
    node: str
    force: bool = False


class RebalanceAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants tasks moved to even out the load, or to know which would be."""

    ticket: str
    dry_run: bool = False
    moves_max: int = 0


class QuotaSetAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user limits what a stack may set aside; an amount of 0 is no limit."""

    ticket: str
    stack: str
    limit: Resources = Resources()
    tasks: int = 0


class QuotaRemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user takes a stack's quota away."""

    ticket: str
    stack: str


class SimulateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants to know what would become of the tasks of nodes that were lost."""

    ticket: str
    lose: tuple[str, ...]


class WatcherCame(Model, frozen=True, kw_only=True, tag=True):
    """Somebody watches a service (by its full name) and will acknowledge what it is sent."""

    service: str
    watcher: str


class WatcherAcknowledged(Model, frozen=True, kw_only=True, tag=True):
    """A watcher uses only instances of this revision's view."""

    service: str
    watcher: str
    revision: int


class WatcherLeft(Model, frozen=True, kw_only=True, tag=True):
    """A watcher's stream has ended: nobody waits for it."""

    service: str
    watcher: str


class FollowersLetGo(Model, frozen=True, kw_only=True, tag=True):
    """No copy of the directory offers anything that is older than a revision; None: there is no copy."""

    revision: int | None


class WitnessOpened(Model, frozen=True, kw_only=True, tag=True):
    """A node's witness showed the ticket of the node's session."""

    node_id: str
    witness: str


class WitnessLost(Model, frozen=True, kw_only=True, tag=True):
    """The connection of a witness broke."""

    node_id: str
    witness: str


class FileCreateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a new config or secret."""

    ticket: str
    kind: FileKind
    name: str
    content: bytes
    labels: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<FileCreateAsked {self.kind.value} {self.name}>"


class FileUpdateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants other content in a config or secret."""

    ticket: str
    kind: FileKind
    name: str
    content: bytes

    def __repr__(self) -> str:
        return f"<FileUpdateAsked {self.kind.value} {self.name}>"


class FileRemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a config or secret to go."""

    ticket: str
    kind: FileKind
    name: str


class NetworkCreateAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a network that is no stack's."""

    ticket: str
    name: str
    spec: NetworkSpec


class NetworkRemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a network to go."""

    ticket: str
    name: str


class RegisterAsked(Model, frozen=True, kw_only=True, tag=True):
    """Somebody who is no task wants to be found, or `by` the node of this id for them."""

    ticket: str
    registration: Registration
    by: str = ""


class RenewAsked(Model, frozen=True, kw_only=True, tag=True):
    """Somebody who registered is still there, and says how it is."""

    ticket: str
    renewal: Renewal


class DeregisterAsked(Model, frozen=True, kw_only=True, tag=True):
    """Somebody who registered wants to be found no more."""

    ticket: str
    stack: str
    service: str
    id: str


class OverrideAsked(Model, frozen=True, kw_only=True, tag=True):
    """An operator drains an instance or weighs it; None is "as it is". `clear`: nothing said before holds."""

    ticket: str
    stack: str
    service: str
    id: str
    drain: bool | None = None
    weight: int | None = None
    clear: bool = False


class CallerLeft(Model, frozen=True, kw_only=True, tag=True):
    """Nobody waits for this ticket any more: what was not committed is dropped."""

    ticket: str


class TokenMade(Model, frozen=True, kw_only=True, tag=True):
    """The authority made a join token; only its hash comes here."""

    ticket: str
    token_id: str
    secret_hash: str
    expires_ms: int
    uses: int


class JoinAsked(Model, frozen=True, kw_only=True, tag=True):
    """A machine showed a token (whose hash is `secret_hash`) and a key (whose hash is `key_id`)."""

    ticket: str
    token_id: str
    secret_hash: str
    key_id: str
    name: str
    address: str
    labels: dict[str, str] = {}


AgentEvent = SessionOpened | AgentSaid | SessionLost | WitnessOpened | WitnessLost
#: Requests that change one service and nothing else.
OneServiceRequest = (
    ScaleAsked | ServiceCreateAsked | ServiceUpdateAsked | ServiceRestartAsked | ServiceRemoveAsked
)
#: Requests that are tried on paper and asked of the nodes before they are carried out.
TriedRequest = DeployAsked | PlanAsked | RollbackAsked | OneServiceRequest
RegistryRequest = RegisterAsked | RenewAsked | DeregisterAsked | OverrideAsked
#: Requests that are carried out at once.
PlainRequest = (
    RemoveAsked
    | ServiceRollbackAsked
    | RolloutAsked
    | NodeUpdateAsked
    | NodeRemoveAsked
    | RebalanceAsked
    | SimulateAsked
    | QuotaSetAsked
    | QuotaRemoveAsked
    | FileCreateAsked
    | FileUpdateAsked
    | FileRemoveAsked
    | NetworkCreateAsked
    | NetworkRemoveAsked
    | TokenMade
    | JoinAsked
    | RegistryRequest
)
WatcherEvent = WatcherCame | WatcherAcknowledged | WatcherLeft | FollowersLetGo
Event = AgentEvent | TriedRequest | PlainRequest | WatcherEvent | CallerLeft

# --- commands ---------------------------------------------------------------------------------------


class Assign(Model, frozen=True, kw_only=True, tag=True):
    """What a node shall have has changed: make the newest set of it when its session can take one.

    `bulk`: large work changed it, and it waits for what small work changes.
    """

    node_id: str
    session_id: str
    bulk: bool = False


class Send(Model, frozen=True, kw_only=True, tag=True):
    """Say this in the session, if it still is the node's."""

    node_id: str
    session_id: str
    message: Welcome | Pulse | Preflight | Files | Dismissal


class Reply(Model, frozen=True, kw_only=True, tag=True):
    """Answer a ticket: with a value, or with problems."""

    ticket: str
    value: Answer = None
    problems: tuple[Problem, ...] = ()

    @property
    def problem(self) -> Problem | None:
        """The first problem: it gives the exit code."""
        return self.problems[0] if self.problems else None


class Scaled(Model, frozen=True, kw_only=True, tag=True):
    """A number of replicas before and after."""

    service: str
    before: int
    after: int


class FileChanged(Model, frozen=True, kw_only=True, tag=True):
    """A config or secret with its new content; `rolled` are the full names of the services that mount it."""

    file: FileView
    rolled: tuple[str, ...] = ()


class Foreseen(Model, frozen=True, kw_only=True):
    """Where tasks would go, or go; `ended` are those that are bound to a node and would end with it."""

    moves: tuple[Move, ...] = ()
    ended: tuple[str, ...] = ()


Answer = (
    Deployed
    | Plan
    | tuple[str, ...]
    | Scaled
    | FileChanged
    | NetworkView
    | Foreseen
    | RolloutView
    | QuotaView
    | Node
    | Override
    | None
)


class Publish(Model, frozen=True, kw_only=True, tag=True):
    """What watchers may see has changed: wake those of these stacks, and those of everything."""

    stacks: tuple[str, ...]


Command = Assign | Send | Reply | Publish
