"""Compose files to stacks. `load` is pure, `read` takes the files from the disk."""

from bayplan.compose.nodes import Source
from bayplan.compose.pipeline import Loaded, load
from bayplan.compose.rim import read

__all__ = ["Loaded", "Source", "load", "read"]
