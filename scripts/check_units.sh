#!/usr/bin/env bash
# Checks the systemd units: no mistakes, and no more exposed than they may be. Needs no running systemd.
set -euo pipefail
cd "$(dirname "$0")/.."

# Highest exposure that is accepted, in tenths (`systemd-analyze security`: 0 is locked up, 100 is wide open).
declare -A EXPOSURE_MAX=([controller]=20 [agent]=50)

command -v systemd-analyze >/dev/null || {
    echo "error: systemd-analyze not found" >&2
    echo "hint: apt-get install systemd" >&2
    exit 1
}
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for name in "${!EXPOSURE_MAX[@]}"; do
    unit=$units/bayplan-$name.service
    # The programs of this checkout stand in for the installed ones, which `verify` wants to see.
    sed "s|/opt/bayplan/venv|$PWD/.venv|" "deploy/systemd/bayplan-$name.service" >"$unit"
    said=$(systemd-analyze verify --man=no "$unit" 2>&1) || failed=1
    if [ -n "${failed:-}" ] || grep -q "bayplan-$name" <<<"$said"; then
        echo "$said" >&2
        echo "error: deploy/systemd/bayplan-$name.service is not right" >&2
        exit 1
    fi
    systemd-analyze security --offline=true --no-pager --threshold="${EXPOSURE_MAX[$name]}" "$unit" >"$units/said" || {
        cat "$units/said" >&2
        echo "error: bayplan-$name.service is more exposed than ${EXPOSURE_MAX[$name]} tenths" >&2
        exit 1
    }
    sed -n "s/^→ Overall exposure level for \(.*\): \([0-9.]*\).*/\1: exposure \2/p" "$units/said"
done
