"""Tuning the rows: sums of rows are pulled together for pairs and towards the transformer.

Pairs: symmetric InfoNCE.  Transformer: in a batch of texts and their neighbours, the softmax of
each text's similarities to the others should be the transformer's.  Adagrad with one rate a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pairs import Kind
from tokenizer import WordPieces

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

NEAREST = 32
REPORT_EVERY = 100


@dataclass(frozen=True)
class Settings:
    """What the tuning depends on besides the pairs."""

    batch: int = 256
    dropout: float = 0.1
    starts: int = 128
    neighbours: int = 3
    seed: int = 20261121

    def as_dict(self) -> dict[str, float]:
        """Return the settings for the provenance."""
        return asdict(self)


@dataclass(frozen=True)
class Bag:
    """A text as row numbers and how often each occurs."""

    rows: I64
    counts: I64


@dataclass(frozen=True)
class PairBags:
    """One kind of pairs as bags."""

    share: float
    queries: list[Bag]
    documents: list[Bag]
    groups: list[str]
    hard: list[list[int]]
    pool: list[Bag]


@dataclass(frozen=True)
class Reference:
    """Texts as bags, the transformer's unit vectors of them, and the nearest texts of each."""

    bags: list[Bag]
    vectors: F32
    near: I64


class _Bags:
    """Texts to bags, each distinct text once."""

    def __init__(self, pieces: WordPieces) -> None:
        self._pieces = pieces
        self._known: dict[str, Bag] = {}

    def of(self, texts: list[str]) -> list[Bag]:
        """Return the bags of some texts."""
        missing = list(dict.fromkeys(t for t in texts if t not in self._known))
        for text, rows in zip(missing, self._pieces.many_rows(missing), strict=True):
            unique, counts = np.unique(np.array(rows, dtype=np.int64), return_counts=True)
            self._known[text] = Bag(unique, counts)
        return [self._known[t] for t in texts]


def prepare(kinds: list[Kind], pieces: WordPieces) -> list[PairBags]:
    """Tokenize all pairs and leave out those with an empty side."""
    bags = _Bags(pieces)
    out = []
    for kind in kinds:
        queries, documents = bags.of(kind.queries), bags.of(kind.documents)
        full = [
            i
            for i, (q, d) in enumerate(zip(queries, documents, strict=True))
            if len(q.rows) and len(d.rows)
        ]
        out.append(
            PairBags(
                kind.share,
                [queries[i] for i in full],
                [documents[i] for i in full],
                [kind.groups[i] for i in full],
                [kind.hard[i] for i in full],
                bags.of(kind.pool),
            )
        )
    return out


class _Sampler:
    """Draws batches: each kind passes through its own shuffled order, again and again."""

    def __init__(self, kinds: list[PairBags], batch: int, random: np.random.Generator) -> None:
        self._kinds = kinds
        self._batch = batch
        self._random = random
        shares = np.array([k.share for k in kinds])
        self._shares = shares / shares.sum()
        self._orders = [np.array([], dtype=np.int64) for _ in kinds]

    def _next(self, kind: int) -> int:
        """Return the next pair of a kind."""
        if len(self._orders[kind]) == 0:
            self._orders[kind] = self._random.permutation(len(self._kinds[kind].queries))
        taken, self._orders[kind] = self._orders[kind][0], self._orders[kind][1:]
        return int(taken)

    def draw(self) -> tuple[list[Bag], list[Bag], list[str]]:
        """Return queries, documents (positives, then hard negatives) and the positives' groups."""
        queries, documents, groups, negatives = [], [], [], []
        for number in self._random.choice(len(self._kinds), self._batch, p=self._shares):
            kind = self._kinds[number]
            i = self._next(number)
            queries.append(kind.queries[i])
            documents.append(kind.documents[i])
            groups.append(kind.groups[i])
            if kind.hard[i]:
                picked = kind.pool[kind.hard[i][self._random.integers(len(kind.hard[i]))]]
                if len(picked.rows):
                    negatives.append(picked)
        return queries, documents + negatives, groups


def _matrix(
    bags: list[Bag], n_rows: int, dropout: float, random: np.random.Generator
) -> sparse.csr_matrix:
    """Return the count matrix of some bags, each occurrence dropped with a probability."""
    starts = np.cumsum([0] + [len(b.rows) for b in bags])
    columns = np.concatenate([b.rows for b in bags])
    counts = np.concatenate([b.counts for b in bags])
    kept = random.binomial(counts, 1 - dropout) if dropout > 0 else counts
    data = kept.astype(np.float32)
    return sparse.csr_matrix((data, columns, starts), shape=(len(bags), n_rows))


def _unit(sums: F32) -> tuple[F32, F32]:
    """Return unit vectors and the norms of their sums."""
    norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return sums / norms, norms


def _through_unit(gradient: F32, unit: F32, norms: F32) -> F32:
    """Take a gradient back from unit vectors to the sums."""
    along = (gradient * unit).sum(axis=1, keepdims=True)
    return (gradient - unit * along) / norms


def _softmax(x: F32) -> F32:
    """Return the softmax of each line."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _contrast(
    queries: F32, documents: F32, groups: list[str], temperature: float
) -> tuple[float, F32]:
    """Return the symmetric InfoNCE loss and its gradient to the cosines [queries, documents]."""
    n = len(queries)
    logits = (queries @ documents.T) / np.float32(temperature)
    _, number = np.unique(np.array(groups), return_inverse=True)
    same = number[:, None] == number[None, :]
    np.fill_diagonal(same, False)
    logits[:, :n][same] = -np.inf
    forward, backward = _softmax(logits), _softmax(logits[:, :n].T)
    own = np.arange(n)
    loss = -np.log(forward[own, own] + 1e-12) - np.log(backward[own, own] + 1e-12)
    forward[own, own] -= 1
    backward[own, own] -= 1
    forward[:, :n] += backward.T
    return float(loss.mean() / 2), forward / np.float32(2 * n * temperature)


class _Relations:
    """Batches of neighbouring texts, and the pull towards the transformer's view of them."""

    def __init__(self, reference: Reference, settings: Settings) -> None:
        self._reference = reference
        self._settings = settings

    def draw(self, random: np.random.Generator) -> I64:
        """Return the numbers of some texts and of some neighbours of each."""
        reference = self._reference
        starts = random.integers(0, len(reference.bags), self._settings.starts)
        picked = [starts]
        for start in starts:
            picked.append(
                random.choice(reference.near[start], self._settings.neighbours, replace=False)
            )
        return np.unique(np.concatenate(picked))

    def matrix(self, numbers: I64, n_rows: int, random: np.random.Generator) -> sparse.csr_matrix:
        """Return the count matrix of some texts."""
        bags = [self._reference.bags[i] for i in numbers]
        return _matrix(bags, n_rows, self._settings.dropout, random)

    def pull(self, unit: F32, numbers: I64, temperature: float) -> tuple[float, F32]:
        """Return the divergence from the transformer's similarities and its gradient to `unit`."""
        wanted_units = self._reference.vectors[numbers]
        wanted = _similarities(wanted_units, temperature)
        found = _similarities(unit, temperature)
        ratio = np.log(wanted + 1e-12) - np.log(found + 1e-12)
        loss = float((wanted * ratio).sum(axis=1).mean())
        to_cosine = (found - wanted) / np.float32(len(unit) * temperature)
        return loss, (to_cosine + to_cosine.T) @ unit


def _similarities(unit: F32, temperature: float) -> F32:
    """Return for each text the softmax over its similarities to the others."""
    logits = (unit @ unit.T) / np.float32(temperature)
    np.fill_diagonal(logits, -np.inf)
    return _softmax(logits)


def reference_of(texts: list[str], vectors: F32, pieces: WordPieces) -> Reference:
    """Return the texts that have tokens as bags, with their vectors and nearest texts."""
    bags = _Bags(pieces).of(texts)
    full = [i for i, bag in enumerate(bags) if len(bag.rows)]
    kept = vectors[full]
    near = np.empty((len(kept), NEAREST), dtype=np.int64)
    for start in range(0, len(kept), 1024):
        cosines = kept[start : start + 1024] @ kept.T
        own = np.arange(len(cosines))
        cosines[own, own + start] = -np.inf
        near[start : start + 1024] = np.argpartition(-cosines, NEAREST, axis=1)[:, :NEAREST]
    return Reference([bags[i] for i in full], kept, near)


@dataclass(frozen=True)
class Phase:
    """One pass of the tuning: how long, how fast, and what pulls how strongly."""

    name: str
    steps: int
    rate: float
    temperature: float
    pair_weight: float
    teacher_weight: float


class Tuner:
    """Tunes a copy of the rows in phases."""

    def __init__(
        self,
        rows: F32,
        kinds: list[PairBags],
        reference: Reference | None,
        settings: Settings,
    ) -> None:
        """Take the untuned rows, the pairs, and the transformer's vectors if they are used."""
        self.rows = rows.copy()
        self._settings = settings
        self._random = np.random.default_rng(settings.seed)
        self._sampler = _Sampler(kinds, settings.batch, self._random)
        self._relations = _Relations(reference, settings) if reference else None

    def _counts(self, bags: list[Bag]) -> sparse.csr_matrix:
        return _matrix(bags, len(self.rows), self._settings.dropout, self._random)

    def _pair_step(self, phase: Phase) -> tuple[float, list[tuple[sparse.csr_matrix, F32]]]:
        """Return the loss of a batch of pairs and, for both sides, counts and gradient."""
        queries, documents, groups = self._sampler.draw()
        q, d = self._counts(queries), self._counts(documents)
        (q_unit, q_norm), (d_unit, d_norm) = _unit(q @ self.rows), _unit(d @ self.rows)
        loss, to_cosine = _contrast(q_unit, d_unit, groups, phase.temperature)
        to_cosine *= np.float32(phase.pair_weight)
        q_back = _through_unit(to_cosine @ d_unit, q_unit, q_norm)
        d_back = _through_unit(to_cosine.T @ q_unit, d_unit, d_norm)
        return loss, [(q, q_back), (d, d_back)]

    def _teacher_step(
        self, relations: _Relations, phase: Phase
    ) -> tuple[float, list[tuple[sparse.csr_matrix, F32]]]:
        """Return the loss of a batch of neighbouring texts, its counts and its gradient."""
        numbers = relations.draw(self._random)
        counts = relations.matrix(numbers, len(self.rows), self._random)
        unit, norms = _unit(counts @ self.rows)
        loss, gradient = relations.pull(unit, numbers, phase.temperature)
        return loss, [
            (counts, _through_unit(gradient * np.float32(phase.teacher_weight), unit, norms))
        ]

    def run(self, phase: Phase, say: Callable[[str], None]) -> None:
        """Run one phase; the rate falls linearly to zero."""
        history = np.zeros(len(self.rows), dtype=np.float32)
        rate = phase.rate * float(np.abs(self.rows).mean())
        losses = []
        for step in range(phase.steps):
            parts, loss = [], [0.0, 0.0]
            if phase.pair_weight > 0:
                loss[0], found = self._pair_step(phase)
                parts += found
            if phase.teacher_weight > 0 and self._relations:
                loss[1], found = self._teacher_step(self._relations, phase)
                parts += found
            both = sparse.vstack([counts for counts, _ in parts]).tocsc()
            touched = np.flatnonzero(np.diff(both.indptr))
            gradient = both[:, touched].T @ np.vstack([g for _, g in parts])
            history[touched] += np.square(gradient).mean(axis=1)
            scale = rate * (1 - step / phase.steps) / np.sqrt(history[touched] + 1e-20)
            self.rows[touched] -= gradient * scale[:, None].astype(np.float32)
            losses.append(loss)
            if step % REPORT_EVERY == REPORT_EVERY - 1:
                pair, teacher = np.mean(losses[-REPORT_EVERY:], axis=0)
                say(f"  {phase.name}: step {step + 1}, pairs {pair:.3f}, teacher {teacher:.3f}")
