"""Tuning pairs from the public data: short texts and the longer texts they belong to.

What the dev fifth asks for is out of every kind of pair, of the hard negatives too.  Sections
and example DAGs of the reserved half serve as unlabelled text only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

import split
from bm25 import Bm25
from corpus import Corpus, cut, prompt_text

MAX_SENTENCE_PAIRS = 12_000
HARD_NEGATIVES = 12
MIN_WORDS = 5
MAX_QUERY_CHARS = 400

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_SPACES = re.compile(r"\s+")

IsHeld = Callable[[str], bool]


@dataclass(frozen=True)
class Kind:
    """One kind of pairs.

    `documents[i]` answers `queries[i]`; equal `groups` mark documents of the same origin, which
    never serve as each other's negative.  `hard[i]` are positions in `pool`, empty for none.
    """

    name: str
    share: float
    queries: list[str]
    documents: list[str]
    groups: list[str]
    hard: list[list[int]]
    pool: list[str]


def _hard_negatives(
    queries: list[str], groups: list[str], pool: list[str], owners: list[str]
) -> list[list[int]]:
    """Return for each query the best documents of the pool that belong to another group."""
    if not queries or not pool:
        return [[] for _ in queries]
    index = Bm25(pool)
    out = []
    for start in range(0, len(queries), 64):
        for i, scores in enumerate(index.scores(queries[start : start + 64]), start):
            best = np.argsort(-scores, kind="stable")[: 4 * HARD_NEGATIVES]
            kept = [int(d) for d in best if owners[d] != groups[i] and scores[d] > 0]
            out.append(kept[:HARD_NEGATIVES])
    return out


def _supervised(
    name: str, share: float, pairs: list[tuple[str, str, str]], pool: list[tuple[str, str]]
) -> Kind:
    """Return a kind of (query, document, group) pairs with negatives from (group, text)."""
    queries, documents, groups = ([p[i] for p in pairs] for i in range(3))
    owners, texts = [p[0] for p in pool], [p[1] for p in pool]
    hard = _hard_negatives(queries, groups, texts, owners)
    return Kind(name, share, queries, documents, groups, hard, texts)


def _thread_kinds(data: Corpus, held: IsHeld, prose: list[tuple[str, str]]) -> list[Kind]:
    """Return the pairs of the question threads."""
    threads = [t for t in data.threads if not held(t["id"])]
    answered = [t for t in threads if t["answers"]]
    answers = [(t["id"], a["text"]) for t in answered for a in t["answers"]]
    pool = answers + prose
    best = [(t, t["answers"][0]["text"]) for t in answered]
    return [
        _supervised("title-answer", 1, [(t["title"], a, t["id"]) for t, a in best], pool),
        _supervised("question-answer", 1, [(t["question"], a, t["id"]) for t, a in best], pool),
        _supervised(
            "title-question",
            0.5,
            [(t["title"], t["question"], t["id"]) for t in threads],
            [(t["id"], t["question"]) for t in threads],
        ),
        _supervised(
            "error-answer",
            0.5,
            [(t["error_text"], a, t["id"]) for t, a in best if t["error_text"]],
            pool,
        ),
    ]


def _section_kind(data: Corpus, held: IsHeld, prose: list[tuple[str, str]]) -> Kind:
    """Return the pairs heading path - section body."""
    used = [
        s
        for s in data.sections
        if s.key in data.named and not held(s.key) and not split.is_reserved(s.key)
    ]
    first = dict(reversed(prose))
    pairs = [(s.query, first[s.key], s.key) for s in used if s.key in first]
    return _supervised("heading-section", 2, pairs, prose)


def _base_name(key: str) -> str:
    """Return the file name in a DAG key: versions of one example share it."""
    return PurePosixPath(key).name


def _dag_kinds(data: Corpus, held: IsHeld) -> list[Kind]:
    """Return the pairs docstring - DAG and prompt - DAG."""
    held_dags = [d for d in data.dags if d.docstring and held(d.key)]
    names = {_base_name(d.key) for d in held_dags}
    docstrings = {d.docstring for d in held_dags}
    free = [d for d in data.dags if _base_name(d.key) not in names]
    free = [d for d in free if not d.docstring or d.docstring not in docstrings]
    open_dags = [d for d in free if not (d.key.startswith("ex/") and split.is_reserved(d.key))]
    documented = [d for d in open_dags if len(d.docstring.split()) >= MIN_WORDS]
    pool = [(_base_name(d.key), d.code) for d in free]
    prompts = [p for p in data.prompts if not held(p["id"])]
    return [
        _supervised(
            "docstring-dag",
            0.3,
            [(d.docstring[:MAX_QUERY_CHARS], d.code, _base_name(d.key)) for d in documented],
            pool,
        ),
        _supervised(
            "prompt-dag",
            0.3,
            [(prompt_text(p), p["finetuned"], p["id"]) for p in prompts],
            [(p["id"], p["finetuned"]) for p in prompts] + pool,
        ),
    ]


def _sentence_kind(data: Corpus, held: IsHeld, prose: list[tuple[str, str]], seed: int) -> Kind:
    """Return unlabelled pairs: a sentence and the rest of its section piece or post."""
    random = np.random.default_rng(seed)
    posts = [(t["id"], t["question"]) for t in data.threads if not held(t["id"])]
    posts += [(t["id"], a["text"]) for t in data.threads if not held(t["id"]) for a in t["answers"]]
    found = []
    for group, text in prose + [(g, p) for g, t in posts for p in cut(t)]:
        sentences = [_SPACES.sub(" ", s).strip() for s in _SENTENCE.split(text)]
        long = [i for i, s in enumerate(sentences) if len(s.split()) >= MIN_WORDS]
        if len(sentences) < 2:
            continue
        for i in random.permutation(long)[:3]:
            rest = " ".join(s for n, s in enumerate(sentences) if n != i)
            if len(rest.split()) >= 2 * MIN_WORDS:
                found.append((sentences[i][:MAX_QUERY_CHARS], rest, group))
    kept = [found[i] for i in sorted(random.permutation(len(found))[:MAX_SENTENCE_PAIRS])]
    queries, documents, groups = ([p[i] for p in kept] for i in range(3))
    return Kind("sentence-rest", 4, queries, documents, groups, [[] for _ in kept], [])


def make(data: Corpus, held: IsHeld, seed: int) -> list[Kind]:
    """Return all kinds of pairs, without anything that belongs to a held query."""
    prose = list(data.free_prose(held))
    kinds = _thread_kinds(data, held, prose)
    kinds.append(_section_kind(data, held, prose))
    kinds += _dag_kinds(data, held)
    kinds.append(_sentence_kind(data, held, prose, seed))
    return [k for k in kinds if k.queries]
