#!/usr/bin/env python3
"""Score retrieval runs against judgements. Standard library only.

  score.py TASK_DIR RUN.tsv [BASELINE.tsv] [--dev] [--json]

TASK_DIR/qrels.tsv: query, document, grade (above 0: relevant, below: ignored when scoring). RUN: query, document, rank from 1;
further columns do not matter. Every judged query counts; one that the run lacks scores 0. Only the first ten documents count,
after the ignored ones are taken out. recall@k: any relevant document among the first k. nDCG@10: gain 1 for each relevant one,
over the best order possible. MRR@10. Intervals: 95 %, from 2,000 bootstrap samples of the queries with a fixed seed; with a
baseline, of the difference query by query.

--dev: only the fifth of the queries that no tuning has seen: first byte of sha1("dev" + query) below 51.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

DEPTH = 10
SAMPLES = 2000
SEED = 7
DEV_BELOW = 51


@dataclass(frozen=True)
class Scores:
    """What one query scored."""

    recall_1: float
    recall_5: float
    recall_10: float
    ndcg_10: float
    mrr_10: float


TITLES = {"recall_1": "R@1", "recall_5": "R@5", "recall_10": "R@10", "ndcg_10": "nDCG@10", "mrr_10": "MRR@10"}


@dataclass(frozen=True)
class Judged:
    """The judgements of one query."""

    relevant: frozenset[str]
    ignored: frozenset[str]


def is_dev(query: str) -> bool:
    """Whether a query belongs to the fifth that was kept from tuning."""
    return hashlib.sha1(("dev" + query).encode()).digest()[0] < DEV_BELOW


def read_qrels(task: Path) -> dict[str, Judged]:
    """The judgements of a task; queries without a relevant document are left out."""
    relevant: dict[str, set[str]] = defaultdict(set)
    ignored: dict[str, set[str]] = defaultdict(set)
    with open(task / "qrels.tsv", encoding="utf-8") as file:
        for n, line in enumerate(file, 1):
            parts = line.rstrip("\n").split("\t")
            if len(parts) != 3:
                raise SystemExit(f"score: '{task / 'qrels.tsv'}': line {n}: not three columns")
            (relevant if int(parts[2]) > 0 else ignored)[parts[0]].add(parts[1])
    return {q: Judged(frozenset(found), frozenset(ignored[q])) for q, found in sorted(relevant.items())}


def read_run(path: Path) -> dict[str, list[str]]:
    """The documents of each query in the order of their ranks."""
    rows: dict[str, list[tuple[int, str]]] = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for n, line in enumerate(file, 1):
            parts = line.rstrip("\n").split("\t")
            if len(parts) < 3:
                raise SystemExit(f"score: '{path}': line {n}: fewer than three columns")
            rows[parts[0]].append((int(parts[2]), parts[1]))
    return {q: [doc for _, doc in sorted(found)] for q, found in rows.items()}


def score_query(ranked: Iterable[str], judged: Judged) -> Scores:
    """Score the ranking of one query."""
    shown = [doc for doc in ranked if doc not in judged.ignored][:DEPTH]
    places = [place for place, doc in enumerate(shown) if doc in judged.relevant]
    gain = sum(1 / math.log2(place + 2) for place in places)
    best = sum(1 / math.log2(place + 2) for place in range(min(DEPTH, len(judged.relevant))))
    first = places[0] if places else None
    within: Callable[[int], float] = lambda k: float(first is not None and first < k)  # noqa: E731
    return Scores(within(1), within(5), within(10), gain / best, 0.0 if first is None else 1 / (first + 1))


def score_run(qrels: dict[str, Judged], run: dict[str, list[str]], *, dev: bool = False) -> dict[str, Scores]:
    """Score every judged query, or those of the dev fifth."""
    return {q: score_query(run.get(q, []), judged) for q, judged in qrels.items() if not dev or is_dev(q)}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and bootstrap interval."""
    if not values:
        return 0.0, 0.0, 0.0
    rnd = random.Random(SEED)
    n = len(values)
    means = sorted(sum(rnd.choices(values, k=n)) / n for _ in range(SAMPLES))
    return sum(values) / n, means[int(0.025 * SAMPLES)], means[int(0.975 * SAMPLES)]


def summarise(scores: dict[str, Scores], baseline: dict[str, Scores] | None = None) -> dict[str, dict[str, float]]:
    """For each measure mean, low and high; with a baseline those of the difference, too."""
    out: dict[str, dict[str, float]] = {}
    for i, field in enumerate(fields(Scores)):
        mean, low, high = interval([astuple(s)[i] for s in scores.values()])
        row = {"mean": mean, "low": low, "high": high}
        if baseline is not None:
            delta = interval([astuple(s)[i] - astuple(baseline[q])[i] for q, s in scores.items()])
            row |= dict(zip(("difference", "difference_low", "difference_high"), delta, strict=True))
        out[field.name] = row
    return out


def main() -> int:
    """Read the options, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("baseline", type=Path, nargs="?")
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    qrels = read_qrels(args.task)
    scores = score_run(qrels, read_run(args.run), dev=args.dev)
    baseline = score_run(qrels, read_run(args.baseline), dev=args.dev) if args.baseline else None
    summary = summarise(scores, baseline)
    if args.json:
        print(json.dumps({"queries": len(scores), "measures": summary}))
        return 0
    print(f"{len(scores)} queries")
    for name, row in summary.items():
        line = f"{TITLES[name]} {row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        if baseline is not None:
            line += f"   difference {row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
