#!/usr/bin/env python3
"""Texts to measure vectors with: chunks of about 90 words from folders of files, and questions.

    bench/texts.py ROWS.jsonl QUERIES.jsonl [--max N] [--questions FILE.jsonl:FIELD]... FOLDER|FILE.tar.gz...

Takes Markdown, reStructuredText, text, manual pages and the docstrings of Python files. Queries are
the headings of what was read, and the given field of the given files. Equal texts are kept once.
"""

import argparse
import gzip
import json
import random
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

WORDS = 90
DOCSTRING = re.compile(r'"""(.*?)"""', re.S)
COMMENT = re.compile(r"(?:^[ \t]*(?://|#)[^\n]*\n){3,}", re.M)
TEXT = {".md", ".rst", ".txt", ".html", ".adoc"}
CODE = {".py", ".go", ".h", ".c", ".rb", ".pl", ".pm"}


def texts_of(name: str, data: bytes) -> Iterator[str]:
    if name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError):
            return
        name = name[:-3]
    text = data.decode("utf8", "ignore")
    suffix = Path(name).suffix
    if suffix in CODE:
        yield from DOCSTRING.findall(text)
        yield from (re.sub(r"^[ \t]*(//|#)", "", c, flags=re.M) for c in COMMENT.findall(text))
    elif suffix in TEXT or re.fullmatch(r"\.[1-8]\w*", suffix):
        yield re.sub(r"^[.'](SH|SS|PP|TP|IP|LP|Sh|Ss|Pp)\b.*$", "\n", text, flags=re.M)


def files_of(root: str) -> Iterator[tuple[str, bytes]]:
    if root.endswith(".tar.gz"):
        with tarfile.open(root) as tar:
            for member in tar:
                handle = tar.extractfile(member) if member.isfile() and member.size < 3_000_000 else None
                if handle:
                    yield member.name, handle.read()
        return
    for path in sorted(Path(root).rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 3_000_000:
            if path.suffix in TEXT | CODE | {".gz"} or re.fullmatch(r"\.[1-8]\w*", path.suffix):
                yield path.name, path.read_bytes()


def chunks_of(text: str) -> Iterator[str]:
    current: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        current += paragraph.split()
        while len(current) > WORDS:
            yield " ".join(current[:WORDS])
            current = current[WORDS:]
        if len(current) > WORDS * 0.6:
            yield " ".join(current)
            current = []
    if current:
        yield " ".join(current)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows")
    parser.add_argument("queries")
    parser.add_argument("--max", type=int, default=100_000)
    parser.add_argument("--questions", action="append", default=[])
    parser.add_argument("sources", nargs="+")
    args = parser.parse_args()
    rows: dict[str, None] = {}
    queries: dict[str, None] = {}
    for source in args.questions:
        path, field = source.rsplit(":", 1)
        with open(path, encoding="utf8") as lines:
            queries.update((json.loads(line)[field], None) for line in lines)
    for source in args.sources:
        for name, data in files_of(source):
            for text in texts_of(name, data):
                for heading in re.findall(r"^#{1,4} +(.{12,90})$|^([A-Z].{12,80})\n[=~-]{8,}$", text, re.M):
                    queries[heading[0] or heading[1]] = None
                rows.update((chunk[:1200], None) for chunk in chunks_of(text) if len(chunk) >= 60)
        print(f"{source}: {len(rows)} texts, {len(queries)} queries")
    shuffled = random.Random(1)
    for path, texts, limit in ((args.rows, list(rows), args.max), (args.queries, list(queries), 10_000)):
        shuffled.shuffle(texts)
        with open(path, "w", encoding="utf8") as out:
            out.writelines(json.dumps({"text": text}) + "\n" for text in texts[:limit])


if __name__ == "__main__":
    main()
