#!/usr/bin/env python3
"""Fit the relevance model and show how well it is calibrated: relevance.py TASKS_DIR [--runs DIR] [--bin DIR]

relevance = 1 / (1 + exp(-(w0 + w1 * coverage + w2 * cosine + w3 * coverage * cosine))), cosine not below 0
(coordinator/relevance.c). What it is fitted on:
  positives   the known relevant hit of a query of the tasks A and C-heading, dev fifth, when it is among the first ten; each task
              weighs the same (a third)
  negatives   the best hit of each question of unanswerable.jsonl in the corpus of A (0.7 in all), and the hits at the ranks 16 to 20
              of the positive queries that are not relevant (0.3 in all)
Half of the queries by hash for fitting, the other half for what is printed. Best weights by Newton's method with a small ridge.
Exit 1 when the weights in coordinator/relevance.c say something else on the held-out half (by more than 0.05 on average).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import score  # noqa: E402

ROOT = HERE.parent.parent
TASKS = ("A", "C-heading")
SOURCE = ROOT / "coordinator" / "relevance.c"
POSITIVE_WEIGHT = 1 / 3  # of each task
UNANSWERABLE_WEIGHT = 0.7
TAIL_WEIGHT = 0.3
TAIL = range(16, 21)
RIDGE = 1e-4
AGREE_WITHIN = 0.05
NUMBER = r"([+-]?\s*\d+\.\d+)"
FORMULA = re.compile(rf"z = {NUMBER} {NUMBER} \* coverage {NUMBER} \* c {NUMBER} \* coverage \* c;")
Weights = tuple[float, float, float, float]


@dataclass(frozen=True)
class Hit:
    """One line of a run of airlore-quality."""

    doc: str
    rank: int
    cosine: float
    coverage: float
    relevance: float


@dataclass(frozen=True)
class Example:
    """A hit with what it is."""

    query: str
    group: str
    positive: bool
    coverage: float
    cosine: float

    @property
    def features(self) -> tuple[float, float, float, float]:
        """What the model sees."""
        c = max(self.cosine, 0.0)
        return 1.0, self.coverage, c, self.coverage * c


def read_run(path: Path) -> dict[str, list[Hit]]:
    """The hits of each query."""
    hits: dict[str, list[Hit]] = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for line in file:
            q, doc, rank, _, _, cosine, coverage, relevance = line.rstrip("\n").split("\t")
            hits[q].append(Hit(doc, int(rank), float(cosine), float(coverage), float(relevance)))
    return hits


def is_fitting_half(query: str) -> bool:
    """Which half a query is in."""
    return bool(hashlib.sha1(("h" + query).encode()).digest()[0] & 1)


def probability(w: Weights, e: Example) -> float:
    """What the model says."""
    z = sum(a * b for a, b in zip(w, e.features, strict=True))
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, z))))


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a small linear system by elimination with pivots."""
    n = len(right)
    rows = [matrix[i][:] + [right[i]] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def fit(examples: list[tuple[Example, float]]) -> Weights:
    """Weighted logistic regression by Newton's method."""
    w = [0.0] * 4
    for _ in range(100):
        gradient = [-RIDGE * x for x in w]
        hessian = [[RIDGE if i == j else 0.0 for j in range(4)] for i in range(4)]
        for e, weight in examples:
            f = e.features
            p = probability((w[0], w[1], w[2], w[3]), e)
            for i in range(4):
                gradient[i] += weight * (e.positive - p) * f[i]
                for j in range(4):
                    hessian[i][j] += weight * p * (1 - p) * f[i] * f[j]
        step = solve(hessian, gradient)
        w = [a + b for a, b in zip(w, step, strict=True)]
        if max(map(abs, step)) < 1e-9:
            break
    return w[0], w[1], w[2], w[3]


def weigh(examples: list[Example]) -> list[tuple[Example, float]]:
    """Each group's share of the weight, spread over its examples."""
    shares = dict.fromkeys(TASKS, POSITIVE_WEIGHT) | {"unanswerable": UNANSWERABLE_WEIGHT, "tail": TAIL_WEIGHT}
    sizes: dict[str, int] = defaultdict(int)
    for e in examples:
        sizes[e.group] += 1
    return [(e, shares[e.group] / sizes[e.group]) for e in examples]


def quality(binary: Path, task: Path, out: Path) -> None:
    """Run airlore-quality, unless the run is there already."""
    if not out.exists():
        subprocess.run([str(binary), str(task), str(out), "--mode", "hybrid", "-k", "20"], check=True)


def collect(tasks: Path, runs: Path, binary: Path) -> list[Example]:
    """All examples of both halves."""
    examples: list[Example] = []
    for name in TASKS:
        quality(binary, tasks / name, runs / f"{name}-hybrid.tsv")
        qrels = score.read_qrels(tasks / name)
        for q, hits in read_run(runs / f"{name}-hybrid.tsv").items():
            if q not in qrels or not score.is_dev(q):
                continue
            found = [h for h in hits if h.rank <= 10 and h.doc in qrels[q].relevant]
            if found:
                examples.append(Example(q, name, True, found[0].coverage, found[0].cosine))
            examples += [Example(q, "tail", False, h.coverage, h.cosine)
                         for h in hits if h.rank in TAIL and h.doc not in qrels[q].relevant]
    out = runs / "unanswerable-hybrid.tsv"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "corpus.jsonl").symlink_to((tasks / "A" / "corpus.jsonl").resolve())
        (Path(folder) / "queries.jsonl").symlink_to(HERE / "unanswerable.jsonl")
        quality(binary, Path(folder), out)
    for q, hits in read_run(out).items():
        best = max(hits, key=lambda h: h.coverage + h.cosine)
        examples.append(Example(q, "unanswerable", False, best.coverage, best.cosine))
    return examples


def weights_in_source() -> Weights:
    """The weights that the server uses."""
    found = FORMULA.search(SOURCE.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"relevance: the formula is not found in '{SOURCE.name}'")
    w = [float(x.replace(" ", "")) for x in found.groups()]
    return w[0], w[1], w[2], w[3]


def log_loss(w: Weights, weighed: list[tuple[Example, float]]) -> float:
    """Mean weighted log loss."""
    total = sum(weight for _, weight in weighed)
    return sum(-weight * math.log(max(1e-12, probability(w, e) if e.positive else 1 - probability(w, e)))
               for e, weight in weighed) / total


def report(w: Weights, held_out: list[Example]) -> None:
    """Print shares and reliability on the held-out half."""
    print("\n| held-out group | examples | share at 0.5 or more | median |\n| --- | --- | --- | --- |")
    for group in (*TASKS, "unanswerable", "tail"):
        ps = sorted(probability(w, e) for e in held_out if e.group == group)
        if ps:
            print(f"| {group} ({'positive' if group in TASKS else 'negative'}) | {len(ps)} | "
                  f"{sum(p >= 0.5 for p in ps) / len(ps):.3f} | {ps[len(ps) // 2]:.2f} |")
    print("\n| relevance said | weight | mean said | share relevant |\n| --- | --- | --- | --- |")
    weighed = weigh(held_out)
    total = sum(weight for _, weight in weighed)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        rows = [(probability(w, e), e.positive, weight) for e, weight in weighed if low <= probability(w, e) < low + 0.2 + (low == 0.8)]
        mass = sum(r[2] for r in rows)
        if mass:
            print(f"| {low:.1f} to {low + 0.2:.1f} | {mass / total:.2f} | {sum(p * m for p, _, m in rows) / mass:.2f} "
                  f"| {sum(m for _, y, m in rows if y) / mass:.2f} |")


def main() -> int:
    """Read the options, fit, print, compare with the source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use those that are there")
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = args.runs or Path(scratch)
        runs.mkdir(parents=True, exist_ok=True)
        examples = collect(args.tasks, runs, args.bin / "airlore-quality")
    fitting = [e for e in examples if is_fitting_half(e.query)]
    held_out = [e for e in examples if not is_fitting_half(e.query)]
    best, used = fit(weigh(fitting)), weights_in_source()
    print(f"{len(fitting)} examples for fitting, {len(held_out)} held out")
    for name, w in (("best fit  ", best), ("relevance.c", used)):
        print(f"{name}  {'  '.join(f'{x:+.2f}' for x in w)}   log loss held out {log_loss(w, weigh(held_out)):.4f}")
    report(used, held_out)
    weighed = weigh(held_out)
    total = sum(weight for _, weight in weighed)
    apart = sum(weight * abs(probability(best, e) - probability(used, e)) for e, weight in weighed) / total
    print(f"\nbest fit and relevance.c differ by {apart:.3f} on average (at most {AGREE_WITHIN} is fine)")
    return 0 if apart <= AGREE_WITHIN else 1


if __name__ == "__main__":
    sys.exit(main())
