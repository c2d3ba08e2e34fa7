#!/usr/bin/env bash
# Installs a daemon from this checkout on this host (both may live on one host):
#   install.sh {controller|agent}            install or upgrade; a daemon that runs is restarted
#   install.sh --remove {controller|agent}   take it away; its data and all containers stay
# It makes /opt/bayplan/venv from deploy/requirements.lock, the user, the unit and the `bayplan` command. It starts
# nothing new: a controller wants its `bayplan init` first, an agent its `bayplan join` (docs/install.md).
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-/usr/bin/python3.11} # one that the user `bayplan` may run, too
PREFIX=/opt/bayplan
VENV=$PREFIX/venv
UNITS=/etc/systemd/system
LINKS=/usr/local/bin

systemd_runs() { [ -d /run/systemd/system ]; }

make_environment() {
    if [ ! -x $VENV/bin/python ]; then
        "$PYTHON" -c 'import ensurepip' 2>/dev/null || {
            apt-get -qq update
            DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3.11-venv >/dev/null
        }
        mkdir -p $PREFIX
        "$PYTHON" -m venv $VENV
    fi
    local pip=("$VENV/bin/python" -m pip -qq --disable-pip-version-check)
    "${pip[@]}" install --require-hashes -r deploy/requirements.lock
    "${pip[@]}" install --no-deps --no-build-isolation --force-reinstall .
    "$VENV/bin/python" -m compileall -qq "$VENV/lib" || true # the daemons may not write there
}

place() { # ROLE
    install -D -m 0644 docs/install.md $PREFIX/doc/install.md
    install -D -m 0644 deploy/sysusers.d/bayplan.conf /etc/sysusers.d/bayplan.conf
    install -D -m 0644 "deploy/systemd/bayplan-$1.service" "$UNITS/bayplan-$1.service"
    local program
    for program in bayplan "bayplan-$1"; do
        ln -sf "$VENV/bin/$program" "$LINKS/$program"
    done
    systemd-sysusers /etc/sysusers.d/bayplan.conf
    if systemd_runs; then
        systemctl daemon-reload
        systemctl try-restart "bayplan-$1.service"
    fi
}

remove() { # ROLE
    if systemd_runs; then
        systemctl disable --now "bayplan-$1.service"
    fi
    rm -f "$UNITS/bayplan-$1.service" "$LINKS/bayplan-$1"
    if [ ! -e "$LINKS/bayplan-controller" ] && [ ! -e "$LINKS/bayplan-agent" ]; then
        rm -rf "$LINKS/bayplan" $PREFIX /etc/sysusers.d/bayplan.conf
    fi
    if systemd_runs; then
        systemctl daemon-reload
    fi
    echo "bayplan-$1 is removed; /var/lib/bayplan/$1 and the containers are as they were"
}

removing=
if [ "${1:-}" = --remove ]; then
    removing=yes
    shift
fi
case ${1:-} in
    controller | agent) ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
        exit 125
        ;;
esac
[ "$(id -u)" = 0 ] || {
    printf 'error: this needs root\nhint: sudo %s %s\n' "$0" "$*" >&2
    exit 1
}
if [ -n "$removing" ]; then
    remove "$1"
else
    make_environment
    place "$1"
    echo "bayplan-$1 is installed; what comes next: docs/install.md"
fi
