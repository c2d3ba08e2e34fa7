"""What a service is built in: the stack, its folder, the names it may use. It builds nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.files import StackFiles
from bayplan.compose.project import ProjectFiles
from bayplan.compose.report import Report


class Project(NamedTuple):
    """What a service is built in; `folder` is absolute. `build`: a service may have no image, but `build`."""

    stack: str
    folder: Path
    environment: Mapping[str, str]
    files: ProjectFiles
    services: Mapping[str, Placed[typed.Service]]
    networks: Mapping[str, Placed[typed.Network]]
    volumes: Mapping[str, Placed[typed.Volume]]
    contents: StackFiles
    report: Report
    build: bool = False
