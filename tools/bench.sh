#!/usr/bin/env bash
# Measure: tools/bench.sh [--data DIR] [--docs N] [-n SEARCHES] [--out FILE.json]
# Starts a server of its own on free ports with a temporary data folder, loads a generated corpus (or DIR), and prints what things
# cost beside what is aimed at. The report, with commit and machine, goes to build/reports/bench-<time>.json.
# AIRLORE_BIN: folder of the binaries (default build/release/bin).
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 bench/run.py --bin "${AIRLORE_BIN:-build/release/bin}" "$@"
