"""The keys of `build`: how an image is built on the machine of the command."""

from __future__ import annotations

from bayplan.compose import decoders as read
from bayplan.compose import modes, typed
from bayplan.compose.fields import (
    Field,
    Keys,
    anything,
    each,
    flag,
    labels,
    pairs,
    struct,
    text,
    via,
    warned,
    yes,
)
from bayplan.compose.names import parse_image
from bayplan.compose.nodes import Scalar

_NO_EFFECT = (
    "has no effect: write what the build needs into the Dockerfile, or build the image by other means"
)

BUILD: Keys = {
    "context": yes(text, "a folder, or the address of a repository"),
    "dockerfile": yes(text),
    "dockerfile_inline": yes(text),
    "args": yes(pairs),
    "target": yes(text),
    "labels": yes(labels),
    "cache_from": yes(each(text)),
    "no_cache": yes(flag),
    "pull": yes(flag),
    "network": yes(text),
    "shm_size": yes(read.size),
    "extra_hosts": yes(read.extra_hosts),
    "tags": yes(each(via(parse_image))),
    "platforms": yes(each(modes.platform)),
    **dict.fromkeys(
        (
            "additional_contexts", "cache_to", "entitlements", "isolation", "privileged", "provenance",
            "sbom", "secrets", "ssh", "ulimits",
        ),
        warned(anything, _NO_EFFECT),
    ),
}  # fmt: skip

_BUILD = struct(typed.Build, BUILD, "build")


def build(field: Field) -> typed.Build:
    """`build`: the context alone, or the long form."""
    if isinstance(field.node, Scalar):
        return typed.Build(context=text(field))
    found = _BUILD(field)
    if found.dockerfile and found.dockerfile_inline:
        raise field.refuse("has both dockerfile and dockerfile_inline", hint="keep one of them")
    return found
