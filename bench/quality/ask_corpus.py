#!/usr/bin/env python3
"""Make the corpora that `ask` is measured on: ask_corpus.py DATA_DIR OUT_DIR

DATA_DIR holds airflow-docs.tar.gz, qubinode-docs.tar.gz and so-threads.jsonl. OUT_DIR gets two folders with a corpus.jsonl
{id, title, text, format, kind, airflow}:
  field     the documentation, the threads with their answers (as `airlore ingest` reads them), and examples/knowledge
  examples  examples/knowledge alone
Generated change logs and include-only pieces are left out.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT_OUT = ("commits.rst", "changelog.rst", "security.rst", "installing-providers-from-sources.rst")
Row = dict[str, str]


def examples() -> Iterator[Row]:
    """The example knowledge; its front matter is read by the server."""
    base = ROOT / "examples" / "knowledge"
    for path in sorted(base.glob("*/*.md")):
        yield {"id": str(path.relative_to(base)), "title": "", "text": path.read_text(), "format": "md"}


def documentation(data: Path) -> Iterator[Row]:
    """Files of the documentation archives."""
    for name in ("airflow-docs", "qubinode-docs"):
        with tarfile.open(data / f"{name}.tar.gz") as archive:
            for member in sorted(archive.getmembers(), key=lambda m: m.name):
                file = archive.extractfile(member)
                if not file or member.name.endswith(LEFT_OUT) or "/CHANGELOG" in member.name or "_partials" in member.name:
                    continue
                text = file.read().decode("utf-8", "replace")
                if text.strip():
                    yield {"id": f"{name[:-5]}/{member.name}", "title": "", "text": text, "format": "md" if member.name.endswith(".md") else "rst"}


def threads(data: Path) -> Iterator[Row]:
    """Threads as the command line stores them."""
    for line in (data / "so-threads.jsonl").read_text().splitlines():
        t = json.loads(line)
        text = t["question"] + "".join(f"\n\nAnswer:\n\n{a['text']}" for a in t["answers"])
        yield {"id": t["id"], "title": t["title"], "text": text, "format": "txt", "kind": "thread"}


def write(folder: Path, rows: Iterator[Row]) -> None:
    """One corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.jsonl").open("w") as file:
        n = sum(file.write(json.dumps(row) + "\n") > 0 for row in rows)
    print(f"{folder}: {n} documents")


def main() -> int:
    """Read the options, write."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    data, out = Path(sys.argv[1]), Path(sys.argv[2])

    def field() -> Iterator[Row]:
        yield from documentation(data)
        yield from threads(data)
        yield from examples()

    write(out / "field", field())
    write(out / "examples", examples())
    return 0


if __name__ == "__main__":
    sys.exit(main())
