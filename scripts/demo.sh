#!/usr/bin/env bash
# The demo: one controller, one agent and the stack of deploy/examples/hello on this machine.
#   demo.sh up     make it (from nothing, whatever a broken run left) and show it
#   demo.sh down   end it and remove all that it made
# It keeps to its own folders, so an installed bayplan is never touched.
set -euo pipefail
cd "$(dirname "$0")/.."

RUN=/run/bayplan-demo      # sockets, process ids, logs
DATA=/var/lib/bayplan-demo # the daemons' data
SECRETS=/dev/shm/bayplan-demo # the agent's secrets: in memory, which /run is not in every container
NODE=demo-node
STACK=hello
CONTROL=127.0.0.1:7443 BOOTSTRAP=127.0.0.1:7444 HTTP=127.0.0.1:7480
READY_SECONDS_MAX=30

export PATH=$PWD/.venv/bin:$PATH
export BAYPLAN_HOST=unix://$RUN/controller.sock

step() { printf '\n==> %s (%s s)\n' "$*" "$SECONDS" >&2; }
die() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

start() { # NAME COMMAND...: a daemon in the background
    local name=$1
    shift
    setsid "$@" >"$RUN/$name.log" 2>&1 </dev/null &
    echo $! >"$RUN/$name.pid"
}

# A process id is ours only while the program behind it is; a zombie is not alive.
alive() { # NAME
    local pid
    pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 1
    grep -q '^State:[[:space:]][^ZX]' "/proc/$pid/status" 2>/dev/null &&
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "bayplan-$1 .*$DATA"
}

wait_for() { # NAME WHAT COMMAND...: until the command succeeds, as long as the daemon lives
    local name=$1 what=$2
    shift 2
    for _ in $(seq $((READY_SECONDS_MAX * 5))); do
        if "$@" >/dev/null 2>&1; then return; fi
        alive "$name" || break
        sleep 0.2
    done
    tail -n 20 "$RUN/$name.log" >&2
    die "$what" "the log is $RUN/$name.log; 'make demo-down' cleans up"
}

node_is_ready() { bayplan node ls --format '{{.Status}}' | grep -qx Ready; }

need_free_ports() {
    local address
    for address in "$CONTROL" "$BOOTSTRAP" "$HTTP"; do
        if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then
            die "$address is in use" "the demo needs it: stop the bayplan controller or whatever listens there"
        fi
    done
}

up() {
    [ "$(id -u)" = 0 ] || die "the demo needs root (it drives a container engine)" "sudo make demo"
    step "container engine"
    DOCKER_HOST=$(scripts/engine.sh ensure)
    export DOCKER_HOST
    end
    mkdir -p "$RUN" "$DATA"
    need_free_ports
    echo "$DOCKER_HOST answers, version $(docker version --format '{{.Server.Version}}')" >&2
    step "image bayplan/demo:1, built here"
    scripts/engine.sh image

    step "controller"
    bayplan-controller init --data-dir "$DATA/controller" --advertise-addr 127.0.0.1 --listen "$CONTROL" \
        --bootstrap-listen "$BOOTSTRAP" --http-listen "$HTTP" --socket "$RUN/controller.sock" >"$RUN/init.log"
    start controller bayplan-controller run --data-dir "$DATA/controller"
    wait_for controller "the controller does not answer" bayplan node ls

    step "agent"
    local socket=${DOCKER_HOST#unix://}
    bayplan-agent join --token "$(bayplan join-token -q)" --name "$NODE" --advertise-addr 127.0.0.1 \
        --docker-socket "$socket" --data-dir "$DATA/agent" "$BOOTSTRAP"
    start agent bayplan-agent run --data-dir "$DATA/agent" --run-dir "$SECRETS" --docker-socket "$socket"
    wait_for agent "the node does not get ready" node_is_ready

    step "stack $STACK"
    show bayplan stack deploy -c deploy/examples/hello/docker-compose.yml "$STACK"
    look
}

look() {
    show bayplan status
    show bayplan service ls
    show bayplan service ps "${STACK}_web" "${STACK}_api" "${STACK}_visitor"
    show bayplan registry lookup "$STACK/web"
    show curl --silent --show-error --fail "http://$HTTP/v1/lookup/$STACK/web"
    local address
    for address in $(bayplan registry lookup -q "$STACK/web"); do
        show curl --silent --show-error --fail --max-time 10 "http://$address/"
    done
    cat <<END

The demo is up, after $SECONDS s. To look around:
  export PATH=$PWD/.venv/bin:\$PATH BAYPLAN_HOST=$BAYPLAN_HOST DOCKER_HOST=$DOCKER_HOST
  bayplan logs -f ${STACK}_visitor
  bayplan service scale ${STACK}_web=4
  docker ps     (kill a container, then: bayplan service ps ${STACK}_web)
To end it: make demo-down
END
}

# Everything but the engine. The stack leaves in order when it can; what is left then goes by its labels.
end() {
    if alive controller && alive agent; then
        timeout 60 bayplan stack rm -y "$STACK" >/dev/null 2>&1 || true
    fi
    local name pid
    for name in agent controller; do
        if alive "$name"; then
            pid=$(cat "$RUN/$name.pid")
            kill "$pid"
            for _ in $(seq 50); do
                alive "$name" || break
                sleep 0.2
            done
            if alive "$name"; then kill -9 "$pid"; fi
        fi
    done
    if [ -e "$DATA/agent/node.json" ]; then
        bayplan-agent leave --yes --data-dir "$DATA/agent" --run-dir "$SECRETS" \
            --docker-socket "${DOCKER_HOST#unix://}" >/dev/null ||
            echo "demo: what the agent has made could not be removed" >&2
    fi
    rm -rf "$DATA/controller" "$DATA/agent" "$SECRETS" "$RUN"/*.log "$RUN"/*.pid "$RUN"/*.sock
}

down() {
    [ -e "$RUN" ] || [ -e "$DATA" ] || return 0
    DOCKER_HOST=$(scripts/engine.sh ensure)
    export DOCKER_HOST
    end
    docker image rm bayplan/demo:1 >/dev/null 2>&1 || true
    scripts/engine.sh stop
    rm -rf "$RUN" "$DATA" "$SECRETS"
    echo "the demo is gone" >&2
}

case ${1:-} in
    up | down) "$1" ;;
    *)
        sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
        exit 125
        ;;
esac
