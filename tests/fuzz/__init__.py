"""Fuzz targets: each runs as `python -m tests.fuzz.NAME [SECONDS]` and ends with 0 when nothing was found."""
