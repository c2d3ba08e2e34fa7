"""Lets the host forward what came for a published port: the engine sets the host's policy to DROP.

One rule at the end of iptables' FORWARD, by the engine's own tool: only what no other rule has refused comes
there. It is for connections whose receiver was changed, whichever way their packets go.
"""

from __future__ import annotations

import shutil
import subprocess

#: One call may wait so long for others who change rules, and take so long, in seconds.
LOCK_WAIT_S, CALL_S_MAX = 5, 10.0

_TOOL = "iptables"
_RULE = (
    "FORWARD",
    "-m",
    "conntrack",
    "--ctstate",
    "DNAT",
    "-m",
    "comment",
    "--comment",
    "bayplan",
    "-j",
    "ACCEPT",
)


class ForwardingError(Exception):
    """The rule could not be set, in the tool's words."""


def keep() -> None:
    """Have the rule there. A host without the tool has no engine that drops. Raises ForwardingError."""
    if shutil.which(_TOOL) and not _is_there() and (words := _call("-A")):
        raise ForwardingError(f"iptables -A {' '.join(_RULE)}: {words}")


def remove() -> None:
    """Take the rule away. Raises ForwardingError."""
    if shutil.which(_TOOL) and _is_there() and (words := _call("-D")):
        raise ForwardingError(f"iptables -D {' '.join(_RULE)}: {words}")


def _is_there() -> bool:
    return not _call("-C")


def _call(verb: str) -> str:
    """What the tool says when it fails; empty: it did not."""
    command = [_TOOL, "--wait", str(LOCK_WAIT_S), verb, *_RULE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CALL_S_MAX, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return (done.stderr.strip() or f"it ended with {done.returncode}") if done.returncode else ""
