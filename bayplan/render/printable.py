"""Text of others (containers, images, probes) made safe for a terminal."""

from __future__ import annotations

#: What may stay besides printable characters.
_KEPT = "\t"


def printable(text: str) -> str:
    """The text with control characters (escape sequences among them) shown, not obeyed."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _KEPT else _shown(character)
        for character in text
    )


def one_line(text: str) -> str:
    """The text on one line, its lines joined by ` · `."""
    return " · ".join(printable(line.strip()) for line in text.splitlines() if line.strip())


def _shown(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
