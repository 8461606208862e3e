"""WordPiece tokenizer of the static embedding.

The pipeline is the one of the uncased BERT vocabulary, run by the `tokenizers` library, with one
step of our own in front: a space at CamelCase borders, put in before lower-casing so that
`BashOperator` becomes two words the vocabulary knows.

The tokenizer is built from `vocab.txt` alone.  It has no added tokens, so the literal text
`[CLS]` is three ordinary tokens, as in the C tokenizer; nothing is truncated or padded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

UNK = "[UNK]"
SPECIAL = frozenset(("[PAD]", UNK, "[CLS]", "[SEP]", "[MASK]"))
MAX_WORD_CHARS = 100

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def split_camel(text: str) -> str:
    """Return `text` with a space at every CamelCase border (ASCII letters and digits only)."""
    return _CAMEL.sub(" ", text)


def read_vocab(path: Path) -> list[str]:
    """Return the pieces of a BERT `vocab.txt` in id order."""
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


def is_row(piece: str) -> bool:
    """Tell whether a vocabulary piece gets a row: special and unused pieces do not."""
    return piece not in SPECIAL and not piece.startswith("[unused")


def table_order(vocab: list[str]) -> list[int]:
    """Return the vocabulary ids that get a row, sorted by the bytes of their piece."""
    ids = [i for i, piece in enumerate(vocab) if is_row(piece)]
    return sorted(ids, key=lambda i: vocab[i].encode("utf-8"))


class WordPieces:
    """Texts to row numbers of the table."""

    def __init__(self, vocab: list[str]) -> None:
        """Build the tokenizer for a vocabulary given in id order."""
        ids = {piece: i for i, piece in enumerate(vocab)}
        self.vocab = vocab
        self.unk = ids[UNK]
        self.order = table_order(vocab)
        self.row_of = {token: row for row, token in enumerate(self.order)}
        model = models.WordPiece(vocab=ids, unk_token=UNK, max_input_chars_per_word=MAX_WORD_CHARS)
        self._tokenizer = Tokenizer(model)
        self._tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    @property
    def n_rows(self) -> int:
        """Number of rows of the table."""
        return len(self.order)

    def token_ids(self, text: str) -> list[int]:
        """Return the vocabulary ids of a text, unknown words included."""
        return self._tokenizer.encode(split_camel(text), add_special_tokens=False).ids

    def rows(self, text: str) -> tuple[list[int], int]:
        """Return the row numbers of a text and how many unknown words were skipped."""
        ids = self.token_ids(text)
        found = [self.row_of[i] for i in ids if i != self.unk]
        return found, len(ids) - len(found)

    def many_rows(self, texts: Iterable[str], batch: int = 256) -> Iterator[list[int]]:
        """Yield the row numbers of each text, in order."""
        pending: list[str] = []
        for text in texts:
            pending.append(split_camel(text))
            if len(pending) == batch:
                yield from self._encode(pending)
                pending = []
        yield from self._encode(pending)

    def _encode(self, texts: list[str]) -> Iterator[list[int]]:
        """Yield the row numbers of texts that are split at CamelCase borders already."""
        for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False):
            yield [self.row_of[i] for i in encoding.ids if i != self.unk]
