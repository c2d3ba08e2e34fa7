#!/usr/bin/env bash
# Makes .venv with the locked dependencies and the project itself (editable). Quick when nothing changed.
# Needs python3.11; as root on Debian it installs python3-venv when that is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3.11}
STAMP=.venv/.installed
want=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)

if [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$want" ]; then
    exit 0
fi
command -v "$PYTHON" >/dev/null || {
    echo "error: $PYTHON not found" >&2
    echo "hint: apt-get install python3.11, or name another one: PYTHON=/path/to/python3.11 make setup" >&2
    exit 1
}
# Two `make` at once must not install into the same environment.
exec 9>.setup.lock
flock 9
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$PYTHON" -c 'import ensurepip' 2>/dev/null || {
        echo "setup: installing python3-venv" >&2
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            python3.11-venv >/dev/null
    }
    echo "setup: making .venv" >&2
    "$PYTHON" -m venv --clear .venv
fi
echo "setup: installing the locked dependencies" >&2
.venv/bin/python -m pip -qq --disable-pip-version-check install --require-hashes -r requirements.lock
.venv/bin/python -m pip -qq --disable-pip-version-check install --no-deps --no-build-isolation --editable .
# Compiled once here, not at each start: that is half of a start's time. Some packages carry files for other
# versions of Python, which do not compile.
.venv/bin/python -m compileall -qq .venv/lib bayplan controller agent || true
echo "$want" >"$STAMP"
