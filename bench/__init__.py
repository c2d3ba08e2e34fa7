"""Benches: each runs as `python -m bench.NAME [--quick] [--json FILE]`, on what a user would run."""
