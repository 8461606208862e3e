#!/usr/bin/env python3
"""Make the corpus of `make bench`: Markdown documents and questions, the same bytes for the same seed, no outside data.

  corpus.py OUT [--docs 4000] [--queries 500] [--seed 1]      makes OUT/docs/*/*.md and OUT/queries.jsonl
  corpus.py OUT --data DIR [--queries 500]                    makes OUT/queries.jsonl from the headings and texts in DIR

Words come with the frequencies of a language (rank to the power of -1), in topics: a document draws a third of its words from
its topic, a question takes words of one document, so that both legs have something to find.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
DOMAIN = (
    "dag task operator sensor hook pool queue worker scheduler executor retry backfill schedule trigger dataset asset "
    "connection variable xcom provider postgres mysql snowflake spark kubernetes celery redis broker metadata database "
    "migration upgrade timeout deferrable reschedule slot concurrency parallelism zombie heartbeat log traceback import "
    "module secret backend webserver api token role permission template macro jinja partition bucket s3 bigquery dbt "
    "bundle version plugin listener lineage alert sla callback branch skip mapped taskgroup setup teardown"
).split()
CLASSES = ("PythonOperator", "BashOperator", "SQLExecuteQueryOperator", "KubernetesPodOperator", "S3KeySensor",
           "ExternalTaskSensor", "PostgresHook", "HttpOperator", "TriggerDagRunOperator", "BranchPythonOperator")
STOP = "the of to a in is and that it for on with as this by when from or if not are be can an then which".split()
SUFFIXES = {".md", ".rst", ".txt", ".html"}
TEXT_BYTES_MAX = 200_000


def make_words(rnd: random.Random, n: int) -> list[str]:
    """n different made-up words; the domain's own come in between."""
    words: list[str] = []
    seen = set(DOMAIN) | set(STOP)
    while len(words) < n:
        word = "".join(rnd.choice(SYLLABLES) for _ in range(rnd.randint(2, 4)))
        if word not in seen:
            seen.add(word)
            words.append(word)
    return words


class Language:
    """Words with their weights: common ones, the domain's, and those of topics."""

    def __init__(self, rnd: random.Random, n_topics: int) -> None:
        self.rnd = rnd
        common = STOP + DOMAIN + make_words(rnd, 3000)
        self.common = common
        self.weights = [1 / (i + 3) for i in range(len(common))]
        rare = make_words(rnd, n_topics * 40)
        self.topics = [rare[i * 40 : (i + 1) * 40] + rnd.sample(DOMAIN, 6) for i in range(n_topics)]

    def words(self, topic: list[str], n: int) -> list[str]:
        """n words of a document of that topic."""
        out = self.rnd.choices(self.common, self.weights, k=n)
        for i in range(n):
            if self.rnd.random() < 0.33:
                out[i] = topic[min(int(self.rnd.expovariate(0.12)), len(topic) - 1)]
        return out

    def sentence(self, topic: list[str]) -> str:
        """One sentence."""
        text = " ".join(self.words(topic, self.rnd.randint(6, 18)))
        if self.rnd.random() < 0.12:
            text += f" with `{self.rnd.choice(CLASSES)}`"
        return text.capitalize() + "."

    def document(self, topic: list[str]) -> str:
        """A document of two to six sections, now and then with code and a list."""
        rnd = self.rnd
        parts = [f"# {' '.join(self.words(topic, 4)).capitalize()}"]
        for _ in range(rnd.randint(2, 6)):
            parts.append(f"## {' '.join(self.words(topic, 3)).capitalize()}")
            for _ in range(rnd.randint(1, 3)):
                parts.append(" ".join(self.sentence(topic) for _ in range(rnd.randint(2, 5))))
            if rnd.random() < 0.2:
                name = rnd.choice(topic)
                parts.append(f"```python\n{name} = {rnd.choice(CLASSES)}(task_id=\"{name}\", retries={rnd.randint(0, 5)})\n```")
            if rnd.random() < 0.2:
                parts.append("\n".join(f"- {self.sentence(topic)}" for _ in range(rnd.randint(2, 5))))
        return "\n\n".join(parts) + "\n"


def pick_question(rnd: random.Random, words: list[str]) -> str:
    """A question of three to seven words of a document, in their order."""
    n = min(len(words), rnd.randint(3, 7))
    at = sorted(rnd.sample(range(len(words)), n))
    return " ".join(words[i] for i in at)


def content_words(text: str) -> list[str]:
    """The words of a text that say something."""
    return [w for w in re.findall(r"[\w]{3,40}", text.lower()) if w not in STOP][:400]


def generate(out: Path, n_docs: int, rnd: random.Random) -> Iterator[str]:
    """Write the documents; gives their texts."""
    language = Language(rnd, max(10, n_docs // 25))
    for i in range(n_docs):
        text = language.document(rnd.choice(language.topics))
        path = out / "docs" / f"{i // 100:03d}" / f"note-{i:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        yield text


def existing(folder: Path) -> Iterator[str]:
    """The texts in a folder, in the order of their paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink():
            with open(path, encoding="utf-8", errors="replace") as file:
                yield file.read(TEXT_BYTES_MAX)


def main() -> None:
    """Read the options and make it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--docs", type=int, default=4000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    rnd = random.Random(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    bags = [words for text in (existing(args.data) if args.data else generate(args.out, args.docs, rnd))
            if len(words := content_words(text)) >= 3]
    if not bags:
        raise SystemExit("corpus: no text found")
    with open(args.out / "queries.jsonl", "w", encoding="utf-8") as file:
        for i in range(args.queries):
            file.write(json.dumps({"id": f"q{i}", "text": pick_question(rnd, rnd.choice(bags))}, ensure_ascii=False) + "\n")
    print(f"corpus: {len(bags)} documents, {args.queries} questions in {args.out}")


if __name__ == "__main__":
    main()
