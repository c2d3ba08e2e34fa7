"""The keys of configs and secrets: at the top of a file, and in a service that mounts them.

Reads what is written; whether the content can be had is `files`' to find out.
"""

from __future__ import annotations

import re

from bayplan.compose import typed
from bayplan.compose.fields import (
    Decoder,
    Field,
    Key,
    Keys,
    Placed,
    Support,
    each,
    flag,
    labels,
    struct,
    text,
    via,
    yes,
)
from bayplan.compose.mounts import MODE_MAX
from bayplan.compose.names import parse_name
from bayplan.compose.nodes import Map, Scalar, is_null
from bayplan.compose.report import shown

#: Highest number of a user or group; the one above it means "no change" to the kernel.
OWNER_MAX = 2**32 - 2

_ORIGINS = ("file", "content", "environment", "external")
_OCTAL = re.compile(r"(?:0o?)?([0-7]{1,5})")


def external_name(field: Field) -> str | None:
    """`external`: None when false, the name of its old form `{name: ...}`, else empty."""
    if isinstance(field.node, Map):
        for key, child in field.entries():
            if key == "name":
                return text(child)
        raise field.refuse("shall be true, false, or a mapping with a name", hint="write `external: true`")
    return "" if flag(field) else None


def file_mode(field: Field) -> int:
    """A mode of a file: octal with a leading 0 or 0o, or in quotes. A bare 288 is decimal, as in Docker."""
    written = text(field)
    octal = _OCTAL.fullmatch(written)
    bare = isinstance(field.node, Scalar) and field.node.plain and not written.startswith("0")
    if octal is None and not (bare and written.isascii() and written.isdigit()):
        raise field.refuse(f"is not a mode: {shown(written)}", hint='write it like "0440"')
    mode = int(octal[1], 8) if octal is not None and not bare else int(written[:10])
    if mode > MODE_MAX:
        raise field.refuse(f"is above the highest mode, 07777: {shown(written)}", hint='write it like "0440"')
    if bare:
        field.warn(f"is decimal: {written} is the mode {mode:04o}; an octal mode begins with 0")
    return mode


def _owner(field: Field) -> int:
    written = text(field)
    if not (written.isascii() and written.isdigit() and len(written) <= 10 and int(written) <= OWNER_MAX):
        raise field.refuse(
            f"shall be a number, not {shown(written)}",
            hint="the image alone knows its names: write the number, as in its /etc/passwd",
        )
    return int(written)


def _reference(field: Field) -> Placed[typed.FileUse]:
    if not isinstance(field.node, Map):
        return Placed(field.place, typed.FileUse(source=text(field)))
    use = _USE(field)
    if "source" not in use.places:
        raise field.refuse("has no source", hint="add `source: NAME`, a name of the top-level mapping")
    return Placed(field.place, use)


def _refused(note: str) -> Key:
    return Key(Support.REFUSED, None, note)


def _origin(keys: Keys, what: str) -> Decoder[typed.Content]:
    """Reads where a content comes from: one way, and no second one."""
    decode = struct(typed.Content, keys, what)

    def read(field: Field) -> typed.Content:
        content = typed.Content() if is_null(field.node) else decode(field)
        given = [
            name
            for name in _ORIGINS
            if name in content.places and (name != "external" or content.external is not None)
        ]
        if not given:
            hint = "add `file: ./PATH`, `content: ...`, `environment: NAME` or `external: true`"
            raise field.refuse("does not say where its content comes from", hint=hint)
        if len(given) > 1:
            raise field.refuse(f"has both {given[0]} and {given[1]}", hint="keep one of them")
        return content

    return read


FILE_USE: Keys = {
    "source": yes(text),
    "target": yes(text, "a relative one is below `/run/secrets` for a secret, below `/` for a config"),
    "uid": yes(_owner, "a number"),
    "gid": yes(_owner, "a number"),
    "mode": yes(file_mode, "octal; `0444` where none is given"),
}
CONFIG: Keys = {
    "file": yes(text, "within the project folder, at most 500 KiB"),
    "content": yes(text),
    "environment": yes(text, "the content of that variable"),
    "external": yes(external_name, "made with `bayplan config create` or `bayplan secret create`"),
    "name": yes(via(parse_name), "the full name, instead of `<stack>_<key>`"),
    "labels": yes(labels),
    "template_driver": _refused("the content is taken as it is: write out what the template would give"),
}
SECRET: Keys = {
    **CONFIG,
    "driver": _refused("the cluster keeps secrets itself: remove it, and give the content by `file`"),
    "driver_opts": _refused("the cluster keeps secrets itself: remove it, and give the content by `file`"),
}

_USE = struct(typed.FileUse, FILE_USE, "a reference to a config or secret")

#: `configs` or `secrets` of a service, short and long form, with their places.
file_uses: Decoder[tuple[Placed[typed.FileUse], ...]] = each(_reference)
#: One entry of the top-level `configs`.
config: Decoder[typed.Content] = _origin(CONFIG, "a config")
#: One entry of the top-level `secrets`.
secret: Decoder[typed.Content] = _origin(SECRET, "a secret")
