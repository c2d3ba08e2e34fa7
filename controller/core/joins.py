"""Tokens and joining: how a machine becomes a node."""

from __future__ import annotations

import hmac

import msgspec

from bayplan.errors import Problem, ProblemKind
from controller.core.turn import Turn
from controller.events import JoinAsked, TokenMade
from controller.records import JoinToken, Node

#: Join tokens kept; the oldest go first.
TOKENS_MAX = 1_000
#: Nodes of a cluster.
NODES_MAX = 10_000

_ANOTHER_TOKEN = "`bayplan join-token` on the controller prints a new one"


def token_made(turn: Turn, event: TokenMade) -> None:
    """Keeps a new token, and forgets expired and surplus ones."""
    by_age = sorted(turn.state.tokens.values(), key=lambda token: (token.expires_ms, token.id))
    surplus = len(by_age) - TOKENS_MAX
    for index, token in enumerate(by_age):
        if index < surplus or token.expires_ms <= turn.now.wall_ms:
            turn.drop(token)
    made = JoinToken(
        id=event.token_id,
        secret_hash=event.secret_hash,
        expires_ms=event.expires_ms,
        uses_left=event.uses,
    )
    turn.put(made)
    turn.reply(event.ticket)


def join_asked(turn: Turn, event: JoinAsked) -> None:
    """Makes a node for a good token; the same key again is the same node and costs no use."""
    token = turn.state.tokens.get(event.token_id)
    if token is None or not hmac.compare_digest(token.secret_hash, event.secret_hash):
        # One wording for unknown and wrong: guessing learns nothing.
        _refuse(turn, event, "the join token is not known here")
    elif token.expires_ms <= turn.now.wall_ms:
        _refuse(turn, event, "the join token has expired")
    elif known := next((node for node in turn.state.nodes.values() if node.key_id == event.key_id), None):
        turn.reply(event.ticket, known)
    elif not token.uses_left:
        _refuse(turn, event, "the join token has been used up")
    elif len(turn.state.nodes) >= NODES_MAX:
        _refuse(turn, event, f"the cluster has {NODES_MAX} nodes, the most it takes")
    else:
        turn.put(msgspec.structs.replace(token, uses_left=token.uses_left - 1))
        turn.reply(event.ticket, _make_node(turn, event))


def _refuse(turn: Turn, event: JoinAsked, summary: str) -> None:
    problem = Problem(kind=ProblemKind.UNAUTHORISED, summary=summary, hint=_ANOTHER_TOKEN)
    turn.reply(event.ticket, problem=problem)


def _make_node(turn: Turn, event: JoinAsked) -> Node:
    node = Node(
        id=turn.new_id(),
        name=_free_name(turn, event.name),
        key_id=event.key_id,
        address=event.address,
        labels=event.labels,
        ordinal=turn.state.next_ordinal(),
        joined_ms=turn.now.wall_ms,
    )
    turn.put(node)
    life = turn.state.lives[node.id]
    life.heard_ms = life.answered_ms = turn.now.mono_ms
    turn.note("node", node.name, "joined")
    return node


def _free_name(turn: Turn, wished: str) -> str:
    """The wished name, or with a number when it is taken."""
    taken = {node.name for node in turn.state.nodes.values()}
    number, name = 1, wished
    while name in taken:
        number += 1
        name = f"{wished}-{number}"
    return name
