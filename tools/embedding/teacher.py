"""The transformer's own vectors of public texts: what the rows are pulled towards while tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bert import Bert
from corpus import Corpus, prompt_text
from pairs import IsHeld, Kind
from tokenizer import WordPieces

F32 = npt.NDArray[np.float32]

MAX_TOKENS = 96
MAX_SENTENCES = 5_000
BATCH_TOKENS = 1024
SAVE_EVERY = 100


def texts_of(data: Corpus, kinds: list[Kind], held: IsHeld) -> list[tuple[str, str]]:
    """Return (group, text) of what the transformer reads: both sides of pairs, and all prose."""
    out: list[tuple[str, str]] = []
    for section in data.sections:
        if section.is_substantial() and not held(section.key):
            out.append((section.key, section.query))
    out += list(data.free_prose(held))
    for thread in data.threads:
        if not held(thread["id"]):
            posts = [thread["title"], thread["question"], thread["error_text"] or ""]
            posts += [a["text"] for a in thread["answers"]]
            out += [(thread["id"], post) for post in posts]
    out += [(p["id"], prompt_text(p)) for p in data.prompts if not held(p["id"])]
    for kind in kinds:
        if kind.name in ("sentence-rest", "docstring-dag"):
            pairs = zip(kind.groups, kind.queries, strict=True)
            out += list(pairs)[:MAX_SENTENCES]
    unique = {text: group for group, text in reversed(out) if len(text.split()) > 1}
    return [(group, text) for text, group in reversed(unique.items())]


def vectors(
    texts: list[str], model_file: Path, pieces: WordPieces, work: Path, say: Callable[[str], None]
) -> F32:
    """Return the transformer's unit vectors of texts cut at MAX_TOKENS.

    Finished vectors are kept in `work` by the hash of their text, so that a run that was stopped
    goes on where it was, and a changed list of texts costs only what is new.
    """
    cache_file = work / "teacher.npz"
    known: dict[str, F32] = {}
    if cache_file.exists():
        with np.load(cache_file) as cache:
            known = dict(zip(cache["keys"].tolist(), cache["vectors"], strict=True))
    keys = [hashlib.sha256(t.encode("utf-8")).hexdigest()[:24] for t in texts]
    missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
    if missing:
        _compute(missing, known, model_file, pieces, cache_file, say)
    return np.stack([known[k] for k in keys])


def _save(known: dict[str, F32], path: Path) -> None:
    """Write the cache in one step."""
    temporary = path.with_name("teacher-tmp.npz")
    np.savez(temporary, keys=np.array(list(known)), vectors=np.stack(list(known.values())))
    temporary.replace(path)


def _compute(
    missing: dict[str, str],
    known: dict[str, F32],
    model_file: Path,
    pieces: WordPieces,
    cache_file: Path,
    say: Callable[[str], None],
) -> None:
    """Run the transformer over texts in batches of equal length and add them to `known`."""
    bert = Bert(model_file)
    first, last = pieces.vocab.index("[CLS]"), pieces.vocab.index("[SEP]")
    by_length: dict[int, list[tuple[str, list[int]]]] = {}
    for key, text in missing.items():
        ids = [first, *pieces.token_ids(text)[: MAX_TOKENS - 2], last]
        by_length.setdefault(len(ids), []).append((key, ids))
    batches = []
    for length, members in sorted(by_length.items(), reverse=True):
        size = max(BATCH_TOKENS // length, 1)
        batches += [members[i : i + size] for i in range(0, len(members), size)]
    say(f"running the transformer over {len(missing)} texts, {len(batches)} batches")
    for number, batch in enumerate(batches, 1):
        states = bert.last_hidden_state(np.array([ids for _, ids in batch])).mean(axis=1)
        states /= np.linalg.norm(states, axis=1, keepdims=True)
        known.update(zip((key for key, _ in batch), states, strict=True))
        if number % SAVE_EVERY == 0 or number == len(batches):
            _save(known, cache_file)
            say(f"  batch {number} of {len(batches)}")
