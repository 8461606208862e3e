#!/usr/bin/env python3
"""Fit and show how well `ask` tells answerable questions from others: answerability.py TASKS_DIR ASK_DIR --bin DIR [--runs DIR] [--report]

TASKS_DIR: the retrieval tasks (run.sh). ASK_DIR: the corpora made by ask_corpus.py. The model is logistic in the features that
coordinator/relevance.c computes (airlore/relevance.h says which); airlore-quality --ask prints them for each question.
Answerable, when the known document is among the first five of what was found:
  A            titles of task A, dev fifth, in its corpus
  field, examples  answerable.jsonl, questions in other words than the documents', in the two corpora of ASK_DIR
Not answerable:
  near         near.jsonl: about Airflow and its neighbourhood, but answered nowhere in the corpora (read by hand)
  far          unanswerable.jsonl: about something else
Questions are split by hash into thirds: the weights are fitted on the first; the form of the model and the threshold were chosen by
the second; the third is for --report only. examples/questions.jsonl and questions with facts (ask.py) are never fitted on.
Exit 1 when the weights in relevance.c say something else on the second third (by more than 0.05 on average).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import score  # noqa: E402

ROOT = HERE.parent.parent
FIRST = 5
RIDGE = 0.003
AGREE_WITHIN = 0.05
SAMPLES = 2000
Row = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """One question against one corpus."""

    group: str
    answerable: bool
    third: int
    features: tuple[float, ...]
    weight: float
    answered: bool


def third_of(question: str) -> int:
    """0: for fitting, 1: for choosing, 2: for the report."""
    return hashlib.sha1(("ask" + question).encode()).digest()[0] % 3


def lines(path: Path) -> list[Row]:
    """Rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def ask(binary: Path, runs: Path, name: str, corpus: Path, questions: list[Row]) -> list[Row]:
    """What `ask` says to the questions with this corpus; a run that is there is used again."""
    out = runs / f"{name}.jsonl"
    if not out.exists():
        folder = runs / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "corpus.jsonl").unlink(missing_ok=True)
        (folder / "corpus.jsonl").symlink_to(corpus.resolve())
        (folder / "queries.jsonl").write_text("".join(json.dumps({"id": q["id"], "text": q["text"]}) + "\n" for q in questions))
        part = out.with_suffix(".part")
        subprocess.run([str(binary), str(folder), str(part), "--ask", "-k", "8"], check=True, stderr=subprocess.DEVNULL)
        part.rename(out)
    return lines(out)


def first(row: Row) -> list[str]:
    """The first documents found."""
    return list(dict.fromkeys(h["id"] for h in row["hits"]))[:FIRST]


def collect(args: argparse.Namespace, runs: Path) -> list[Example]:
    """All questions with their groups; each group weighs the same whatever its size."""
    binary = args.bin / "airlore-quality"
    corpora = {"A": args.tasks / "A" / "corpus.jsonl", "field": args.ask / "field" / "corpus.jsonl",
               "examples": args.ask / "examples" / "corpus.jsonl"}
    judged = score.read_qrels(args.tasks / "A")
    titles = [q for q in lines(args.tasks / "A" / "queries.jsonl") if score.is_dev(q["id"]) and q["id"] in judged]
    own = {q["id"]: q for q in lines(HERE / "answerable.jsonl")}
    in_examples = [q for q in own.values() if not q["expect"].startswith("airflow/")]
    groups: list[tuple[str, bool, float, list[Row]]] = [
        ("A", True, 0.25, [r for r in ask(binary, runs, "A", corpora["A"], titles) if set(first(r)) & judged[r["id"]].relevant])]
    for name, weight, questions in (("field", 0.4, list(own.values())), ("examples", 0.35, in_examples)):
        rows = ask(binary, runs, name, corpora[name], questions)
        found = [r for r in rows if own[r["id"]]["expect"] in first(r)]
        print(f"{name}: {len(found)} of {len(rows)} expected documents among the first {FIRST}")
        groups.append((name, True, weight, found))
    for kind, file, weights in (("near", "near.jsonl", (0.2, 0.35, 0.15)), ("far", "unanswerable.jsonl", (0.1, 0.1, 0.1))):
        for (name, corpus), weight in zip(corpora.items(), weights, strict=True):
            groups.append((f"{kind}, {name}", False, weight, ask(binary, runs, f"{kind}-{name}", corpus, lines(HERE / file))))
    return [Example(name, good, third_of(r["id"]), tuple(r["features"]), weight / len(rows), not r["abstained"])
            for name, good, weight, rows in groups for r in rows if r["hits"]]


def probability(w: list[float], features: tuple[float, ...]) -> float:
    """What the model says; w[0] is the constant."""
    return 1 / (1 + math.exp(-(w[0] + sum(a * x for a, x in zip(w[1:], features, strict=True)))))


def solve(a: list[list[float]], b: list[float]) -> list[float]:
    """x of a x = b, by elimination."""
    n = len(b)
    m = [[*row, y] for row, y in zip(a, b, strict=True)]
    for i in range(n):
        p = max(range(i, n), key=lambda k: abs(m[k][i]))
        m[i], m[p] = m[p], m[i]
        for k in range(n):
            if k != i:
                f = m[k][i] / m[i][i]
                m[k] = [x - f * y for x, y in zip(m[k], m[i], strict=True)]
    return [m[i][n] / m[i][i] for i in range(n)]


def fit(examples: list[Example]) -> list[float]:
    """Weights by Newton's method with a small ridge."""
    n = len(examples[0].features) + 1
    w = [0.0] * n
    for _ in range(30):
        gradient = [-RIDGE * w[i] if i else 0.0 for i in range(n)]
        hessian = [[RIDGE if i == j and i else 1e-9 if i == j else 0.0 for j in range(n)] for i in range(n)]
        for e in examples:
            x = (1.0, *e.features)
            p = probability(w, e.features)
            for i in range(n):
                gradient[i] += e.weight * (e.answerable - p) * x[i]
                for j in range(n):
                    hessian[i][j] += e.weight * p * (1 - p) * x[i] * x[j]
        w = [a + d for a, d in zip(w, solve(hessian, gradient), strict=True)]
    return w


def weights_in_source() -> tuple[list[float], float]:
    """The constant and the weights in relevance.c, and the threshold in ask.h."""
    source = (ROOT / "coordinator" / "relevance.c").read_text()
    body = source[source.index("double al_answerability("):]
    constant = re.search(r"double z = (-?[\d.]+);", body)
    w = re.search(r"w\[\] = \{([^}]*)\}", body)
    threshold = re.search(r"AL_ASK_RELEVANCE_DEFAULT ([\d.]+)", (ROOT / "coordinator/include/airlore/ask.h").read_text())
    if not constant or not w or not threshold:
        raise SystemExit("answerability: no weights found in relevance.c and ask.h")
    return [float(constant.group(1)), *(float(x) for x in w.group(1).split(","))], float(threshold.group(1))


def show(examples: list[Example], w: list[float], threshold: float) -> None:
    """A row for each group."""
    print("\n| group | questions | answered | 95 % |\n| --- | --- | --- | --- |")
    for group in dict.fromkeys(e.group for e in examples):
        said = [float(probability(w, e.features) >= threshold) for e in examples if e.group == group]
        mean, low, high = score.interval(said)
        what = "answerable" if group in ("A", "field", "examples") else "not answerable"
        print(f"| {group} ({what}) | {len(said)} | {mean:.2f} | {low:.2f} to {high:.2f} |")


def main() -> int:
    """Collect, fit, print, compare with the source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("ask", type=Path)
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use those that are there")
    parser.add_argument("--report", action="store_true", help="the last third instead of the second")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = args.runs or Path(scratch)
        runs.mkdir(parents=True, exist_ok=True)
        examples = collect(args, runs)
    best = fit([e for e in examples if e.third == 0])
    used, threshold = weights_in_source()
    held = [e for e in examples if e.third == (2 if args.report else 1)]
    total = sum(e.weight for e in held)
    for name, w in (("best fit", best), ("relevance.c", used)):
        loss = sum(-e.weight * math.log(max(1e-12, probability(w, e.features) if e.answerable else 1 - probability(w, e.features)))
                   for e in held) / total
        print(f"{name:12s} {' '.join(f'{x:+.2f}' for x in w)}   log loss {loss:.3f}")
    print(f"threshold {threshold}")
    show(held, used, threshold)
    apart = sum(e.weight * abs(probability(best, e.features) - probability(used, e.features)) for e in held) / total
    print(f"\nbest fit and relevance.c differ by {apart:.3f} on average (at most {AGREE_WITHIN} is fine)")
    return 0 if apart <= AGREE_WITHIN else 1


if __name__ == "__main__":
    sys.exit(main())
