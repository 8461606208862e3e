#!/usr/bin/env bash
# Test the Python client against a real server: clients/python/test.sh [pytest options...]
# AIRLORE_BIN: folder of airlored (default build/dev/bin). Makes a virtual environment under .cache/venv-python once.
# Last line: N passed, N failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export AIRLORE_BIN=${AIRLORE_BIN:-$root/build/dev/bin}
venv=${AIRLORE_VENV:-$root/.cache/venv-python}
wanted="grpcio>=1.60 protobuf>=4.21 pytest>=7"

[ -x "$AIRLORE_BIN/airlored" ] || { echo "clients/python: '$AIRLORE_BIN/airlored' is not there; build it first" >&2; exit 1; }
mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9
if [ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ]; then
    echo "clients/python: making $venv (grpcio, protobuf and pytest, for these tests only)"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $wanted
    printf '%s' "$wanted" >"$venv/wanted"
fi
"$venv/bin/python" "$here/generate.py"
flock -u 9
cd "$here"
PYTHONPATH=$here/src PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m pytest -p no:cacheprovider "$@"
