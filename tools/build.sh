#!/usr/bin/env bash
# Configure and build one preset: tools/build.sh dev|asan|tsan|release [target...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:?preset}; shift
start=$(date +%s)
mkdir -p "build/$preset"
log=build/$preset/configure.log
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; echo "build: configuring '$preset' failed" >&2; exit 1; }
if [ -t 1 ]; then
    cmake --build --preset "$preset" ${1:+--target "$@"}
else
    log=build/$preset/build.log
    cmake --build --preset "$preset" ${1:+--target "$@"} >"$log" 2>&1 ||
        { grep -E -A12 'error|FAILED' "$log" | head -80 >&2; echo "build: '$preset' failed (whole log: $log)" >&2; exit 1; }
fi
echo "build: $preset is up to date ($(($(date +%s) - start)) s)"
