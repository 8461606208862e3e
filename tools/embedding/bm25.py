"""BM25 over a corpus held as a sparse matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from analyzer import analyze

F32 = npt.NDArray[np.float32]


class Bm25:
    """An index of texts; scores of queries against all of them."""

    def __init__(self, texts: Iterable[str], k1: float = 0.9, b: float = 0.4) -> None:
        """Index the texts."""
        self._terms: dict[str, int] = {}
        counts, columns, starts = [], [], [0]
        for text in texts:
            terms = Counter(analyze(text))
            columns += [self._terms.setdefault(t, len(self._terms)) for t in terms]
            counts += terms.values()
            starts.append(len(columns))
        shape = (len(starts) - 1, max(len(self._terms), 1))
        tf = sparse.csr_matrix((np.array(counts, dtype=np.float64), columns, starts), shape=shape)
        length = np.asarray(tf.sum(axis=1)).ravel()
        norm = k1 * (1 - b + b * length / max(length.mean(), 1e-9))
        df = np.asarray((tf > 0).sum(axis=0)).ravel()
        idf = np.log1p((shape[0] - df + 0.5) / (df + 0.5))
        per_document = np.repeat(norm, np.diff(tf.indptr))
        tf.data = tf.data / (tf.data + per_document) * idf[tf.indices]
        self._weights = tf.T.tocsr().astype(np.float32)

    def scores(self, queries: Iterable[str]) -> F32:
        """Return the scores [queries, documents]; a term repeated in a query counts repeatedly."""
        counts, columns, starts = [], [], [0]
        for query in queries:
            terms = Counter(t for t in analyze(query) if t in self._terms)
            columns += [self._terms[t] for t in terms]
            counts += terms.values()
            starts.append(len(columns))
        shape = (len(starts) - 1, self._weights.shape[0])
        matrix = sparse.csr_matrix((np.array(counts, np.float32), columns, starts), shape=shape)
        return np.asarray((matrix @ self._weights).todense(), dtype=np.float32)
