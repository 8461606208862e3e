#!/usr/bin/env bash
# Check the tree: tools/lint.sh [check...]; all checks without names. Says how many things each looked at.
#   AIRLORE_LINT_BUILD=DIR   the build folder whose compile_commands.json clang-tidy reads (default build/dev)
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B tools/lint/lint.py "$@"
