#!/usr/bin/env bash
# The container engine of the demo and the tests.
#   engine.sh install   the tools that are missing, from Debian's packages
#   engine.sh ensure    install, then start an engine if none answers; prints its address for DOCKER_HOST
#   engine.sh image     build bayplan/demo:1 in that engine
#   engine.sh stop      stop the engine if `ensure` started it, and remove what it leaves
set -euo pipefail
cd "$(dirname "$0")/.."

RUN=/run/bayplan-demo/engine      # socket, pid, log; exists only while an engine of ours runs
DATA=/var/lib/bayplan-demo/engine # its images and containers
CGROUP=bayplan-demo
OURS=unix://$RUN/docker.sock
DEFAULT=${DOCKER_HOST:-unix:///run/docker.sock}
START_SECONDS_MAX=60

say() { echo "engine: $*" >&2; }
die() {
    echo "error: $1" >&2
    echo "hint: $2" >&2
    exit 1
}
# A zombie is not alive: some init processes take their time to bury one.
alive() { grep -q '^State:[[:space:]][^ZX]' "/proc/$1/status" 2>/dev/null; }
answers() { docker -H "$1" version >/dev/null 2>&1; }

# What the demo, the tests and the checks call, and the Debian package that brings it.
install() {
    local -A package=([dockerd]=docker.io [docker]=docker.io [iptables]=iptables [curl]=curl [ip]=iproute2
        [nft]=nftables [systemd-analyze]=systemd [wg]=wireguard-tools [wireguard-go]=wireguard-go)
    local missing=() tool
    for tool in "${!package[@]}"; do
        command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
    done
    [ -e /usr/share/doc/busybox-static ] || missing+=(busybox-static) # the image needs the static one
    [ ${#missing[@]} -gt 0 ] || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}" "run this as root, or: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

ensure() {
    install
    local host
    for host in "$DEFAULT" "$OURS"; do
        if answers "$host"; then
            echo "$host"
            return
        fi
    done
    [ "$(id -u)" = 0 ] || die "no container engine answers at $DEFAULT" "start it, or run this as root"
    if [ -d /run/systemd/system ]; then
        say "starting docker.service"
        systemctl start docker.service || die "docker.service does not start" "journalctl -u docker"
        mkdir -p "$RUN" && touch "$RUN/systemd"
        echo "$DEFAULT"
    else
        start
        echo "$OURS"
    fi
}

# An engine of our own, with no default bridge: only networks that a stack asks for.
start() {
    mkdir -p "$RUN" "$DATA"
    local file
    for file in "$RUN/dockerd.pid" "$RUN/exec/containerd/containerd.pid"; do
        if [ -e "$file" ] && ! alive "$(cat "$file")"; then rm "$file"; fi # left by a killed one
    done
    if [ ! -e "$RUN/forward_policy" ]; then # else a killed engine's: what it found then still counts
        cat /proc/sys/net/ipv4/ip_forward >"$RUN/ip_forward"
        iptables -S FORWARD | sed -n 's/^-P FORWARD //p' >"$RUN/forward_policy"
    fi
    say "starting an engine of our own (log: $RUN/dockerd.log)"
    setsid dockerd --host "$OURS" --data-root "$DATA" --exec-root "$RUN/exec" --pidfile "$RUN/dockerd.pid" \
        --bridge none --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$CGROUP" >"$RUN/dockerd.log" 2>&1 9>&- </dev/null &
    for _ in $(seq $((START_SECONDS_MAX * 5))); do
        if answers "$OURS"; then return; fi
        alive $! || break
        sleep 0.2
    done
    tail -n 5 "$RUN/dockerd.log" >&2
    die "the engine does not start" "see $RUN/dockerd.log; a container needs --privileged to run one"
}

stop() {
    if [ -e "$RUN/systemd" ]; then
        say "stopping docker.service, which the demo started"
        systemctl stop docker.service docker.socket
    elif [ -e "$RUN/forward_policy" ]; then
        answers "$OURS" || start # after a crash: only an engine can take its containers and networks down
        say "stopping the engine"
        docker -H "$OURS" ps --all --quiet | xargs -r docker -H "$OURS" rm --force --volumes >/dev/null
        docker -H "$OURS" network prune --force >/dev/null
        end_process "$(cat "$RUN/dockerd.pid")"
        restore_forwarding
    fi
    awk -v run="$RUN/" -v data="$DATA/" \
        'index($2 "/", run) == 1 || index($2 "/", data) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf "$RUN" "$DATA"
    rmdir --ignore-fail-on-non-empty /run/docker/plugins /run/docker 2>/dev/null || true
    find /sys/fs/cgroup -maxdepth 2 -name "$CGROUP" -prune -print0 |
        xargs -0 -r -I DIR find DIR -depth -type d -exec rmdir {} +
}

end_process() { # PID
    kill "$1"
    for _ in $(seq $((START_SECONDS_MAX * 5))); do
        alive "$1" || return 0
        sleep 0.2
    done
    die "the engine (process $1) does not end" "kill -9 $1, then run this again"
}

# Takes the chains that an engine leaves out of the packet filter, and forwarding back to what it was.
restore_forwarding() {
    local table
    for table in nat filter; do
        iptables-save -t "$table" | grep -v DOCKER | iptables-restore --table "$table"
    done
    iptables -P FORWARD "$(cat "$RUN/forward_policy")"
    cat "$RUN/ip_forward" >/proc/sys/net/ipv4/ip_forward
}

image() {
    local host
    host=$(ensure)
    tar=$(mktemp)
    trap 'rm -f "$tar"' EXIT # runs outside of this function: $tar is not local
    scripts/image.sh "$tar"
    docker -H "$host" import --change 'ENV PATH=/bin' --change 'CMD ["sh"]' "$tar" bayplan/demo:1 >/dev/null
}

case ${1:-} in
    install | ensure | image | stop) "$1" ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 125
        ;;
esac
