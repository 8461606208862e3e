#!/usr/bin/env python3
"""Texts for airlore-bench-text, one a line.

  text_corpus.py chunks N FOLDER...    N chunks of at most 600 characters of the files below the folders, in an order
                                       that a seed gives; all there are when there are fewer
  text_corpus.py short N FOLDER...     N short texts, each of one to three sentences of one of these files

Files: md, rst, txt, py, jsonl (its longer strings), and tar.gz of these. The same folders give the same bytes.
"""

import json
import os
import random
import re
import sys
import tarfile

MAX_CHARS = 600
SEED = 20261129
ENDINGS = (".md", ".rst", ".txt", ".py", ".jsonl")


def strings(value):
    """All longer strings of a JSON value."""
    if isinstance(value, str):
        if len(value) >= 40:
            yield value
    elif isinstance(value, (list, dict)):
        for part in value if isinstance(value, list) else value.values():
            yield from strings(part)


def texts_of(name, data):
    text = data.decode("utf-8", "replace")
    if not name.endswith(".jsonl"):
        yield text
        return
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        yield from strings(value)


def documents(roots):
    for root in roots:
        for folder, folders, names in sorted(os.walk(root)):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.endswith(".tar.gz"):
                    with tarfile.open(path) as tar:
                        for member in sorted(tar.getmembers(), key=lambda m: m.name):
                            if member.isfile() and member.name.endswith(ENDINGS):
                                yield from texts_of(member.name, tar.extractfile(member).read())
                elif name.endswith(ENDINGS) and os.path.isfile(path):
                    with open(path, "rb") as f:
                        yield from texts_of(name, f.read())


def one_line(text):
    return re.sub(r"\s+", " ", text).strip()


def chunks_of(text):
    """Paragraphs, packed up to MAX_CHARS; longer ones cut at spaces."""
    have = ""
    for paragraph in re.split(r"\n\s*\n", text):
        rest = one_line(paragraph)
        while rest:
            if len(have) + len(rest) < MAX_CHARS:
                have = f"{have} {rest}".strip()
                break
            if have:
                yield have
                have = ""
                continue
            cut = rest.rfind(" ", 0, MAX_CHARS)
            cut = cut if cut > 0 else MAX_CHARS
            yield rest[:cut]
            rest = rest[cut:].strip()
    if have:
        yield have


def write_chunks(n, roots):
    seen = set()
    for text in documents(roots):
        for chunk in chunks_of(text):
            if len(chunk) >= 80:
                seen.add(chunk)
    found = sorted(seen)
    random.Random(SEED).shuffle(found)
    sys.stdout.write("".join(f"{chunk}\n" for chunk in found[:n]))
    return min(n, len(found))


def write_short(n, roots):
    pools = []
    for text in documents(roots):
        sentences = [s for s in (one_line(x) for x in re.split(r"(?<=[.!?:])\s|\n\s*\n", text)) if 20 <= len(s) <= 200]
        if len(sentences) >= 3:
            pools.append(sentences)
    rng = random.Random(SEED)
    sizes = [len(p) for p in pools]
    for pool in rng.choices(pools, weights=sizes, k=n):
        print(" ".join(rng.choice(pool) for _ in range(rng.randint(1, 3))))
    return n


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("chunks", "short"):
        print(__doc__, file=sys.stderr)
        return 2
    n = (write_chunks if sys.argv[1] == "chunks" else write_short)(int(sys.argv[2]), sys.argv[3:])
    print(f"{n} texts", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
