"""The keys of configs and secrets: at the top of a file, and in a service that mounts them.

Reads what is written; whether the content can be had is `files`' to find out.
"""

from __future__ import annotations

import re

from bayplan.compose import typed
from bayplan.compose.decoders import external
from bayplan.compose.fields import Decoder, Field, Keys, Placed, each, labels, refused, struct, text, via, yes
from bayplan.compose.mounts import file_mode
from bayplan.compose.nodes import Map, is_null
from bayplan.compose.report import FormError, shown
from bayplan.limits import NAME_CHARS_MAX

#: Highest number of a user or group; the one above it means "no change" to the kernel.
OWNER_MAX = 2**32 - 2
#: Longest full name: that of a stack, a line between, and one of as many characters.
FULL_NAME_CHARS_MAX = 2 * NAME_CHARS_MAX + 1

_FULL_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{FULL_NAME_CHARS_MAX - 1}}}")
_NAME_HINT = (
    f"letters, digits, '.', '-' and '_', a letter or digit first, at most {FULL_NAME_CHARS_MAX} in all"
)
_ORIGINS = ("file", "content", "environment", "external")


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


def _full_name(written: str) -> str:
    """The name of a config or secret in the cluster. Raises FormError."""
    if _FULL_NAME.fullmatch(written) is None:
        raise FormError(f"{shown(written)} is not a name", f"write {_NAME_HINT}")
    return written


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
    "external": yes(external, "made with `bayplan config create` or `bayplan secret create`"),
    "name": yes(via(_full_name), "the full name, instead of `<stack>_<key>`"),
    "labels": yes(labels),
    "template_driver": refused("the content is taken as it is", "write out what the template would give"),
}
SECRET: Keys = {
    **CONFIG,
    "driver": refused("the cluster keeps secrets itself", "remove it, and give the content by `file`"),
    "driver_opts": refused("the cluster keeps secrets itself", "remove it, and give the content by `file`"),
}

_USE = struct(typed.FileUse, FILE_USE, "a reference to a config or secret")

#: `configs` or `secrets` of a service, short and long form, with their places.
file_uses: Decoder[tuple[Placed[typed.FileUse], ...]] = each(_reference)
#: One entry of the top-level `configs`.
config: Decoder[typed.Content] = _origin(CONFIG, "a config")
#: One entry of the top-level `secrets`.
secret: Decoder[typed.Content] = _origin(SECRET, "a secret")
