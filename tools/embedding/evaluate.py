#!/usr/bin/env python3
"""Score a table, BM25 and their fusion on the public retrieval tasks.

The task folders (A, B, C-heading, D, E: corpus.jsonl, queries.jsonl, qrels.tsv) are made from
the public data by the retrieval evaluation program.  Printed is nDCG@10.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

import split
import table
from bm25 import Bm25
from build import OUTPUT, model_folder
from corpus import read_jsonl
from tokenizer import WordPieces, read_vocab

F32 = npt.NDArray[np.float32]
TASKS = ("A", "B", "C-heading", "D", "E")
DEPTH = 100
CUT = 10
QUERIES = {"dev": split.is_dev, "valid": split.is_valid, "all": lambda _: True}


@dataclass(frozen=True)
class Task:
    """One retrieval task; documents and queries are named by their position."""

    name: str
    documents: list[str]
    query_keys: list[str]
    queries: list[str]
    relevant: list[set[int]]
    ignored: list[set[int]]


def load_task(folder: Path, wanted: Callable[[str], bool]) -> Task:
    """Read a task folder with the queries whose key is wanted."""
    documents = read_jsonl(folder / "corpus.jsonl")
    position = {row["id"]: i for i, row in enumerate(documents)}
    queries = [r for r in read_jsonl(folder / "queries.jsonl") if wanted(r["id"])]
    number = {row["id"]: i for i, row in enumerate(queries)}
    relevant: list[set[int]] = [set() for _ in queries]
    ignored: list[set[int]] = [set() for _ in queries]
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, document, grade = line.split("\t")
        if query in number:
            target = relevant if int(grade) > 0 else ignored
            target[number[query]].add(position[document])
    return Task(
        folder.name,
        [f"{r['title']}\n{r['text']}" if r["title"] else r["text"] for r in documents],
        [r["id"] for r in queries],
        [r["text"] for r in queries],
        relevant,
        ignored,
    )


def ndcg(scores: F32, relevant: set[int], ignored: set[int]) -> float:
    """Return nDCG@10 of one query; documents scored 0 or less are not retrieved."""
    order = np.argsort(-scores, kind="stable")[: CUT + len(ignored)]
    found = [i for i in order if i not in ignored and scores[i] > 0][:CUT]
    gain = sum(1 / np.log2(rank + 2) for rank, i in enumerate(found) if i in relevant)
    ideal = sum(1 / np.log2(rank + 2) for rank in range(min(CUT, len(relevant))))
    return float(gain / ideal) if ideal else 0.0


def mean_ndcg(task: Task, score: Callable[[int], F32]) -> npt.NDArray[np.float64]:
    """Return nDCG@10 of every query, the scores given by a function of the query's number."""
    values = [ndcg(score(q), task.relevant[q], task.ignored[q]) for q in range(len(task.queries))]
    return np.array(values)


def _scaled(scores: F32, zero_minimum: bool) -> F32:
    """Scale one leg's top documents to 0..1; the others get 0."""
    top = np.argpartition(-scores, min(DEPTH, len(scores)) - 1)[:DEPTH]
    top = top[scores[top] > 0]
    out = np.zeros_like(scores)
    if len(top) == 0:
        return out
    low = 0.0 if zero_minimum else float(scores[top].min())
    high = float(scores[top].max())
    out[top] = (scores[top] - low) / (high - low) if high > low else 1.0
    return out


def fuse(lexical: F32, dense: F32, weight: float, zero_minimum: bool = False) -> F32:
    """Return the min-max fusion of two legs, `weight` being the dense leg's share.

    With `zero_minimum` both legs are divided by their maximum, and a document found by one leg
    only gets its score from the other leg too.
    """
    if not zero_minimum:
        return (1 - weight) * _scaled(lexical, False) + weight * _scaled(dense, False)
    found = (_scaled(lexical, True) > 0) | (_scaled(dense, True) > 0)
    total = (1 - weight) * lexical / max(float(lexical.max()), 1e-9)
    total = total + weight * dense.clip(0) / max(float(dense.max()), 1e-9)
    return np.where(found, total, 0).astype(np.float32)


def vectors(rows_of_texts: list[list[int]], dense: F32) -> F32:
    """Return the unit vectors of texts given by row numbers."""
    starts = np.cumsum([0] + [len(r) for r in rows_of_texts])
    columns = np.concatenate([np.array(r, dtype=np.int64) for r in rows_of_texts])
    ones = np.ones(len(columns), dtype=np.float32)
    shape = (len(rows_of_texts), dense.shape[0])
    out = sparse.csr_matrix((ones, columns, starts), shape=shape) @ dense
    norm = np.linalg.norm(out, axis=1, keepdims=True)
    return (out / np.maximum(norm, 1e-12)).astype(np.float32)


def dense_scores(task: Task, pieces: WordPieces, dense: F32) -> F32:
    """Return the cosines [queries, documents]."""
    documents = vectors(list(pieces.many_rows(task.documents)), dense)
    return vectors(list(pieces.many_rows(task.queries)), dense) @ documents.T


def interval(values: npt.NDArray[np.float64], seed: int = 7) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of a mean."""
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def main() -> int:
    """Print one line a task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tasks", type=Path, required=True, help="folder of the task folders")
    parser.add_argument("--table", type=Path, default=OUTPUT, help="table (%(default)s)")
    parser.add_argument("--model", type=Path, help="model folder (default: the package's)")
    parser.add_argument("--weight", type=float, default=0.4, help="dense share (%(default)s)")
    parser.add_argument("--k1", type=float, default=0.9, help="BM25 k1 (%(default)s)")
    parser.add_argument("--b", type=float, default=0.4, help="BM25 b (%(default)s)")
    parser.add_argument(
        "--queries",
        choices=tuple(QUERIES),
        default="dev",
        help="dev: the fifth never tuned on; valid: the second fifth, for tables built with "
        "--hold dev+valid; all: with a tuned table only the BM25 column means anything "
        "(%(default)s)",
    )
    options = parser.parse_args()
    pieces = WordPieces(read_vocab(model_folder(options.model) / "vocab.txt"))
    read = table.read(options.table)
    if read.pieces != [pieces.vocab[i].encode() for i in pieces.order]:
        raise SystemExit(f"{options.table}: made for another vocabulary")
    rows = read.dense()
    print(f"{'task':10} {'n':>5} {'BM25':>7} {'dense':>7} {'fused':>7} {'fused0':>7}  fused - BM25")
    for name in TASKS:
        task = load_task(options.tasks / name, QUERIES[options.queries])
        lexical = Bm25(task.documents, options.k1, options.b).scores(task.queries)
        cosines = dense_scores(task, pieces, rows)
        base = mean_ndcg(task, lambda q, s=lexical: s[q])
        alone = mean_ndcg(task, lambda q, s=cosines: s[q])
        both, zero = (
            mean_ndcg(
                task,
                lambda q, s=lexical, c=cosines, z=z: fuse(s[q], c[q], options.weight, z),
            )
            for z in (False, True)
        )
        low, high = interval(both - base)
        print(
            f"{name:10} {len(base):5} {base.mean():7.3f} {alone.mean():7.3f} {both.mean():7.3f} "
            f"{zero.mean():7.3f}  {(both - base).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
