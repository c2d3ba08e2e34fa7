"""Builds images before a deploy, by the docker command line, on the engine of this machine."""

from __future__ import annotations

import posixpath
import subprocess
from collections.abc import Sequence

from bayplan.cli.output import note
from bayplan.compose.images import Build
from bayplan.errors import Problem, ProblemError, ProblemKind, refuse

#: The deadline of asking the engine for its version, in seconds.
ENGINE_S = 15.0
#: Lines of the engine's own words that are repeated in an error.
WORDS_LINES_MAX = 5

_STDERR = 2


def build_images(builds: Sequence[Build]) -> None:
    """Builds one image after the other; what the engine says goes to stderr. Raises ProblemError."""
    if builds:
        _check_engine()
    for build in builds:
        note(f"building {build.image} for {build.service}")
        # A Dockerfile that stands in the compose file comes as standard input; it is empty otherwise.
        inline = build.dockerfile_inline.encode()
        done = subprocess.run(command_of(build), check=False, stdout=_STDERR, input=inline)
        if done.returncode:
            raise _failed(build, done.returncode)


def command_of(build: Build) -> list[str]:
    """The docker command that builds an image."""
    values = [
        *(("--tag", tag) for tag in (build.image, *build.tags)),
        *(("--build-arg", f"{name}={value}") for name, value in sorted(build.args.items())),
        *(("--label", f"{name}={value}") for name, value in sorted(build.labels.items())),
        *(("--cache-from", source) for source in build.cache_from),
        *(("--add-host", host) for host in build.extra_hosts),
        ("--file", _dockerfile(build)),
        ("--target", build.target),
        ("--network", build.network),
        ("--shm-size", str(build.shm_bytes or "")),
        ("--platform", ",".join(build.platforms)),
    ]
    words = [word for flag, value in values if value for word in (flag, value)]
    flags = [flag for flag, given in (("--no-cache", build.no_cache), ("--pull", build.pull)) if given]
    return ["docker", "build", *words, *flags, build.context]


def _dockerfile(build: Build) -> str:
    """Where the Dockerfile is: standard input, a path of this machine, or one of the remote context."""
    if build.dockerfile_inline:
        return "-"
    is_here = build.context.startswith("/")
    return (
        posixpath.join(build.context, build.dockerfile) if is_here and build.dockerfile else build.dockerfile
    )


def _check_engine() -> None:
    ask = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        answer = subprocess.run(ask, check=False, capture_output=True, text=True, timeout=ENGINE_S)
        if answer.returncode == 0:
            return
        words = answer.stderr.strip().splitlines()[-WORDS_LINES_MAX:]
    except FileNotFoundError:
        words = ["the command `docker` is not installed"]
    except subprocess.TimeoutExpired:
        words = [f"`docker version` did not end in {ENGINE_S:.0f} s"]
    raise refuse(
        ProblemKind.REFUSED,
        "--build needs a container engine on this machine, and none answers",
        *words,
        hint="build and push the images where there is one, write them as `image:`, and leave --build out",
    )


def _failed(build: Build, code: int) -> ProblemError:
    return ProblemError(
        Problem(
            kind=ProblemKind.REFUSED,
            summary=f"the image {build.image} of {build.service} was not built: docker ended with {code}",
            hint="docker's own words are above; nothing was sent to the cluster",
            place=build.place,
        )
    )
