#!/usr/bin/env python3
"""Draw a sample of folded pairs to read by hand: folds.py FOLDS.tsv CORPUS.jsonl [N]

FOLDS.tsv is what airlore-folds printed. Prints the number of groups, pairs and documents, and of at most N groups whose texts are not
equal byte for byte one pair with the words that differ.
"""

from __future__ import annotations

import difflib
import json
import random
import sys
from pathlib import Path

SEED = 6


def main() -> int:
    """Read, group, print."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    corpus = {row["id"]: row["text"] for row in map(json.loads, Path(sys.argv[2]).read_text().splitlines())}
    pairs = [p[2:4] for p in (line.split("\t") for line in Path(sys.argv[1]).read_text().splitlines()) if p[1] == "fold"]
    parent: dict[str, str] = {}

    def find(x: str) -> str:
        while parent.setdefault(x, x) != x:
            x = parent[x]
        return x

    for a, b in pairs:
        parent[find(a)] = find(b)
    groups: dict[str, list[list[str]]] = {}
    for a, b in pairs:
        if corpus[a] != corpus[b]:
            groups.setdefault(find(a), []).append([a, b])
    print(f"{len({find(a) for a, _ in pairs})} groups, {len(pairs)} pairs, {len(parent)} documents; {len(groups)} groups with texts that differ")
    rnd = random.Random(SEED)
    names = sorted(groups)
    for name in rnd.sample(names, min(int(sys.argv[3]) if len(sys.argv) > 3 else 30, len(names))):
        a, b = rnd.choice(groups[name])
        words = [w for w in difflib.ndiff(corpus[a].split(), corpus[b].split()) if w[0] in "+-"]
        print(f"{a}\n{b}\n    {' '.join(words)[:300]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
