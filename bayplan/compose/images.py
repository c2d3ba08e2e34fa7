"""Images that are built on the machine of the command, and the image of each service."""

from __future__ import annotations

import posixpath
import re

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import invalid
from bayplan.compose.scope import Project
from bayplan.model import Model

#: Contexts that are fetched from elsewhere: their paths are not the project's.
_ADDRESS = re.compile(r"(?:https?|git|ssh|docker-image|oci-layout)://|git@|github\.com/")


class Build(Model, frozen=True, kw_only=True):
    """How the image of a service is built. `context` is an absolute path or an address, `dockerfile` a path
    from there (empty: Dockerfile), `args` NAME to value, those without a value left out."""

    service: str
    image: str
    context: str
    dockerfile: str = ""
    dockerfile_inline: str = ""
    args: dict[str, str] = {}
    target: str = ""
    labels: dict[str, str] = {}
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    network: str = ""
    shm_bytes: int = 0
    extra_hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    place: str = ""


def image_of(project: Project, name: str, placed: Placed[typed.Service]) -> str:
    """The image of a service: its own, or the name of what is built. Without either, an error is reported."""
    service = placed.value
    if service.image:
        if service.build is not None and not project.build:
            problem = "is ignored without --build: the image is used"
            project.report.warn(service.places["build"], problem, f"services.{name}.build")
        return service.image
    if service.build is not None and project.build:
        return f"{project.stack}-{name.lower()}:latest"
    if "image" in service.places or ("build" in service.places and service.build is None):
        return ""  # what is wrong with it is in the report
    if service.build is not None:
        problem = f"services.{name} has `build` but no `image`: nothing is built without --build"
        hint = "deploy with --build, which builds it on this machine, or build and push it and add `image:`"
        project.report.add(invalid(service.places["build"], problem, hint=hint))
    else:
        problem = f"services.{name} has no image"
        hint = "add `image: NAME:TAG`, or name the file that this one changes before it, with -c"
        project.report.add(invalid(placed.place, problem, hint=hint))
    return ""


def builds(project: Project) -> tuple[Build, ...]:
    """What is to be built for the services that have `build`, in the order of the file."""
    return tuple(
        _build(project, name, placed, placed.value.build)
        for name, placed in project.services.items()
        if placed.value.build is not None
    )


def _build(project: Project, name: str, placed: Placed[typed.Service], build: typed.Build) -> Build:
    context = build.context or "."
    values = {
        key: project.environment.get(key) if value is None else value for key, value in build.args.items()
    }
    return Build(
        service=name,
        image=image_of(project, name, placed),
        context=context if _ADDRESS.match(context) else posixpath.normpath(project.folder / context),
        dockerfile=build.dockerfile,
        dockerfile_inline=build.dockerfile_inline,
        args={key: value for key, value in values.items() if value is not None},
        target=build.target,
        labels=build.labels,
        cache_from=build.cache_from,
        no_cache=build.no_cache,
        pull=build.pull,
        network=build.network,
        shm_bytes=build.shm_size,
        extra_hosts=build.extra_hosts,
        tags=build.tags,
        platforms=build.platforms,
        place=placed.value.places["build"],
    )
