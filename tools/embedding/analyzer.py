"""The text analyzer of the lexical leg, in Python: identifiers whole and split, English stems.

It follows the C analyzer for Latin text; CJK bigrams are not needed for the public tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import Stemmer

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)
_RAW = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_PIECE = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_NUMBER = re.compile(r"[\d.]+")
_STEMMER = Stemmer.Stemmer("english")


@lru_cache(maxsize=1 << 18)
def _terms(raw: str) -> tuple[str, ...]:
    """Return the terms of one raw token."""
    out = []
    if "." in raw and not _NUMBER.fullmatch(raw):
        out.append(raw.lower())
    for part in raw.split("."):
        pieces = _PIECE.findall(part)
        if len(pieces) > 1:
            out.append(part.lower())
        words = (p.lower() for p in pieces)
        out += [_STEMMER.stemWord(w) for w in words if w not in STOP_WORDS]
    return tuple(out)


def analyze(text: str) -> Iterator[str]:
    """Yield the terms of a text in order."""
    for match in _RAW.finditer(text):
        yield from _terms(match[0])
