"""Eureka's REST API, reading only: `/eureka/apps`, an application, an instance; as XML, or as JSON for those
who accept that (https://github.com/Netflix/eureka/wiki/Eureka-REST-operations). Pure.

Its clients poll; who asks for `/eureka/apps/delta` is told 404 and fetches all.
"""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape

from bayplan.directory import Directory, Entry, Listing, Standing
from bayplan.errors import Problem, ProblemKind, refuse
from bayplan.surfaces.asking import Answer, Asked, Read, Surface, View, json_answer
from bayplan.surfaces.lookup import refusal
from bayplan.surfaces.selecting import full_name

XML = "application/xml"
#: What clients are told of leases, in seconds; Eureka's defaults. Nobody renews here.
RENEWAL_S, DURATION_S = 30, 90

#: What has no place in the name of an XML element.
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_STATUS = {
    Standing.READY: "UP",
    Standing.SUSPECT: "UP",
    Standing.STARTING: "STARTING",
    Standing.UNHEALTHY: "DOWN",
    Standing.DRAINING: "OUT_OF_SERVICE",
}


def read(asked: Asked) -> Read | None:
    """What a request of these paths means."""
    match asked.path:
        case ("eureka", "apps"):
            return Read(lambda view: _answer(asked, "applications", _applications(view.directory)))
        case ("eureka", "apps", app) if app != "delta":
            return Read(lambda view: _answer(asked, "application", _application(view.directory, app)))
        case ("eureka", "apps", app, own):
            return Read(lambda view: _answer(asked, "instance", _instance(view.directory, app, own)))
    return None


def _refusal(problem: Problem, view: View) -> Answer:
    return refusal(problem, view)


SURFACE = Surface(("/eureka/",), read, _refusal)


def _applications(directory: Directory) -> dict[str, Any]:
    apps = [_app(listing) for listing in directory if listing.entries]
    counts: dict[str, int] = {}
    for app in apps:
        for instance in app["instance"]:
            counts[instance["status"]] = counts.get(instance["status"], 0) + 1
    digest = "".join([f"{status}_{counts[status]}_" for status in sorted(counts)])
    return {"versions__delta": "1", "apps__hashcode": digest, "application": apps}


def _application(directory: Directory, name: str) -> dict[str, Any]:
    """Raises ProblemError (NOT_FOUND)."""
    for listing in directory:
        if _name(listing) == name.upper() and listing.entries:
            return _app(listing)
    raise refuse(ProblemKind.NOT_FOUND, f"there is no application {name}")


def _instance(directory: Directory, name: str, own: str) -> dict[str, Any]:
    """Raises ProblemError (NOT_FOUND)."""
    for instance in _application(directory, name)["instance"]:
        if instance["instanceId"] == own:
            found: dict[str, Any] = instance
            return found
    raise refuse(ProblemKind.NOT_FOUND, f"there is no instance {own} of {name}")


def _name(listing: Listing) -> str:
    return full_name(listing.stack, listing.service).upper()


def _app(listing: Listing) -> dict[str, Any]:
    return {"name": _name(listing), "instance": [_row(listing, entry) for entry in listing.entries]}


def _row(listing: Listing, entry: Entry) -> dict[str, Any]:
    vip = full_name(listing.stack, listing.service)
    up = listing.protected and entry.fails_check
    return {
        "instanceId": entry.id,
        "hostName": entry.address,
        "app": _name(listing),
        "ipAddr": entry.address,
        "status": "UP" if up else _STATUS[entry.standing] if entry.weight else "OUT_OF_SERVICE",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": entry.port, "@enabled": "true" if entry.port else "false"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "leaseInfo": {
            "renewalIntervalInSecs": RENEWAL_S,
            "durationInSecs": DURATION_S,
            "registrationTimestamp": 0,
            "lastRenewalTimestamp": 0,
            "evictionTimestamp": 0,
            "serviceUpTimestamp": 0,
        },
        "metadata": _metadata(entry) or {"@class": "java.util.Collections$EmptyMap"},
        "homePageUrl": "",
        "statusPageUrl": "",
        "healthCheckUrl": "",
        "vipAddress": vip,
        "secureVipAddress": vip,
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": str(listing.revision),
        "lastDirtyTimestamp": str(listing.revision),
        "actionType": "ADDED",
    }


def _metadata(entry: Entry) -> dict[str, str]:
    """Its own metadata by keys that can be names of XML elements."""
    letters = {_NO_NAME.sub("_", key): value for key, value in entry.meta.items()}
    return {key if key[:1].isalpha() else f"_{key}": value for key, value in letters.items()}


def _answer(asked: Asked, root: str, value: dict[str, Any]) -> Answer:
    if asked.accepts("json"):
        return json_answer({root: value})
    return Answer(
        f'<?xml version="1.0" encoding="UTF-8"?>\n{_xml(root, value)}\n'.encode(errors="replace"), 200, XML
    )


def _xml(name: str, value: Any) -> str:
    """An element: a field with @ is an attribute, $ is its text, a list is its elements in a row."""
    if isinstance(value, list):
        return "".join([_xml(name, each) for each in value])
    if not isinstance(value, dict):
        return f"<{name}>{_text(value)}</{name}>"
    attributes = [f' {key[1:]}="{_text(each)}"' for key, each in value.items() if key.startswith("@")]
    inner = [_xml(key, each) for key, each in value.items() if key[0] not in "@$"]
    return f"<{name}{''.join(attributes)}>{_text(value.get('$', ''))}{''.join(inner)}</{name}>"


def _text(value: Any) -> str:
    """What XML may hold of a text (https://www.w3.org/TR/xml/#charsets)."""
    return escape("".join([each for each in str(value) if each.isprintable()]), {'"': "&quot;"})
