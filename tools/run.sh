#!/usr/bin/env bash
# The server behind `make run`: tools/run.sh start|stop|status
#   start    start airlored unless it runs, load examples/knowledge, ask it a question, say what to try next
#   stop     end it (SIGTERM, waits until it is gone); harmless when none runs
#   status   say whether it runs and where it listens; exit 3 when it does not
#
# State lies in .run/: data/ (the data folder), airlored.log, pid, address. Environment: AIRLORE_RUN_DIR (instead of .run),
# AIRLORE_BIN (instead of build/release/bin), AIRLORE_PORT (first port to try, default 7700).
set -euo pipefail
cd "$(dirname "$0")/.."
RUN=${AIRLORE_RUN_DIR:-.run}
BIN=${AIRLORE_BIN:-build/release/bin}
PORT=${AIRLORE_PORT:-7700}
READY_SECONDS=60
STOP_SECONDS=60
QUESTION='How do I free the worker slot while a sensor waits?'

say() { printf '%s\n' "$*"; }
die() { printf 'run: %s\n' "$*" >&2; exit 1; }
seconds_since() { # a time of now_ms, as "1.2"
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}
now_ms() { date +%s%3N; }

# The process id of our server, when it runs: alive, and started on our data folder.
server_pid() {
    local pid
    pid=$(cat "$RUN/pid" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] && [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "$(realpath -m "$RUN/data")" || return 1
    printf '%s' "$pid"
}

fingerprint() { stat -L -c '%i %Y %s' "$BIN/airlored"; }

# The first port from $1 on that nobody listens on.
free_port() {
    python3 - "$1" <<'PYTHON'
import socket, sys
first = int(sys.argv[1])
for port in range(first, min(first + 200, 65536)):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(port)
        sys.exit(0)
sys.exit(f"run: no free port from {first} on")
PYTHON
}

show_log() { # the end of the log, for errors
    [ -s "$RUN/airlored.log" ] && { echo "the end of $RUN/airlored.log:"; tail -n 5 "$RUN/airlored.log"; } >&2
    return 0
}

# Wait for the line "ready grpc=A http=B" that the server prints once it serves.
wait_ready() {
    local pid=$1 began ticks=0
    began=$(now_ms)
    until grep -q '^ready grpc=' "$RUN/airlored.out" 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || { show_log; rm -f "$RUN/pid"; die "airlored ended before it was ready"; }
        [ $(($(now_ms) - began)) -lt $((READY_SECONDS * 1000)) ] ||
            { show_log; die "airlored is not ready after $READY_SECONDS s; it goes on starting (pid $pid)"; }
        ticks=$((ticks + 1))
        [ $((ticks % 20)) != 0 ] || say "  starting, $(seconds_since "$began") s ..."
        sleep 0.1
    done
    sed -n 's/^ready grpc=\([^ ]*\) http=\([^ ]*\).*/\1 \2/p' "$RUN/airlored.out" | tail -n 1 >"$RUN/address"
    say "  ready after $(seconds_since "$began") s"
}

start_server() {
    local grpc http pid
    [ -x "$BIN/airlored" ] || die "'$BIN/airlored' is not there: make build"
    mkdir -p "$RUN"
    grpc=$(free_port "$PORT")
    http=$(free_port $((grpc + 1)))
    [ "$grpc" = "$PORT" ] || say "  port $PORT is taken; using $grpc"
    say "run: starting airlored (data in $RUN/data, log in $RUN/airlored.log)"
    : >"$RUN/airlored.out"
    # A process group of its own and no terminal: it goes on when make ends.
    setsid nohup "$BIN/airlored" --data "$(realpath -m "$RUN/data")" --listen "127.0.0.1:$grpc" --http "127.0.0.1:$http" \
        </dev/null >"$RUN/airlored.out" 2>>"$RUN/airlored.log" 3>&- 4>&- &
    pid=$!
    disown "$pid"
    printf '%s\n' "$pid" >"$RUN/pid"
    fingerprint >"$RUN/binary"
    wait_ready "$pid"
}

# The command line client, on this server and with its key.
airlore() { AIRLORE_KEY=$(cat "$RUN/data/admin.key") "$BIN/airlore" --server "$(cut -d' ' -f1 "$RUN/address")" "$@"; }

start() {
    local pid
    if pid=$(server_pid) && [ "$(cat "$RUN/binary" 2>/dev/null)" != "$(fingerprint)" ]; then
        say "run: airlored was built anew; starting it again"
        stop
        pid=
    fi
    if [ -n "${pid:-}" ]; then
        say "run: airlored runs already (pid $pid)"
        [ -s "$RUN/address" ] || wait_ready "$pid"
    else
        start_server
    fi
    say "run: loading examples/knowledge"
    airlore ingest examples/knowledge
    say ""
    say "run: asking: $QUESTION"
    say ""
    airlore ask "$QUESTION"
    next_steps
}

next_steps() {
    local grpc http
    read -r grpc http <"$RUN/address"
    cat <<END

Airlore is running, until \`make stop\`.
  gRPC             $grpc
  HTTP, metrics    http://$http/metrics
  data             $RUN/data     log: $RUN/airlored.log

Try next (the client finds the server and its key by itself):
  $BIN/airlore ask "Why does my task stay in queued?"
  $BIN/airlore search "mysql to postgres" -k 3
  $BIN/airlore ingest PATH-TO-YOUR-DOCUMENTS
  $BIN/airlore help
  export PATH="$(realpath "$BIN"):\$PATH"     # then just: airlore ask ...
END
}

stop() {
    local pid began
    if ! pid=$(server_pid); then
        rm -f "$RUN/pid" "$RUN/address"
        say "stop: no server is running"
        return 0
    fi
    say "stop: ending airlored (pid $pid)"
    began=$(now_ms)
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        if [ $(($(now_ms) - began)) -gt $((STOP_SECONDS * 1000)) ]; then
            say "stop: it has not ended after $STOP_SECONDS s; killing it (what was acknowledged is on disk)"
            kill -KILL "$pid" 2>/dev/null || true
        fi
        sleep 0.05
    done
    rm -f "$RUN/pid" "$RUN/address"
    say "stop: ended after $(seconds_since "$began") s"
}

status() {
    local pid grpc http
    if ! pid=$(server_pid); then
        say "status: not running (make run starts it)"
        return 3
    fi
    read -r grpc http <"$RUN/address" || die "airlored (pid $pid) is starting"
    say "status: running, pid $pid, gRPC $grpc, HTTP http://$http/metrics," \
        "memory $(awk '/^VmRSS/ {printf "%d MB", $2 / 1024}' "/proc/$pid/status"), up $(ps -o etime= -p "$pid" | tr -d ' ')"
}

case ${1:-} in
    start | stop | status) "$1" ;;
    *) echo "usage: tools/run.sh start|stop|status" >&2; exit 2 ;;
esac
