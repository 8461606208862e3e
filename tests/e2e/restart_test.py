#!/usr/bin/env python3
"""Killed in the middle of work, files damaged while it was down: everything is there again, or it is said what is missing.

restart_test.py BIN_DIR [PART ...]      last line: N passed, N failed
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import wire
from checks import Checks, arguments, lines, metrics, running, wait_for
from server import Server

CONFIG = "shard:\n  seal_rows: 500\n  merge_factor: 4\n"
ITEMS = 3000
WORDS = "lease shard pool sensor trigger executor backfill queue worker slot ledger export broker heartbeat zombie".split()
QUESTIONS = ["lease of the shard", "sensor waits for the pool", "executor queue", "zombie heartbeat", "record 77", "word1234 ledger"]


def fresh(c: Checks, bin_dir: str, n: int = ITEMS) -> Server:
    """A server with items, some of them replaced and some deleted, and sealed segments."""
    s = Server(bin_dir, CONFIG)
    s.start()
    r = random.Random(7)
    rows = [{"id": f"r{i}", "title": f"Record {i}", "text": f"record {i} word{i} " + " ".join(r.choices(WORDS, k=20)), "kind": "doc"} for i in range(n)]
    rc, d, e = s.cli("ingest", lines(s, "r.jsonl", rows))
    c.that(f"{n} items", rc == 0 and d[0]["inserted"] == n, (rc, d, e))
    again = [{**x, "text": x["text"] + " changed"} for x in rows[: n // 10]]
    rc, d, e = s.cli("ingest", lines(s, "again.jsonl", again))
    rc2, d2, e2 = s.cli("delete", "--filter", 'id = "r99*"', "--yes")
    c.that("some replaced, some deleted", rc == 0 and d[0]["updated"] == n // 10 and rc2 == 0, (rc, d, e, rc2, d2, e2))
    wait_for(lambda: metrics(s).get('airlore_shard_segments{shard="0"}', 0) > 1, 20)
    return s


def results(s: Server) -> list[Any]:
    """What searches say, to be the same later: ids and scores of all legs."""
    out: list[Any] = []
    for q in QUESTIONS:
        for mode in ("hybrid", "text", "vector"):
            rc, d, e = s.cli("search", q, "--mode", mode, "-k", "20", "--exact", "--exact-statistics")
            out.append([(h["id"], round(h["score"], 4)) for h in d[0]["hits"]] if rc == 0 else (rc, e))
    return out


def counted(s: Server) -> tuple[int, list[str]]:
    """Items as listed, and those of a sample that cannot be read."""
    rc, d, e = s.cli("list", "--limit", "0")
    ids = [x["id"] for x in d[0]["items"]] if rc == 0 else []
    with wire.Connection(s.grpc, s.key) as w:
        lost = [x for x in ids[::7] if w.call(wire.KNOWLEDGE + "GetItem", wire.field(1, x)).code != "OK"]
    return len(ids), lost + ([f"list: {rc} {e}"] if rc else [])


def segments(s: Server) -> list[Path]:
    """The sealed segment files, the largest first."""
    return sorted((s.data / "shards").glob("*/segments/*.seg"), key=lambda p: -p.stat().st_size)


def same(c: Checks, s: Server, want: tuple[list[Any], tuple[int, list[str]]], after: str) -> None:
    """All is as it was."""
    now = results(s), counted(s)
    c.that(f"{after}: {now[1][0]} items, all readable", now[1] == want[1] and not now[1][1], (now[1], want[1]))
    differ = [(a, b) for a, b in zip(now[0], want[0]) if a != b]
    c.that(f"{after}: the same search results", not differ, differ[:1])
    rc, d, e = s.cli("cluster", "verify", "--deep")
    c.that(f"{after}: verify is green", rc == 0, (rc, d, e))


def flip(path: Path, at: float, n: int = 64) -> None:
    """Other bytes in the middle of a file."""
    size = path.stat().st_size
    with open(path, "r+b") as f:
        f.seek(int(size * at))
        old = f.read(n)
        f.seek(int(size * at))
        f.write(bytes(b ^ 0x5A for b in old))


def killed(c: Checks, bin_dir: str) -> None:
    """kill -9 while jobs run and items come in; then a second daemon on the same data."""
    s = fresh(c, bin_dir)
    try:
        want = results(s), counted(s)
        for wait_s in (0.0, 0.03, 0.1, 0.25):
            jobs = [subprocess.Popen([str(s.bin / "airlore"), "--server", s.grpc, "--key", s.key, "--json", "cluster", what], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=s.env)
                    for what in ("compact", "verify")]
            time.sleep(wait_s + 0.02)
            s.kill()
            for p in jobs:
                p.wait(60)
            began = time.monotonic()
            s.start()
            took = time.monotonic() - began
            rc, d, e = s.cli("cluster", "verify")
            c.that(f"killed {wait_s * 1000:.0f} ms into the jobs: ready in {took:.2f} s, verify is green", rc == 0 and took < 30, (rc, d, e))
        same(c, s, want, "after four kills")
        rc, d, e = s.cli("jobs", "list")
        left = [j for j in d[0]["jobs"] if j["state"] in ("running", "queued")] if rc == 0 else [e]
        c.that("no job is left hanging", not left or wait_for(lambda: not [j for j in s.cli("jobs", "list")[1][0]["jobs"] if j["state"] in ("running", "queued")], 30), left)
        p = subprocess.run([str(s.bin / "airlored"), "--data", str(s.data), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"], capture_output=True, text=True, timeout=60, env=s.env, check=False)
        c.that("a second daemon on the same data is refused, and says by whom it is used", p.returncode == 1 and not p.stdout and "in use" in p.stderr, (p.returncode, p.stdout, p.stderr))
        c.that("the first one does not mind", s.cli("get", "r1")[0] == 0)
        c.that("SIGTERM: exit 0", s.stop() == 0)
    finally:
        s.close()


def segment_damage(c: Checks, bin_dir: str) -> None:
    """A sealed segment is flipped, cut, emptied, deleted, exchanged, or has a stranger beside it: rebuilt."""
    s = fresh(c, bin_dir)
    try:
        want = results(s), counted(s)

        def exchange(p: Path) -> None:
            others = [x for x in segments(s) if x != p]
            if others:
                shutil.copy(others[0], p)

        damages: list[tuple[str, Callable[[Path], object]]] = [
            ("flipped in the middle", lambda p: flip(p, 0.5)), ("flipped at the beginning", lambda p: flip(p, 0.0)), ("flipped in the footer", lambda p: flip(p, 0.999, 8)),
            ("cut in half", lambda p: os.truncate(p, p.stat().st_size // 2)), ("emptied", lambda p: os.truncate(p, 0)), ("deleted", lambda p: p.unlink()),
            ("another segment's content", exchange), ("longer than it was", lambda p: open(p, "ab").write(b"x" * 5000)),
        ]
        for name, harm in damages:
            c.that(f"{name}: SIGTERM", s.stop() == 0)
            found = segments(s)
            if not c.that(f"{name}: there is a segment", found, list(s.data.rglob("*"))):
                return
            harm(found[0])
            size = (s.root / "log").stat().st_size
            s.start()
            log = (s.root / "log").read_text()[size:]
            now = counted(s)
            c.that(f"{name}: all {now[0]} items are there", now == want[1], (now, want[1]))
            c.that(f"{name}: the log says so", "segment" in log, log[-500:])
            rc, d, e = s.cli("cluster", "verify", "--deep")
            c.that(f"{name}: verify is green", rc == 0, (rc, d, e))
        same(c, s, want, "after all that")
        s.stop()
        folder = segments(s)[0].parent
        (folder / "0-99-0123456789abcdef.seg").write_bytes(b"a stranger")
        (folder / "half.tmp").write_bytes(b"left over")
        for p in segments(s):
            if p.name != "0-99-0123456789abcdef.seg":
                p.unlink()
        s.start()
        same(c, s, want, "all segments deleted, strangers in the folder")
    finally:
        s.close()


def store_damage(c: Checks, bin_dir: str) -> None:
    """A file of the store itself is damaged: no start, or read only, and it is said; never a silent loss."""
    s = fresh(c, bin_dir, 1500)
    keep = s.root / "whole"
    try:
        s.kill()  # leaves a write-ahead log
        s.start()  # which is now in tables
        total, _ = counted(s)
        s.stop()
        shutil.copytree(s.data, keep)
        store = next((s.data / "shards").glob("*/store"))
        tables = sorted(store.glob("*.sst"), key=lambda p: -p.stat().st_size)
        if not c.that("there is a table", tables, list(store.iterdir())):
            return
        r = random.Random(11)
        harms: list[tuple[str, Callable[[Path], object]]] = [
            ("flipped in many places", lambda p: [flip(p, r.uniform(0.01, 0.9), 16) for _ in range(60)]), ("cut", lambda p: os.truncate(p, p.stat().st_size // 2)),
            ("deleted", lambda p: p.unlink()), ("emptied", lambda p: os.truncate(p, 0))]
        for i, table in enumerate(tables[:4]):
            name, harm = harms[i % len(harms)]
            shutil.rmtree(s.data)
            shutil.copytree(keep, s.data)
            harm(store / table.name)
            damaged(c, s, f"table {i} {name}", total)
        for name, file in (("CURRENT deleted", "CURRENT"), ("MANIFEST flipped", "MANIFEST*")):
            shutil.rmtree(s.data)
            shutil.copytree(keep, s.data)
            path = next(iter(sorted(store.glob(file))))
            if file == "CURRENT":
                path.unlink()
            else:
                flip(path, 0.3, 200)
            damaged(c, s, name, total)
        shutil.rmtree(s.data)
        shutil.copytree(keep, s.data)
        shutil.rmtree(store)
        damaged(c, s, "the store deleted", total)
        shutil.rmtree(s.data)
        shutil.copytree(keep, s.data)
        s.start()
        rc, d, e = s.cli("cluster", "verify", "--deep")
        c.that("the copy from before is whole", rc == 0 and counted(s)[0] == total, (rc, d, e))
        s.stop()
        (s.data / "format").write_text("airlore-data 99\nshards 1\n")
        try:
            s.start()
            c.that("data of a newer format is refused", False)
        except AssertionError as e:
            c.that("data of a newer format is refused, and it is said", "format" in str(e) and "Traceback" not in str(e), e)
    finally:
        s.close()


def damaged(c: Checks, s: Server, name: str, total: int) -> None:
    """Start on damaged data and look: refused with a reason, or read only, or verify is red; never fewer items and all green."""
    try:
        s.start()
    except AssertionError as e:
        said = str(e)
        assert s.process
        rc = s.process.wait(60)
        c.that(f"{name}: the start is refused clearly, exit {rc}", rc == 1 and any(w in said for w in ("DATA_LOSS", "DATA_CORRUPT", "STORE", "orrupt", "damaged", "missing")), said[-700:])
        return
    try:
        listed, lost = counted(s)
        rc, d, e = s.cli("cluster", "verify", "--deep")
        said = json.dumps(d) + e
        red = rc != 0
        rc2, d2, e2 = s.cli("ingest", lines(s, "after.jsonl", [{"id": "after-damage", "text": "written after the damage"}]))
        refused = rc2 != 0 and any(w in json.dumps(d2) + e2 for w in ("STORE_READ_ONLY", "DATA_CORRUPT"))
        whole = listed == total and not lost
        print(f"      {name}: {listed} of {total} listed, {len(lost)} unreadable, verify exit {rc}, write exit {rc2}: {(e or said)[:200]}")
        c.that(f"{name}: no silent loss", whole or red, (listed, total, lost[:3], rc, said[:500]))
        c.that(f"{name}: writes are refused while it is damaged", refused or (whole and not red), (rc2, d2, e2, said[:300]))
        c.that(f"{name}: the server stays", running(s), s.log_tail())
    finally:
        if running(s):
            s.stop()


def main() -> int:
    """The parts, each with its own server."""
    bin_dir, only = arguments()
    c = Checks()
    for part in (killed, segment_damage, store_damage):
        if not only or part.__name__ in only:
            c.part(part, c, bin_dir)
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
