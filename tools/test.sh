#!/usr/bin/env bash
# Build and run the tests: tools/test.sh dev|asan|tsan|long [ctest options...]
# Last line: N passed, N failed. A skip names a missing environment and is counted.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?dev, asan, tsan or long}; shift
preset=$what labels=()
case $what in
    dev | asan | tsan) labels=(-LE long) ;;
    long) preset=dev labels=(-L long) ;;
    *) echo "test: unknown set '$what'" >&2; exit 2 ;;
esac
tools/build.sh "$preset"
mkdir -p build/reports
junit=$PWD/build/reports/ctest-$what.xml
rm -f "$junit"
if [ "$what" = tsan ]; then export TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp:halt_on_error=1:second_deadlock_stack=1"; fi
rc=0
# ctest keeps the first kilobyte of what a test prints, and the counts stand at the end: ask for all of it.
ctest --test-dir "build/$preset" "${labels[@]}" -j 2 --output-on-failure --no-tests=error --output-junit "$junit" \
    --test-output-size-passed 4000000 --test-output-size-failed 4000000 "$@" || rc=$?
exec python3 tools/test_summary.py "$junit" --exit-code "$rc"
