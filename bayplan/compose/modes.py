"""Words that choose how a container is run: namespaces, network mode, platform, pull policy, security.

What ties a container to another one is refused here by name: tasks are placed one by one.
"""

from __future__ import annotations

import re

from bayplan.compose.fields import Decoder, Field, Placed, choice, text
from bayplan.compose.report import shown
from bayplan.model import PullPolicy
from bayplan.platforms import architecture

_NODES_DIFFER = "tasks are placed on nodes one by one, so that there may be no such container beside this one"


def namespace(*words: str) -> Decoder[str]:
    """A namespace's mode. That of another container (`service:NAME`) is refused by name."""

    def read(field: Field) -> str:
        whose, colon, _ = text(field).partition(":")
        if colon and whose in ("service", "container"):
            hint = f"{_NODES_DIFFER}: write `{words[0]}`, or remove the key"
            raise field.refuse(f"{whose}:... is not supported", hint=hint)
        return choice({word: word for word in words})(field)

    return read


def network_mode(field: Field) -> str:
    """`host` or `none`; empty for the stack's own network, which is a bridge."""
    word = text(field)
    whose, colon, other = word.partition(":")
    if colon and whose in ("service", "container"):
        hint = (
            f"{_NODES_DIFFER}: put both in one network and write the name {other or 'NAME'} instead of "
            "localhost, or write `network_mode: host`"
        )
        raise field.refuse(f"{whose}:... is not supported", hint=hint)
    if word not in ("bridge", "default", "host", "none"):
        hint = "write bridge, host or none; a network of that name goes under `networks`"
        raise field.refuse(f"has the unknown value {shown(word)}", hint=hint)
    return "" if word in ("bridge", "default") else word


_PULL = {
    "missing": PullPolicy.MISSING,
    "if_not_present": PullPolicy.MISSING,
    "always": PullPolicy.ALWAYS,
    "never": PullPolicy.NEVER,
}
_PULL_AT_TIMES = re.compile(r"build|refresh|daily|weekly|every_(?:[0-9]+[wdhms])+")


def pull_policy(field: Field) -> PullPolicy:
    """When images are pulled; the policies by time, and `build`, become `missing`."""
    if _PULL_AT_TIMES.fullmatch(text(field)):
        field.warn(
            f"{text(field)} is taken as missing: the image is pulled where a node has none of that name"
        )
        return PullPolicy.MISSING
    return choice(_PULL)(field)


_OS = frozenset({"linux"})
_PLATFORM = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+){0,2}")


def platform(field: Field) -> str:
    """`os/arch[/variant]`; an architecture alone is one of linux."""
    parts = text(field).lower().split("/")
    if _PLATFORM.fullmatch("/".join(parts)) is None:
        raise field.refuse(f"is not a platform: {shown(text(field))}", hint="write it like linux/amd64")
    if parts == ["linux"]:
        return "linux"
    system, arch, *variant = parts if len(parts) > 1 else ["linux", *parts]
    if system not in _OS:
        raise field.refuse(
            f"{shown(text(field))} is not supported", hint="nodes run Linux: write linux/amd64"
        )
    return "/".join([system, architecture(arch), *variant])


def security_option(field: Field) -> Placed[str]:
    """`name=value` or a name alone; the older `name:value` too."""
    written = text(field)
    at = min((i for i in (written.find("="), written.find(":")) if i >= 0), default=len(written))
    name, value = written[:at], written[at + 1 :]
    if name == "systempaths":
        hint = "all of /proc and /sys is not given alone: write `privileged: true`, or mount what is needed"
        raise field.refuse("systempaths is not supported", hint=hint)
    names = ("apparmor", "credentialspec", "label", "no-new-privileges", "seccomp", "writable-cgroups")
    if name not in names:
        hint = f"write {', '.join(each for each in names if each != 'credentialspec')}, with = and a value"
        raise field.refuse(f"has the unknown option {shown(name)}", hint=hint)
    return Placed(field.place, f"{name}={value}" if value else name)
