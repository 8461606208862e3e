#!/usr/bin/env python3
"""Compare the chunkers: chunkers.py OUT DOCS.tar.gz ... [--bin DIR] [--half public|heldout] [--gold FILE.jsonl]

Cuts the md and rst files of the archives with every chunker and writes a task OUT/C-NAME for each, to be run by bench/quality/run.sh: the
question is the path of headings of a section, the answer every chunk that holds at least half of the section, or lies at least by half in it.
Headings are taken out of the chunks. Sections and questions are the same for all chunkers; they are those that the reader finds.

--gold FILE.jsonl {"id","question","answer_facts":[..]}: instead, ask a server about each question with each chunker and print how many words of
the facts the answers have. It starts a server of its own for each chunker.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parents[2]
CHUNKERS = ("document", "fixed", "recursive", "semantic")
LEFT_OUT = ("commits.rst", "changelog.rst", "security.rst", "installing-providers-from-sources.rst")


def documents(archives: list[Path]) -> Iterator[tuple[str, str]]:
    """Path and text of every page; generated change logs and the like aside."""
    for archive in archives:
        name = archive.name.split(".")[0]
        with tarfile.open(archive) as t:
            for m in sorted(t.getmembers(), key=lambda m: m.name):
                if not m.isfile() or not m.name.endswith((".md", ".rst")) or os.path.basename(m.name) in LEFT_OUT:
                    continue
                if "/CHANGELOG" in m.name or "_partials" in m.name:
                    continue
                f = t.extractfile(m)
                assert f
                yield f"{name}/{m.name}", f.read().decode("utf-8", "replace")


def cut(bin_dir: Path, chunker: str, rows: bytes) -> list[dict[str, Any]]:
    """All documents through airlore-cut."""
    p = subprocess.run([str(bin_dir / "airlore-cut"), chunker], input=rows, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in p.stdout.splitlines()]


def half_of(key: str) -> str:
    """Which half a question is in, by the hash of its id."""
    return "public" if hashlib.sha1(("20261120" + key).encode()).digest()[0] & 1 else "heldout"


def questions(docs: list[dict[str, Any]], half: str) -> list[tuple[str, str, str, int, int]]:
    """(id, text, document, start, end) of the sections that are long enough and whose path is the only one of its kind."""
    seen: dict[str, int] = {}
    out = []
    for d in docs:
        body = d["body"].encode()
        for i, (_, text, path) in enumerate(d["sections"]):
            end = d["sections"][i + 1][0] if i + 1 < len(d["sections"]) else len(body)
            if len(body[text:end].strip()) < 200:
                continue
            words = " ".join(dict.fromkeys(path.split(" > ")))
            if len(words.split()) < 2:
                continue
            out.append((f"{d['id']}@{i}", words, d["id"], text, end))
            seen[words] = seen.get(words, 0) + 1
    return sorted(q for q in out if seen[q[1]] == 1 and half_of(q[0]) == half)


def without_headings(d: dict[str, Any], start: int, end: int) -> str:
    """The text of a chunk, the lines of headings aside."""
    body = d["body"].encode()
    parts, at = [], start
    for s, text, _ in d["sections"]:
        if text <= start or s >= end:
            continue
        parts.append(body[at:max(at, s)])
        at = min(end, max(at, text))
    parts.append(body[at:end])
    return b"".join(parts).decode("utf-8", "replace").strip()


def write_task(folder: Path, docs: list[dict[str, Any]], asked: list[tuple[str, str, str, int, int]]) -> str:
    """corpus, queries and judgements of one chunker; gives a line about it."""
    folder.mkdir(parents=True, exist_ok=True)
    n, size = 0, 0
    with (folder / "corpus.jsonl").open("w") as f:
        for d in docs:
            for i, (start, end) in enumerate(d["chunks"]):
                text = without_headings(d, start, end)
                if text:
                    f.write(json.dumps({"id": f"{d['id']}#{i}", "title": "", "text": text}) + "\n")
                    n, size = n + 1, size + len(text)
    by_id = {d["id"]: d for d in docs}
    judged = 0
    with (folder / "queries.jsonl").open("w") as q, (folder / "qrels.tsv").open("w") as r:
        for qid, words, doc, a, b in asked:
            d = by_id[doc]
            right = []
            for i, (start, end) in enumerate(d["chunks"]):
                both = min(b, end) - max(a, start)
                if both > 0 and (2 * both >= b - a or 2 * both >= end - start) and without_headings(d, start, end):
                    right.append(f"{doc}#{i}")
            if not right:
                right = [f"{doc}#none"]  # no chunk holds it: never found, and that counts
            q.write(json.dumps({"id": qid, "text": words}) + "\n")
            for x in right:
                r.write(f"{qid}\t{x}\t1\n")
            judged += len(right)
    return f"{folder.name}: {n} chunks of {size // max(n, 1)} characters, {len(asked)} questions, {judged} judgements"


def build(args: argparse.Namespace) -> int:
    """The four tasks."""
    rows = b"".join(json.dumps({"id": p, "text": t}).encode() + b"\n" for p, t in documents(args.docs) if "\0" not in t)
    asked: list[tuple[str, str, str, int, int]] = []
    for chunker in CHUNKERS:
        docs = cut(args.bin, chunker, rows)
        asked = asked or questions(docs, args.half)
        print(write_task(args.out / f"C-{chunker}", docs, asked), flush=True)
    return 0


def words_of(text: str) -> set[str]:
    """Words that say something."""
    return {w for w in re.findall(r"[a-z0-9_]+", text.lower()) if len(w) > 2}


def ask_with(args: argparse.Namespace, chunker: str, rows: Path, gold: list[dict[str, Any]]) -> str:
    """A row of the table: a server of its own, all documents, all questions."""
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    from server import Server  # noqa: PLC0415

    s = Server(str(args.bin))
    try:
        s.start()
        rc, docs, err = s.cli("ingest", "--chunker", chunker, str(rows), timeout=3600)
        if rc != 0 and not docs:
            raise SystemExit(f"chunkers: ingest: {err}")
        answered, full, recall = 0, 0, []
        for g in gold:
            rc, answer, err = s.cli("ask", g["question"])
            text = answer[0]["answer"] if answer and not answer[0]["abstained"] else ""
            answered += bool(text)
            have = words_of(text)
            shares = [len(words_of(x) & have) / max(len(words_of(x)), 1) for x in g["answer_facts"]]
            recall.append(sum(shares) / len(shares))
            full += sum(x >= 0.6 for x in shares) / len(shares)
        n = len(gold)
        return f"| {chunker} | {docs[0]['chunks']} | {answered} of {n} | {sum(recall) / n:.3f} | {full / n:.3f} |"
    finally:
        s.close()


def ask(args: argparse.Namespace) -> int:
    """The table about `ask`."""
    gold = [json.loads(line) for line in args.gold.read_text().splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as d:
        rows = Path(d) / "docs.jsonl"
        with rows.open("w") as f:
            for path, text in documents(args.docs):
                f.write(json.dumps({"id": path, "text": text}) + "\n")
        print("| chunker | chunks | answered | words of the facts in the answer | facts with 60 % of their words |\n| --- | --- | --- | --- | --- |")
        for chunker in CHUNKERS:
            print(ask_with(args, chunker, rows, gold), flush=True)
    return 0


def main() -> int:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("docs", type=Path, nargs="+")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--half", default="public", choices=("public", "heldout"))
    parser.add_argument("--gold", type=Path)
    args = parser.parse_args()
    return ask(args) if args.gold else build(args)


if __name__ == "__main__":
    sys.exit(main())
