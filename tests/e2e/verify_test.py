"""Verify as an operator meets it: damage planted in a segment's file is found, listed in pages, and repaired while the server serves.

Usage: verify_test.py BIN_DIR
"""

from __future__ import annotations

import json
import sys

import wire
from checks import Checks, run_parts
from server import Server

ADMIN = "/airlore.v1.AdminService/"


def must(s: Server, *args: str) -> dict:
    """A call that must succeed."""
    rc, docs, err = s.cli(*args)
    assert rc == 0, (args, docs, err)
    return docs[0]


def fill(s: Server) -> None:
    """Documents of several chunks, sealed."""
    text = "\n\n".join(f"# Part {i}\n\n" + f"The scheduler of part {i} waits for its pool and then runs the task. " * 12 for i in range(4))
    lines = "".join(json.dumps({"id": f"d{i}", "text": text + f" number {i}"}) + "\n" for i in range(60))
    rc, docs, err = s.cli("ingest", "-", stdin=lines)
    assert rc == 0, (docs, err)
    must(s, "cluster", "compact")


def segments_are_shown(c: Checks, s: Server) -> None:
    """cluster shards --segments; compact and verify of single shards."""
    fill(s)
    shards = must(s, "cluster", "shards", "--segments")["shards"]
    rows = [int(g["rows"]) - int(g.get("deleted_rows", 0)) for x in shards for g in x["segments"]]
    c.that("segments of each shard are shown", len(shards) == 2 and all(x["segments"] for x in shards) and sum(rows) >= 120, shards)
    rc, docs, err = s.cli("cluster", "verify", "--shard", "1")
    c.that("one shard can be verified", rc == 0, (rc, docs, err))
    rc, docs, err = s.cli("cluster", "compact", "--shard", "0")
    c.that("one shard can be compacted", rc == 0, (rc, docs, err))
    rc, docs, err = s.cli("cluster", "verify", "--shard", "9")
    c.that("one that is not there cannot", "SHARD_NOT_FOUND" in err, (rc, docs, err))


def result(s: Server, which: str) -> int:
    """A figure of the newest job."""
    job = must(s, "jobs", "list", "--type", "verify")["jobs"][0]
    return int(job["result"].get(which, -1))


def damage(c: Checks, s: Server) -> None:
    """A byte of a segment's file turned over."""
    rc, docs, err = s.cli("cluster", "verify", "--deep")
    c.that("deep finds nothing before", rc == 0, (rc, docs, err))
    c.that("and has embedded texts again", result(s, "texts_embedded_again") == 60, docs)
    files = sorted(s.data.glob("**/segments/*"), key=lambda p: p.stat().st_size)
    with open(files[-1], "r+b") as f:
        f.seek(files[-1].stat().st_size // 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 0x10]))
    rc, docs, err = s.cli("cluster", "verify", "--deep")
    c.that("deep finds the damage", rc == 1 and "on disk" in json.dumps(docs), (rc, docs, err))
    rc, docs, err = s.cli("cluster", "verify", "--repair")
    c.that("repair repairs it", rc == 0, (rc, docs, err))
    c.that("by building that segment anew", result(s, "segments_rebuilt") == 1 and result(s, "problems") == 0 and result(s, "repaired") >= 1, docs)
    job = must(s, "jobs", "list", "--type", "verify")["jobs"][0]["name"]
    page = wire.call(s.grpc, s.key, ADMIN + "ListVerifyFindings", wire.field(1, job) + wire.field(2, 1))
    c.that("findings come in pages", page.code == "OK" and page.messages[0].count(b"DATA_CORRUPT") == 1 and page.messages[0].endswith(b"\x12\x011"), page.messages)
    c.that("a finding says that it was repaired", b"\x38\x01" in page.messages[0], page.messages)
    rest = wire.call(s.grpc, s.key, ADMIN + "ListVerifyFindings", wire.field(1, job) + wire.field(3, "1"))
    c.that("the file is named", rest.code == "OK" and b"\x1a\x04file" in page.messages[0] + rest.messages[0], rest.messages)
    rc, docs, err = s.cli("cluster", "verify", "--deep")
    c.that("deep finds nothing after", rc == 0, (rc, docs, err))
    rc, docs, err = s.cli("search", "the scheduler waits for its pool")
    c.that("and searches go on", rc == 0 and docs[0]["hits"], (rc, docs, err))
    c.that("a restart is green", s.stop() == 0)
    s.start()
    rc, docs, err = s.cli("cluster", "verify", "--deep")
    c.that("also after it", rc == 0, (rc, docs, err))


def readers(c: Checks, s: Server) -> None:
    """A reader's status counts what it may see."""
    must(s, "team", "create", "red")
    key = must(s, "key", "create", "--team", "red", "--role", "contributor")["key"]
    rc, docs, err = s.cli("ingest", "-", key=key, stdin='{"id":"one","text":"what red knows"}\n')
    assert rc == 0, (docs, err)
    rc, docs, err = s.cli("cluster", "status", key=key)
    c.that("health, and one item", rc == 0 and docs[0]["health"] == "green" and int(docs[0]["items"]) == 1, (rc, docs, err))
    c.that("no disk figures", int(docs[0].get("disk_used_bytes", 0)) == 0, docs)
    whole = must(s, "cluster", "status")
    c.that("the server's admin sees all", int(whole["items"]) == 61 and int(whole["disk_used_bytes"]) > 0, whole)
    rc, docs, err = s.cli("cluster", "shards", key=key)
    c.that("shards count what it sees", sum(int(x["items"]) for x in docs[0]["shards"]) == 1, docs)


if __name__ == "__main__":
    sys.exit(run_parts([segments_are_shown, damage, readers], Server(sys.argv[1], config="shards: 2\n"), sys.argv[2:]))
