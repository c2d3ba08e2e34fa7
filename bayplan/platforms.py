"""Names of processors: several are in use for one."""

from __future__ import annotations

#: Other names of architectures (uname's), by Docker's name for them
#: (https://github.com/containerd/platforms, normalizeArch).
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


def architecture(name: str) -> str:
    """Docker's name of an architecture."""
    return _ARCHITECTURES.get(name.lower(), name.lower())
