"""Compose keys that are honoured by others than the engine, and where that is shown."""

from __future__ import annotations

from collections.abc import Mapping

ELSEWHERE: Mapping[str, str] = {}
