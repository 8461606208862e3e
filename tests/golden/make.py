#!/usr/bin/env python3
"""Writes a golden data folder: what a release leaves on disk, kept so that every later one is tested on it.

make.py BIN_DIR FOLDER      FOLDER gets data.tar.xz and manifest.json; it must not hold them yet

Run once a release, with that release's binaries, into tests/golden/vN. A golden folder is never made anew: the
point of it is that its bytes are old. Its keys are of a server that no longer runs.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from server import Server  # noqa: E402

CONFIG = "shards: 2\n"
LIMIT_BYTES = 500_000
STRIPPED = ("LOCK", "LOG")  # of a machine and a moment, not of the format

SUBJECTS = [
    ("amber", "pool slots are exhausted and tasks wait in the queue"),
    ("basalt", "the sensor holds a worker slot until its file arrives"),
    ("cobalt", "the scheduler heartbeat is late under database load"),
    ("dahlia", "a backfill of past dates must be idempotent"),
    ("ember", "the Kubernetes pod cannot pull its image"),
    ("fjord", "zombie tasks are marked failed after missed heartbeats"),
    ("garnet", "an XCom is too large for the metadata database"),
    ("hazel", "the DAG bundle version is pinned to a commit"),
    ("indigo", "expand and contract migrations keep the schema compatible"),
    ("jasper", "a deferrable operator frees the worker while it waits"),
    ("kelp", "the connection URI has a percent sign in its password"),
    ("lotus", "task logs answer 403 from the worker's log server"),
]

FILES = {
    "notes/front-matter.md": "---\ntitle: Front matter of the harbour\nauthor: R. Quay\ndate: 2026-03-01\ntags: [harbour, tables]\n---\n"
    "# Tables\n\n| pool | slots |\n| --- | --- |\n| quayside | 16 |\n\n## Headings\n\nThe quayside pool has sixteen slots.\n",
    "notes/reference.rst": "Breakwater reference\n====================\n\nThe breakwater option\n---------------------\n\n.. code-block:: python\n\n    breakwater = True\n\nTurn the breakwater on when the scheduler is restarted.\n",
    "notes/page.html": "<html><head><title>Lighthouse page</title><style>p{color:red}</style></head><body><nav>menu</nav><h1>Lighthouse</h1><p>The lighthouse exporter writes metrics every minute.</p></body></html>",
    "dags/tide_dag.py": '"""Loads the tide tables."""\nfrom airflow.sdk import DAG, task\n\nwith DAG(dag_id="tide_tables", schedule="@daily"):\n\n    @task\n    def fetch_tide():\n        return "tide"\n\n    fetch_tide()\n',
    "notes/notebook.ipynb": json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Driftwood notebook\n", "Counts the driftwood rows."]},
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": ["rows = count('driftwood')"]}]}),
    "notes/korean.md": "# 실행기\n\n등대 실행기는 작업을 큐에 넣고 워커가 가져갑니다.\n",
    "notes/plain.txt": "Plain words about the mooring of a worker to its queue.\n",
}

# text, mode, whose key, the id that must come first
QUERIES = [(f"{word} {text}", "text", "admin", f"case/{word}-0") for word, text in SUBJECTS[:6]] + [
    (text, "vector", "admin", None) for _, text in SUBJECTS[6:10]] + [
    ("quayside pool slots", "hybrid", "admin", "notes/front-matter.md"),
    ("breakwater option scheduler", "hybrid", "admin", "notes/reference.rst"),
    ("lighthouse exporter metrics", "hybrid", "admin", "notes/page.html"),
    ("tide_tables fetch_tide", "hybrid", "admin", "dags/tide_dag.py"),
    ("driftwood notebook rows", "hybrid", "admin", "notes/notebook.ipynb"),
    ("등대 실행기", "text", "admin", "notes/korean.md"),
    ("mooring of a worker", "hybrid", "admin", "notes/plain.txt"),
    ("tail of the log, not sealed: narwhal", "text", "admin", "tail/0"),
    ("pilot boat skiff of the harbor team", "hybrid", "harbor", "harbor/0"),
    ("deployment notes ballast", "hybrid", "tide", "tide/0"),
]


def check(answer: tuple[int, list[Any], str]) -> Any:
    """The one document of a command that must work."""
    rc, docs, err = answer
    if rc != 0:
        raise SystemExit(f"make.py: exit {rc}: {docs} {err}")
    return docs[0] if docs else {}


def ingest(s: Server, rows: list[dict[str, Any]], *args: str, key: str | None = None) -> Any:
    """Rows as JSON lines."""
    path = s.root / "rows.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    return check(s.cli("ingest", str(path), *args, key=key))


def case(word: str, text: str, n: int, suffix: str = "") -> dict[str, Any]:
    """One of the many short documents."""
    return {"id": f"case/{word}-{n}", "title": f"{word.title()} case {n}", "kind": "playbook" if n % 2 else "doc", "tags": [word, "case"],
            "url": f"https://example.org/{word}/{n}", "metadata": {"airflow": ">=3.0" if n % 3 else ">=2.9,<3", "number": str(n)},
            "text": f"{word} {word if n == 0 else ''} case {n}: {text}. {suffix}"}


def fill(s: Server) -> dict[str, str]:
    """Everything that a data folder can hold today. Gives the keys by label."""
    keys = {"admin": s.key}
    check(s.cli("team", "create", "harbor"))
    keys["tide"] = check(s.cli("deployment", "create", "tide", "--team", "harbor", "--with-key"))["key"]
    for label, role in (("harbor", "contributor"), ("reader", "reader"), ("revoked", "reader")):
        made = check(s.cli("key", "create", "--team", "harbor", "--role", role, "--display-name", label))
        keys[label] = made["key"]
        name = made["id"].rsplit("/", 1)[-1]
        if label == "reader":
            check(s.cli("quota", "set", name, "--team", "harbor", "--calls-per-second", "50"))
        if label == "revoked":
            check(s.cli("key", "revoke", name, "--team", "harbor"))
    folder = s.root / "files"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    check(s.cli("ingest", str(folder)))
    ingest(s, [case(word, text, n) for word, text in SUBJECTS for n in range(5)])
    ingest(s, [{"id": "thread/1", "question": "Why is the capstan task queued?", "answers": ["Its pool has no free slot.", {"text": "Raise the slots of the capstan pool."}], "link": "https://example.org/t/1"}])
    ingest(s, [{"id": f"harbor/{i}", "text": f"pilot boat {i} of the harbor team waits for {['skiff', 'barge', 'ferry', 'tug'][i]}"} for i in range(4)], key=keys["harbor"])
    ingest(s, [{"id": "tide/0", "text": "deployment notes: ballast of the tide deployment"}], key=keys["tide"])
    ingest(s, [{"id": "bytes/ü %20 \"q\"", "text": "an id that comes back byte for byte"}])
    for ident in ("case/amber-0", "case/ember-2"):
        digest = check(s.cli("promote", ident, "--preview"))["digest"]
        check(s.cli("promote", ident, "--confirm", digest))
    check(s.cli("cluster", "compact"))  # what is there now is sealed
    s.stop()
    s.start()  # so that the store has tables as well as a log of its own
    check(s.cli("withdraw", "case/ember-2"))
    ingest(s, [case(word, text, 1, "Changed after it was sealed.") for word, text in SUBJECTS[:4]])
    check(s.cli("delete", "case/kelp-1", "case/kelp-2"))
    check(s.cli("delete", "--filter", 'id = "case/lotus-*" AND kind = "playbook"', "--yes"))
    ingest(s, [{"id": f"tail/{i}", "text": f"tail of the log, not sealed: narwhal {i}"} for i in range(6)])
    check(s.cli("cluster", "verify", "--deep"))
    return keys


def item_of(s: Server, key: str, listed: dict[str, Any]) -> dict[str, Any]:
    """What must be the same of an item for ever."""
    got = check(s.cli("get", listed["id"], "--space", listed["space"], key=key))
    kept = {name: got[name] for name in ("id", "space", "scope", "kind", "title", "url", "tags", "metadata", "chunk_count", "create_time", "content_checksum")}
    return {**kept, "sha256": hashlib.sha256(got["text"].encode()).hexdigest()}


def answers(s: Server, keys: dict[str, str]) -> list[dict[str, Any]]:
    """The queries with what they find, exactly: nothing approximate stands in a manifest."""
    out = []
    for text, mode, who, first in QUERIES:
        got = check(s.cli("search", text, "--mode", mode, "-k", "5", "--exact", "--exact-statistics", key=keys[who]))
        hits = [{"id": h["id"], "score": h["score"]} for h in got["hits"]]
        if not hits or (first and hits[0]["id"] != first):
            raise SystemExit(f"make.py: '{text}' finds {hits}, not {first} first")
        out.append({"text": text, "mode": mode, "key": who, "hits": hits})
    return out


def describe(s: Server, keys: dict[str, str]) -> dict[str, Any]:
    """The manifest: all that a later release has to answer alike."""
    listed = {who: check(s.cli("list", "--limit", "0", key=keys[who]))["items"] for who in ("admin", "harbor", "tide")}
    return {
        "version": check(s.cli("info")).get("version", ""),
        "config": CONFIG,
        "keys": {who: {"key": key, "whoami": check(s.cli("whoami", key=key)) if who != "revoked" else None} for who, key in keys.items()},
        "items": {who: [item_of(s, keys[who], i) for i in items] for who, items in listed.items()},
        "absent": ["case/kelp-1", "case/kelp-2", "case/lotus-1", "case/lotus-3", "team-none/none"],
        "teams": [{k: t[k] for k in ("name", "create_time", "pseudonym")} for t in check(s.cli("team", "list"))["teams"]],
        "deployments": [d["name"] for d in check(s.cli("deployment", "list", "--team", "harbor"))["deployments"]],
        "quota": check(s.cli("quota", "get", key=keys["reader"]))["quota"],
        "jobs": [{k: j[k] for k in ("name", "type", "state", "create_time", "result")} for j in check(s.cli("jobs", "list"))["jobs"]],
        "queries": answers(s, keys),
    }


def pack(data: Path, to: Path) -> None:
    """The folder as it lies on disk, less the files that say nothing about the format."""
    with tarfile.open(to, "w:xz", preset=9) as tar:
        for path in sorted(data.rglob("*")):
            name = path.name
            if name in STRIPPED or name.startswith("LOG.old"):
                continue
            info = tar.gettarinfo(path, str(path.relative_to(data)))
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            tar.addfile(info, io.BytesIO(path.read_bytes()) if path.is_file() else None)


def main() -> int:
    """Make it."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    if (out / "data.tar.xz").exists():
        sys.exit(f"make.py: {out} holds a golden folder already; those are never made anew")
    s = Server(sys.argv[1], CONFIG)
    try:
        s.start()
        keys = fill(s)
        manifest = describe(s, keys)
        s.kill()  # as a crash leaves it: the log of the store is not empty
        pack(s.data, out / "data.tar.xz")
        (out / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    finally:
        s.close()
    size = (out / "data.tar.xz").stat().st_size
    print(f"{out}: {size} bytes, {sum(len(i) for i in manifest['items'].values())} items, {len(manifest['queries'])} queries")
    return 0 if size < LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
