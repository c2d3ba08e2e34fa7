#!/usr/bin/env bash
# Resolves pyproject.toml anew into the two lock files: requirements.lock (all that a checkout needs) and
# deploy/requirements.lock (what the daemons need on a host). Hashes only: no index address is written down.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # OUTPUT GROUP: dependencies of the project and of one group
    .venv/bin/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --python-version 3.11 \
        --group "$2" --output-file "$1" pyproject.toml
}
compile requirements.lock dev
compile deploy/requirements.lock build
if grep -nE '://' requirements.lock deploy/requirements.lock; then
    echo "error: a lock file names an address" >&2
    exit 1
fi
