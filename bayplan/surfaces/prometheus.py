"""Prometheus finds what to scrape (https://prometheus.io/docs/prometheus/latest/http_sd/). Pure.

All instances with an address and a port are targets, those that are not ready too: it is they who should be
looked at. `?ready` gives the others only; `?stack=`, `?service=` and `?tag=` choose among them.
"""

from __future__ import annotations

import re
from typing import Any

from bayplan.directory import Entry, Listing
from bayplan.surfaces.asking import Answer, Asked, Read, Surface, View, json_answer
from bayplan.surfaces.lookup import refusal
from bayplan.surfaces.selecting import Selection, endpoint, ports_by_name, tags_of

#: Of labels that are for relabelling only (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config).
PREFIX = "__meta_bayplan_"

_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def read(asked: Asked) -> Read | None:
    """What a request of this path means. Raises ProblemError (INVALID)."""
    if asked.path != ("v1", "prometheus"):
        return None
    selection = Selection.of(asked, every=not asked.flag("ready"))
    stack, service = asked.first("stack"), asked.first("service")

    def answer(view: View) -> Answer:
        chosen = [each for each in view.directory if stack in ("", each.stack)]
        chosen = [each for each in chosen if service in ("", each.service)]
        groups = [
            _group(listing, entry)
            for listing in chosen
            for entry in selection.of_listing(listing, view)
            if entry.address and entry.port
        ]
        return json_answer(groups)

    return Read(answer)


SURFACE = Surface(("/v1/prometheus",), read, refusal)


def _group(listing: Listing, entry: Entry) -> dict[str, Any]:
    labels = {
        "stack": listing.stack,
        "service": listing.service,
        "id": entry.id,
        "slot": str(entry.slot),
        "version": str(entry.version),
        "node": entry.node,
        "zone": entry.zone,
        "standing": entry.standing.value,
        "tags": "".join([f",{tag}" for tag in tags_of(listing, entry)] + [","]),
    }
    labels |= {f"port_{_label(name)}": str(port) for name, port in ports_by_name(entry).items()}
    labels |= {f"meta_{_label(name)}": value for name, value in entry.meta.items()}
    return {"targets": [endpoint(entry)], "labels": {PREFIX + name: value for name, value in labels.items()}}


def _label(name: str) -> str:
    """As the name of a label."""
    return _NO_LABEL.sub("_", name)
