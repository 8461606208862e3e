#!/usr/bin/env python3
"""Print the scores of many runs as one Markdown table: table.py TASKS_DIR RUNS_DIR [--dev] [--json FILE]

RUNS_DIR holds TASK-MODE.tsv as run.sh writes them. The mode text is the baseline of the differences.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import score  # noqa: E402

MODES = ("text", "vector", "hybrid")


def rows_of(tasks: Path, runs: Path, dev: bool) -> list[dict[str, Any]]:
    """Scores of every run that is there, task by task."""
    rows: list[dict[str, Any]] = []
    for task in sorted(p for p in tasks.iterdir() if (p / "qrels.tsv").exists()):
        qrels = score.read_qrels(task)
        scored = {mode: score.score_run(qrels, score.read_run(path), dev=dev)
                  for mode in MODES if (path := runs / f"{task.name}-{mode}.tsv").exists()}
        for mode, scores in scored.items():
            base = scored.get("text") if mode != "text" else None
            rows.append({"task": task.name, "mode": mode, "queries": len(scores), "measures": score.summarise(scores, base)})
    return rows


def cell(row: dict[str, float]) -> str:
    """Mean and interval."""
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def main() -> int:
    """Read the options and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = rows_of(args.tasks, args.runs, args.dev)
    if not rows:
        raise SystemExit(f"table: no run in '{args.runs}' is of a task in '{args.tasks}'")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    print("| task | queries | mode | nDCG@10 | R@1 | R@5 | R@10 | MRR@10 | nDCG@10 against text |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        m = row["measures"]
        n = m["ndcg_10"]
        delta = f"{n['difference']:+.3f} [{n['difference_low']:+.3f}, {n['difference_high']:+.3f}]" if "difference" in n else ""
        print(f"| {row['task']} | {row['queries']} | {row['mode']} | {cell(n)} | {m['recall_1']['mean']:.3f} | {m['recall_5']['mean']:.3f} "
              f"| {m['recall_10']['mean']:.3f} | {m['mrr_10']['mean']:.3f} | {delta} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
