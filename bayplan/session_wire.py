"""A session's messages as they travel, and back: in columns, and each container spec only once.

What each side must remember of a session for that is here: the controller's Speaker, the agent's Listener.
What comes from the wire is not trusted: WireError and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from msgspec.structs import replace

from bayplan import columns
from bayplan.columns import ColumnsError
from bayplan.model import Assignment, AssignmentColumns, Assignments, ContainerSpec, Overlay
from bayplan.session import AgentSays, ControllerSays, Hello, Report
from bayplan.v1 import agent_pb2
from bayplan.wire import WireError, to_pb, unwrap, wrap

#: The session's call: its messages are bytes to gRPC.
SESSION_METHOD = "/bayplan.v1.AgentService/Session"
#: Serialised specs, and as many kinds of assignments, that a controller keeps to say again.
KEPT_PARTS_MAX = 20_000

MessageT = TypeVar("MessageT", bound=Message)
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
_Specs = Mapping[str, ContainerSpec]
_ASSIGNMENTS = agent_pb2.SessionResponse.ASSIGNMENTS_FIELD_NUMBER
_COLUMNS = agent_pb2.Assignments.COLUMNS_FIELD_NUMBER
_IDS = agent_pb2.AssignmentColumns.IDS_FIELD_NUMBER
_SLOTS = agent_pb2.AssignmentColumns.SLOTS_FIELD_NUMBER
_KIND_OF = agent_pb2.AssignmentColumns.KIND_OF_FIELD_NUMBER


def say(message: AgentSays) -> bytes:
    """What an agent says, as a serialised SessionRequest."""
    return wrap(agent_pb2.SessionRequest, columns.packed(message)).SerializeToString()


def hear(data: bytes) -> AgentSays:
    """What an agent has said; tasks stay in columns that fit together. Raises WireError."""
    message: AgentSays = unwrap(_parsed(agent_pb2.SessionRequest, data))
    try:
        if isinstance(message, Hello | Report):
            columns.check_statuses(message.groups)
        if isinstance(message, Report):
            columns.unpack_ids(message.gone_ids)
    except ColumnsError as error:
        raise WireError(f"{type(message).__name__}: {error}") from error
    return message


class Shelf:
    """What a controller has serialised and will say again: specs, and kinds of assignments.

    A field that is serialised alone can stand in any message beside others: protobuf's parts are joined by
    putting one behind the other.
    """

    def __init__(self) -> None:
        self._specs: dict[str, tuple[ContainerSpec, bytes]] = {}
        #: By identity, which is much faster than by value; the kind is held so that its identity is its own.
        self._kinds: dict[int, tuple[Assignment, bytes]] = {}

    def spec(self, spec_id: str, spec: ContainerSpec) -> bytes:
        """An entry of Assignments.specs."""
        kept = self._specs.get(spec_id)
        if kept is None or kept[0] is not spec:
            kept = spec, agent_pb2.Assignments(specs={spec_id: to_pb(spec)}).SerializeToString()
            _keep(self._specs, spec_id, kept)
        return kept[1]

    def kind(self, kind: Assignment) -> bytes:
        """An entry of AssignmentColumns.kinds."""
        kept = self._kinds.get(id(kind))
        if kept is None:
            kept = kind, agent_pb2.AssignmentColumns(kinds=[to_pb(kind)]).SerializeToString()
            _keep(self._kinds, id(kind), kept)
        return kept[1]


class Speaker:
    """The controller's side of one session. Messages are sent in the order in which they are said."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._said: _Specs = {}
        self._overlays: tuple[Overlay, ...] = ()

    def say(self, message: ControllerSays) -> bytes:
        """A message as a serialised SessionResponse."""
        if isinstance(message, Assignments):
            return _field(_ASSIGNMENTS, self._assignments(columns.packed(message)))
        return wrap(agent_pb2.SessionResponse, message).SerializeToString()

    def _assignments(self, message: Assignments) -> bytes:
        shelf, said, assigned = self._shelf, self._said, message.columns
        named, specs = _named(message), message.specs
        head = replace(message, specs={}, columns=AssignmentColumns())
        if message.overlays == self._overlays and message.overlays:
            head = replace(head, overlays=(), same_overlays=True)
        self._overlays = message.overlays
        parts = [
            to_pb(head).SerializeToString(),
            *(shelf.spec(key, specs[key]) for key in named if specs[key] is not said.get(key)),
        ]
        if assigned.ids:
            kinds = b"".join(map(shelf.kind, assigned.kinds))
            rows = (
                _field(_IDS, assigned.ids),
                _field(_SLOTS, assigned.slots),
                _field(_KIND_OF, assigned.kind_of),
            )
            parts.append(_field(_COLUMNS, b"".join((kinds, *rows))))
        self._said = {key: specs[key] for key in named}
        return b"".join(parts)


class Listener:
    """The agent's side of one session."""

    def __init__(self) -> None:
        self._heard: _Specs = {}
        self._overlays: tuple[Overlay, ...] = ()

    def hear(self, data: bytes) -> ControllerSays:
        """A message of the controller; assignments have all their specs, and a value for each task.

        Raises WireError.
        """
        message: ControllerSays = unwrap(_parsed(agent_pb2.SessionResponse, data))
        if not isinstance(message, Assignments):
            return message
        try:
            whole = columns.unpacked(self.completed(message))
        except ColumnsError as error:
            raise WireError(f"Assignments: {error}") from error
        return whole

    def completed(self, message: Assignments) -> Assignments:
        """Assignments with all their specs and overlays, those heard before too; tasks stay in columns."""
        named, heard = _named(message), {**self._heard, **message.specs}
        if missing := sorted(named - heard.keys()):
            raise WireError(f"Assignments: spec {missing[0]!r} was never said")
        self._heard = specs = {key: heard[key] for key in sorted(named)}
        if not message.same_overlays:
            self._overlays = message.overlays
        return replace(message, specs=specs, overlays=self._overlays, same_overlays=False)


def _named(message: Assignments) -> set[str]:
    """The specs that tasks name."""
    return {task.spec_id for task in message.tasks} | {kind.spec_id for kind in message.columns.kinds}


def _parsed(kind: type[MessageT], data: bytes) -> MessageT:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise WireError(f"{len(data)} bytes are no {kind.DESCRIPTOR.name}") from error


def _field(number: int, payload: bytes) -> bytes:
    """A field of bytes or of a message, serialised (https://protobuf.dev/programming-guides/encoding)."""
    rest, length = len(payload), bytearray()
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes([number << 3 | 2]) + length + payload


def _keep(shelf: dict[KeyT, ValueT], key: KeyT, value: ValueT) -> None:
    if len(shelf) >= KEPT_PARTS_MAX:
        shelf.clear()
    shelf[key] = value
