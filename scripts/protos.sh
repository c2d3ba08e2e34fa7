#!/usr/bin/env bash
# Generates the stubs of protos/ into bayplan/v1; with --diff it only compares them with the committed ones.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH # protoc finds its mypy plugins there

generate() { # FOLDER; protoc's chatter is shown only when it fails
    local files said
    mapfile -t files < <(find protos -name '*.proto' | sort)
    said=$(python -m grpc_tools.protoc -I protos --python_out="$1" --mypy_out="$1" \
        --grpc_python_out="$1" --mypy_grpc_out="$1" "${files[@]}" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
}

if [ "${1:-}" != --diff ]; then
    generate .
    exit
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
diff -r -x __pycache__ -x __init__.py bayplan/v1 "$fresh/bayplan/v1" >&2 || {
    echo "error: bayplan/v1 is not what protos/ says" >&2
    echo "hint: run 'make protos' and commit the result" >&2
    exit 1
}
