#!/usr/bin/env bash
# Measure retrieval quality: bench/quality/run.sh TASKS_DIR [--dev] [--out DIR] [--tasks "A B"] [--modes "text hybrid vector"]
# TASKS_DIR holds a folder for each task: corpus.jsonl {id,title,text}, queries.jsonl {id,text}, qrels.tsv (query, document, grade).
# Each task is loaded and searched in process by airlore-quality; the run files, and scores.json, go to build/reports/quality.
# --dev: score the fifth of the queries that no tuning has seen. AIRLORE_BIN: folder of airlore-quality (default build/release/bin).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${AIRLORE_BIN:-$root/build/release/bin}
tasks_dir='' dev=() out=$root/build/reports/quality tasks='' modes='text vector hybrid'
while [ $# -gt 0 ]; do
    case $1 in
        --dev) dev=(--dev) ;;
        --out) out=${2:?--out DIR}; shift ;;
        --tasks) tasks=${2:?--tasks LIST}; shift ;;
        --modes) modes=${2:?--modes LIST}; shift ;;
        -*) echo "quality: unknown option '$1'" >&2; exit 2 ;;
        *) [ -z "$tasks_dir" ] || { echo "quality: one TASKS_DIR" >&2; exit 2; }; tasks_dir=$1 ;;
    esac
    shift
done
[ -d "$tasks_dir" ] || { echo "usage: bench/quality/run.sh TASKS_DIR [--dev] [--out DIR] [--tasks LIST] [--modes LIST]" >&2; exit 2; }
[ -x "$bin/airlore-quality" ] || { echo "quality: '$bin/airlore-quality' is not there: make build" >&2; exit 1; }
[ -n "$tasks" ] || tasks=$(cd "$tasks_dir" && for f in */qrels.tsv; do dirname "$f"; done)
mkdir -p "$out"
for task in $tasks; do
    for mode in $modes; do
        echo "quality: $task, $mode" >&2
        "$bin/airlore-quality" "$tasks_dir/$task" "$out/$task-$mode.tsv.part" --mode "$mode" -k 20
        mv "$out/$task-$mode.tsv.part" "$out/$task-$mode.tsv"
    done
done
exec python3 -B "$here/table.py" "$tasks_dir" "$out" "${dev[@]}" --json "$out/scores${dev:+-dev}.json"
