"""Distilling the transformer into one row a vocabulary piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bert import Bert
from tokenizer import WordPieces

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

IDF_POWER = 1.5
MIN_SEEN = 3
BATCH = 512


def hidden_states(model_file: Path, pieces: WordPieces, say: Callable[[str], None]) -> F32:
    """Return the last hidden state at the position of each row's token in `[CLS] t [SEP]`."""
    bert = Bert(model_file)
    first, last = pieces.vocab.index("[CLS]"), pieces.vocab.index("[SEP]")
    order = np.array(pieces.order)
    out = np.empty((len(order), bert.hidden), dtype=np.float32)
    for start in range(0, len(order), BATCH):
        tokens = order[start : start + BATCH]
        ids = np.stack([np.full_like(tokens, first), tokens, np.full_like(tokens, last)], axis=1)
        out[start : start + BATCH] = bert.last_hidden_state(ids)[:, 1]
        if start // BATCH % 10 == 9:
            say(f"  {start + len(tokens)} of {len(order)} tokens")
    return out


def token_statistics(
    pieces: WordPieces, texts: Iterable[str]
) -> tuple[F64, F64, int]:  # fmt: skip
    """Return how often each row occurs, in how many texts it occurs, and the number of texts."""
    seen = np.zeros(pieces.n_rows)
    df = np.zeros(pieces.n_rows)
    n_texts = 0
    for rows in pieces.many_rows(texts):
        unique, counts = np.unique(np.array(rows, dtype=np.int64), return_counts=True)
        seen[unique] += counts
        df[unique] += 1
        n_texts += 1
    return seen, df, n_texts


def principal_axes(states: F32, dim: int) -> tuple[F64, F64]:
    """Return the mean and the `dim` leading principal axes [hidden, dim] of some states.

    The sign of an axis is free; it is fixed so that its largest entry is positive.
    """
    mean = states.mean(axis=0, dtype=np.float64)
    centred = states.astype(np.float64) - mean
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, np.argsort(values)[::-1][:dim]]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return mean, axes * signs


def idf(df: F64, n_texts: int) -> F64:
    """Return the inverse document frequency of each row."""
    return np.log1p((n_texts - df + 0.5) / (df + 0.5))


def distil(states: F32, seen: F64, df: F64, n_texts: int, dim: int) -> F32:
    """Return the untuned rows: principal axes of the tokens in use, weighted by idf^1.5."""
    mean, axes = principal_axes(states[seen >= MIN_SEEN], dim)
    projected = (states.astype(np.float64) - mean) @ axes
    return (projected * (idf(df, n_texts) ** IDF_POWER)[:, None]).astype(np.float32)
