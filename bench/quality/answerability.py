#!/usr/bin/env python3
"""Show how well `ask` tells answerable questions from others: answerability.py TASKS_DIR --bin DIR [--runs DIR]

answerability = 1 / (1 + exp(-(w0 + w1 * coverage + w2 * cosine))) over the largest coverage and cosine among the first five hits
(coordinator/relevance.c). Answerable: queries of the tasks A and C-heading, dev fifth, whose known hit is among the first five.
Unanswerable: unanswerable.jsonl against the corpus of A and against examples/knowledge. examples/questions.jsonl, put in other words
than the documents on purpose, is never fitted on. Half of the fitted queries by hash, the other half for what is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
from pathlib import Path

import relevance
import score

ROOT = relevance.ROOT
FIRST = 5
THRESHOLD = 0.45
RIDGE = 0.002
STEPS = 4000
Point = tuple[float, float]


def point(hits: list[relevance.Hit]) -> Point:
    """The largest coverage and cosine among the first hits."""
    first = [h for h in hits if h.rank <= FIRST]
    return max(h.coverage for h in first), max(0.0, *(h.cosine for h in first))


def probability(w: tuple[float, float, float], p: Point) -> float:
    """What the model says."""
    return 1 / (1 + math.exp(-(w[0] + w[1] * p[0] + w[2] * p[1])))


def fit(examples: list[tuple[float, Point, float]]) -> tuple[float, float, float]:
    """Weights by gradient ascent with a small ridge; examples are (label, point, weight)."""
    w = [0.0, 0.0, 0.0]
    total = sum(e[2] for e in examples)
    for _ in range(STEPS):
        gradient = [0.0, 0.0, 0.0]
        for label, p, weight in examples:
            rest = weight * (label - probability((w[0], w[1], w[2]), p))
            for i, x in enumerate((1.0, *p)):
                gradient[i] += rest * x
        w = [a + g / total - (RIDGE * a if i else 0) for i, (a, g) in enumerate(zip(w, gradient, strict=True))]
    return w[0], w[1], w[2]


def example_task(folder: Path) -> None:
    """examples/knowledge as a task: corpus.jsonl and queries.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    base = ROOT / "examples" / "knowledge"
    with (folder / "corpus.jsonl").open("w") as f:
        for path in sorted(base.glob("*/*.md")):
            text = path.read_text()
            title = re.search(r"^title: (.*)$", text, re.M)
            body = re.sub(r"\A---.*?---\n", "", text, flags=re.S)
            row = {"id": str(path.relative_to(base)), "title": title.group(1).strip('"') if title else "", "text": body}
            f.write(json.dumps(row) + "\n")
    with (folder / "queries.jsonl").open("w") as f:
        for n, line in enumerate((ROOT / "examples" / "questions.jsonl").read_text().splitlines()):
            f.write(json.dumps({"id": f"e{n:02d}", "text": json.loads(line)["question"]}) + "\n")


def run(args: argparse.Namespace, work: Path, name: str, corpus: Path, queries: Path) -> dict[str, Point]:
    """Points of the queries against a corpus."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    for link, to in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(to.resolve())
    out = work / f"{name}.tsv"
    relevance.quality(args.bin / "airlore-quality", folder, out)
    return {q: point(hits) for q, hits in relevance.read_run(out).items()}


def answerable(args: argparse.Namespace, work: Path, task: str) -> dict[str, Point]:
    """Points of the dev queries of a task whose known hit is among the first."""
    folder = args.tasks / task
    judged = score.read_qrels(folder)
    out = work / f"{task}.tsv"
    relevance.quality(args.bin / "airlore-quality", folder, out)
    found = {}
    for q, hits in relevance.read_run(out).items():
        if q in judged and score.is_dev(q) and any(h.doc in judged[q].relevant for h in hits if h.rank <= FIRST):
            found[q] = point(hits)
    return found


def main() -> int:
    """Collect, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--bin", type=Path, required=True, help="folder of airlore-quality")
    parser.add_argument("--runs", type=Path, help="where to keep the runs")
    args = parser.parse_args()
    work = args.runs or Path(tempfile.mkdtemp(prefix="airlore-answerability-"))
    example_task(work / "examples")
    unanswerable = relevance.HERE / "unanswerable.jsonl"
    sets = {
        "A": (1.0, answerable(args, work, "A"), 0.7),
        "C-heading": (1.0, answerable(args, work, "C-heading"), 0.3),
        "unanswerable, A": (0.0, run(args, work, "none-a", args.tasks / "A" / "corpus.jsonl", unanswerable), 0.5),
        "unanswerable, examples": (0.0, run(args, work, "none-ex", work / "examples" / "corpus.jsonl", unanswerable), 0.5),
    }
    train = [
        (label, p, weight / len(points))
        for label, points, weight in sets.values()
        for q, p in points.items()
        if relevance.is_fitting_half(q)
    ]
    w = fit(train)
    print(f"weights {w[0]:.2f} {w[1]:.2f} {w[2]:.2f}; share answered at {THRESHOLD} on the held-out half:")
    for name, (_, points, _) in sets.items():
        held = [p for q, p in points.items() if not relevance.is_fitting_half(q)]
        print(f"  {name:24s} {sum(probability(w, p) >= THRESHOLD for p in held)}/{len(held)}")
    questions = [json.loads(line) for line in (ROOT / "examples" / "questions.jsonl").read_text().splitlines()]
    points = run(args, work, "ex", work / "examples" / "corpus.jsonl", work / "examples" / "queries.jsonl")
    for wanted, what in ((True, "examples, answerable"), (False, "examples, not answerable")):
        chosen = [points[f"e{n:02d}"] for n, q in enumerate(questions) if (q["expect"] is not None) == wanted]
        print(f"  {what:24s} {sum(probability(w, p) >= THRESHOLD for p in chosen)}/{len(chosen)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
