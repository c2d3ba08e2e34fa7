"""What happens to the controller's core (events, past tense) and what it wants done (commands).

A ticket names a caller that waits for a Reply; doors make them, the core only hands them back.
"""

from __future__ import annotations

from bayplan.errors import Problem
from bayplan.model import Assignments, Model, StackSpec
from bayplan.session import AgentSays, Dismissal, Hello, Preflight, Welcome
from bayplan.views import ServiceChange
from controller.records import Node

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
    """A user wants this stack."""

    ticket: str
    stack: StackSpec
    prune: bool = False
    dry_run: bool = False


class RemoveAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants a stack to go."""

    ticket: str
    stack: str


class ScaleAsked(Model, frozen=True, kw_only=True, tag=True):
    """A user wants another number of replicas; `service` is a full name, an id or a unique prefix."""

    ticket: str
    service: str
    replicas: int


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


Event = (
    SessionOpened
    | AgentSaid
    | SessionLost
    | DeployAsked
    | RemoveAsked
    | ScaleAsked
    | CallerLeft
    | TokenMade
    | JoinAsked
)

# --- commands ---------------------------------------------------------------------------------------


class Send(Model, frozen=True, kw_only=True, tag=True):
    """Say this in the session, if it still is the node's. A newer Assignments replaces one not yet sent."""

    node_id: str
    session_id: str
    message: Welcome | Assignments | Preflight | Dismissal


class Reply(Model, frozen=True, kw_only=True, tag=True):
    """Answer a ticket: with a value, or with a problem."""

    ticket: str
    value: tuple[ServiceChange, ...] | tuple[str, ...] | Scaled | Node | None = None
    problem: Problem | None = None


class Scaled(Model, frozen=True, kw_only=True, tag=True):
    """A number of replicas before and after."""

    service: str
    before: int
    after: int


class Publish(Model, frozen=True, kw_only=True, tag=True):
    """What watchers may see has changed: wake those of these stacks, and those of everything."""

    stacks: tuple[str, ...]


Command = Send | Reply | Publish
