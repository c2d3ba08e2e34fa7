"""Swarm's placeholders, such as `{{.Task.Slot}}`. The loader checks them, agents fill them in.

Only what speaks of a node, a service or a task is one: other double braces are a program's own.
"""

from __future__ import annotations

import re

#: A placeholder in a text; the group is what stands between the braces.
PLACEHOLDER = re.compile(r"\{\{-?\s*([^{}]*?\.(?:Node|Service|Task)\b[^{}]*?)\s*-?\}\}")
#: Those that are filled in.
KNOWN = (
    ".Node.Hostname",
    ".Node.ID",
    ".Node.Platform.Architecture",
    ".Node.Platform.OS",
    ".Service.ID",
    ".Service.Name",
    ".Task.ID",
    ".Task.Name",
    ".Task.Slot",
)


def listed() -> str:
    """All that are known, as they are written."""
    return ", ".join(f"{{{{{name}}}}}" for name in KNOWN)
