"""The networks of a service, by their full names, and the names that others find it by."""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import invalid, shown
from bayplan.compose.scope import Project
from bayplan.model import NetworkAttachment
from bayplan.nearest import did_you_mean

_DEFAULT_NETWORK = "default"


def networks(project: Project, name: str, service: typed.Service) -> tuple[NetworkAttachment, ...]:
    """The memberships in the order of the file; the default network where there are none."""
    attachments: list[NetworkAttachment] = []
    wanted = service.networks or {_DEFAULT_NETWORK: Placed("", typed.Attachment())}
    names = (name, service.container_name) if service.container_name else (name,)
    for network, placed in wanted.items():
        with project.report.collect():
            if network not in project.networks and network != _DEFAULT_NETWORK:
                hint = did_you_mean(network, project.networks, "add it to the top-level `networks:`")
                raise invalid(
                    placed.place, f"the network {shown(network)} is not in the file's networks", hint=hint
                )
            aliases = tuple(dict.fromkeys((*names, *placed.value.aliases)))
            attachments.append(NetworkAttachment(network=f"{project.stack}_{network}", aliases=aliases))
    return tuple(attachments)
