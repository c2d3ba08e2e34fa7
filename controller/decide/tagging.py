"""Tags and weights of services, by their labels: `bayplan.tag.NAME: VALUE` and `bayplan.weight: N`. Pure.

Labels of the service (Compose's `deploy.labels`) win over those of its containers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bayplan.limits import TAG_CHARS_MAX, TAG_LABEL_PREFIX, TAGS_MAX, WEIGHT_LABEL, WEIGHT_MAX
from bayplan.model import ServiceSpec

#: The weight of an instance of which nothing is said.
WEIGHT_USUAL = 1


def tags(spec: ServiceSpec) -> tuple[str, ...]:
    """The tags of a service, sorted."""
    found = {
        key.removeprefix(TAG_LABEL_PREFIX): value
        for key, value in _labels(spec).items()
        if key.startswith(TAG_LABEL_PREFIX)
    }
    return tuple(sorted(f"{name}={value}" if value else name for name, value in found.items()))


def weight(spec: ServiceSpec) -> int:
    """The weight of each instance of a service; what is none counts as the usual."""
    text = _labels(spec).get(WEIGHT_LABEL, "")
    return int(text) if _is_weight(text) else WEIGHT_USUAL


def unfit(spec: ServiceSpec) -> Iterator[str]:
    """What is wrong with the tags and the weight of a service."""
    text = _labels(spec).get(WEIGHT_LABEL)
    if text is not None and not _is_weight(text):
        yield f"label {WEIGHT_LABEL} is {text[:80]!r}; a weight is 0 to {WEIGHT_MAX}"
    found = tags(spec)
    if len(found) > TAGS_MAX:
        yield f"there are {len(found)} labels {TAG_LABEL_PREFIX}*; at most {TAGS_MAX}"
    if any(len(tag) > TAG_CHARS_MAX for tag in found) or TAG_LABEL_PREFIX in _labels(spec):
        yield f"a tag (label {TAG_LABEL_PREFIX}NAME) has 1 to {TAG_CHARS_MAX} characters"


def _labels(spec: ServiceSpec) -> Mapping[str, str]:
    return {**spec.container.labels, **spec.labels} if spec.labels else spec.container.labels


def _is_weight(text: str) -> bool:
    return (
        text.isascii() and text.isdecimal() and len(text) <= len(str(WEIGHT_MAX)) and int(text) <= WEIGHT_MAX
    )
