#!/usr/bin/env python3
"""The disk fills up while items are stored: a clear error, reads go on, writes come back with the space, nothing acknowledged is lost.

diskfull_test.py BIN_DIR      last line: N passed, N failed. Needs the right to mount a small file system.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import wire
from checks import Checks, Skip, arguments, lines, memory_mb, running, wait_for
from server import Server

SIZE_MB = 96
FULL = ("DISK_FULL", "QUOTA_EXCEEDED")


def mount(place: Path) -> None:
    """A small disk, or Skip."""
    place.mkdir()
    if os.geteuid() != 0:
        raise Skip("root, to mount a small file system")
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "none", str(place)], capture_output=True, check=False)
    if p.returncode:
        raise Skip("the right to mount a small file system")


def rows(start: int, n: int) -> list[dict[str, str]]:
    """Items that do not compress well."""
    r = random.Random(start)
    return [{"id": f"full-{i}", "text": f"item {i} about the disk " + " ".join(f"{r.randrange(1 << 40):x}" for _ in range(400))} for i in range(start, start + n)]


def fill(place: Path, leave: int) -> Path:
    """A file that leaves so many bytes."""
    path = place / "filler"
    free = os.statvfs(place)
    with open(path, "ab") as f:
        for _ in range(max(0, (free.f_bavail * free.f_frsize - leave) // 65536)):
            f.write(bytes(65536))
    return path


def store(s: Server, start: int, n: int) -> tuple[list[str], wire.Answer, bytes]:
    """Store on the wire; gives the acknowledged ids, how it ended, and what was said."""
    items = rows(start, n)
    with wire.Connection(s.grpc, s.key, timeout=60) as w:
        w.open(wire.KNOWLEDGE + "Ingest")
        w.send(wire.message(wire.field(1, b"")))
        for i in range(0, n, 20):
            w.send(wire.message(wire.field(3, b"".join(wire.field(1, wire.field(1, x["id"]) + wire.field(2, x["text"])) for x in items[i : i + 20]))))
        w.send(wire.message(wire.field(5, b"")), end=True)
        a = w.finish()
    said = b"".join(a.messages)
    return stored_ids(said, items), a, said


def stored_ids(said: bytes, items: list[dict[str, str]]) -> list[str]:
    """The ids whose result says inserted, updated or skipped: id (field 2), then outcome (field 3) 1 to 3."""
    out = []
    for x in items:
        mark = wire.field(2, x["id"]) + b"\x18"
        at = said.find(mark)
        if at >= 0 and said[at + len(mark)] in (1, 2, 3):
            out.append(x["id"])
    return out


def there(s: Server, ids: list[str]) -> list[str]:
    """Those of the ids that are missing."""
    with wire.Connection(s.grpc, s.key) as w:
        return [x for x in ids if w.call(wire.KNOWLEDGE + "GetItem", wire.field(1, x)).code != "OK"]


def until_full(c: Checks, s: Server, start: int) -> list[str]:
    """Store until it is refused; gives what was acknowledged."""
    acknowledged: list[str] = []
    for i in range(60):
        ids, a, said = store(s, start + i * 200, 200)
        acknowledged += ids
        if a.code != "OK" or len(ids) < 200:
            ok = a.reason in FULL or any(f.encode() in said for f in FULL)
            c.that(f"full after {len(acknowledged)} items: {a.code} {a.reason}", ok, (a, said[-300:]))
            return acknowledged
    c.that("the disk is full at last", False, len(acknowledged))
    return acknowledged


def reads(c: Checks, s: Server, ids: list[str], when: str) -> None:
    """What can still be done without space."""
    c.that(f"{when}: the server runs", running(s), s.log_tail())
    c.that(f"{when}: all {len(ids)} acknowledged items are there", not (gone := there(s, ids)), gone[:5])
    rc, d, e = s.cli("search", "item about the disk", "-k", "3")
    c.that(f"{when}: search", rc == 0 and d[0]["hits"], (rc, d, e))
    rc, d, e = s.cli("list", "--limit", "3")
    c.that(f"{when}: list", rc == 0 and len(d[0]["items"]) == 3, (rc, e))


def refuses(c: Checks, s: Server, when: str) -> None:
    """The command line says why, and no more is stored."""
    rc, d, e = s.cli("ingest", lines(s, "more.jsonl", rows(900_000, 3)))
    said = e + str(d)
    c.that(f"{when}: ingest fails with a reason, exit {rc}", rc in (1, 5) and any(f in said for f in FULL), (rc, d, e))
    rc, d, e = s.cli("team", "create", "full-team")
    c.that(f"{when}: a team cannot be made, or is, exit {rc}", rc == 0 or rc in (1, 5) and any(f in e for f in FULL), (rc, d, e))


def main() -> int:
    """The whole test."""
    bin_dir, _ = arguments()
    c = Checks()
    s = Server(bin_dir, "shard:\n  min_free: 16MiB\n  seal_rows: 1000\n")
    place = s.root / "disk"
    try:
        mount(place)
        s.data = place / "data"
        s.start()
        ids = until_full(c, s, 0)
        c.that(f"{len(ids)} items fitted", len(ids) >= 200)
        reads(c, s, ids, "below the reserve")
        refuses(c, s, "below the reserve")
        filler = fill(place, 0)
        reads(c, s, ids, "no byte left")
        refuses(c, s, "no byte left")
        rc, d, e = s.cli("cluster", "verify")
        c.that("no byte left: verify runs or says why it cannot", rc == 0 or any(f in e + str(d) for f in FULL), (rc, d, e))
        rc, d, e = s.cli("cluster", "compact")
        c.that("no byte left: compact runs or says why it cannot", rc == 0 or any(f in e + str(d) for f in FULL), (rc, d, e))
        s.kill()
        try:
            s.start()
            reads(c, s, ids, "killed and started with a full disk")
        except AssertionError as e:
            c.that("with a full disk the start says why it fails", "DISK_FULL" in str(e) or "space" in str(e), e)
            if s.process:
                s.process.wait(30)
        filler.unlink()
        for old in list(place.glob("filler*")):
            old.unlink()
        subprocess.run(["mount", "-o", f"remount,size={SIZE_MB * 4}m", str(place)], check=True)
        if not running(s):
            s.start()
        ok = wait_for(lambda: len(store(s, 500_000, 20)[0]) == 20, 15)
        if not ok:
            c.that("with space again writes work without a restart", False, s.log_tail())
            s.stop()
            s.start()
            ok = wait_for(lambda: len(store(s, 500_000, 20)[0]) == 20, 15)
        c.that("with space again writes work", ok, s.log_tail())
        more, a, _ = store(s, 600_000, 200)
        c.that("and go on working", len(more) == 200, a)
        ids += more
        rc, d, e = s.cli("cluster", "compact")
        c.that("compact", rc == 0, (rc, d, e))
        rc, d, e = s.cli("cluster", "verify", "--deep")
        c.that("verify is green", rc == 0, (rc, d, e))
        reads(c, s, ids, "with space again")
        c.that(f"memory {memory_mb(s, 'VmHWM'):.0f} MB at most", memory_mb(s, "VmHWM") < 800)
        c.that("SIGTERM: exit 0", s.stop() == 0, s.log_tail())
        s.start()
        reads(c, s, ids, "after a restart")
    except Skip as e:
        c.skip("a full disk", str(e))
        print(f"0 passed, 0 failed, {c.skipped} skipped")
        return 77
    except Exception as e:
        c.that("the test runs to its end", False, f"{type(e).__name__}: {e}: {s.log_tail()[-600:]}")
    finally:
        if s.process and running(s):
            s.kill()
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)
        s.close()
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
