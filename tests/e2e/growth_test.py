#!/usr/bin/env python3
"""Nothing grows with uptime: memory, files, threads and disk stay where they are while the same work is done again and again.

growth_test.py BIN_DIR      last line: N passed, N failed
"""

from __future__ import annotations

import os
import sys
import time

import wire
from checks import Checks, arguments, descriptors, lines, memory_mb, sanitized, threads, wait_for
from server import Server

SEARCHES = 3000
CYCLES = 30
ITEMS = 150
MEMORY_MB = 25.0  # between the second and the third third
DISK_MB = 40.0


def disk_mb(s: Server) -> float:
    """Size of the data folder."""
    total = 0
    for folder, _, names in os.walk(s.data):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total / (1 << 20)


def measure(s: Server) -> tuple[float, int, int, float]:
    """Memory, files, threads, disk, when the background has come to rest."""
    last = -1.0
    for _ in range(10):
        now = memory_mb(s)
        if abs(now - last) < 0.5:
            break
        last = now
        time.sleep(0.2)
    return memory_mb(s), descriptors(s), threads(s), disk_mb(s)


def searches(c: Checks, s: Server, n: int, start: int) -> None:
    """Different words, modes and filters, on connections that come and go."""
    bad = []
    for i in range(start, start + n, 100):
        with wire.Connection(s.grpc, s.key) as w:
            for j in range(i, i + 100):
                body = wire.search(f"item {j % 977} about the lease of shard {j % 31} word{j}", 1 + j % 20, 'kind = "doc"' if j % 3 else "") + wire.field(4, 1 + j % 3)
                a = w.call(wire.KNOWLEDGE + ("Ask" if j % 50 == 0 else "Search"), wire.field(1, "what about the lease?") if j % 50 == 0 else body)
                if a.code != "OK":
                    bad.append(a)
    if bad:
        c.that("every search is answered", False, bad[:2])


def cycle(c: Checks, s: Server, n: int) -> None:
    """Store, replace, delete."""
    for version in (1, 2):
        rows = [{"id": f"c{i}", "text": f"cycle {n} version {version} of item {i} about the lease and word{n}x{i} " * 3} for i in range(ITEMS)]
        rc, d, e = s.cli("ingest", lines(s, "cycle.jsonl", rows))
        if rc or d[0]["inserted"] + d[0]["updated"] != ITEMS:
            c.that(f"cycle {n}", False, (rc, d, e))
    rc, d, e = s.cli("delete", "--filter", 'id = "c*"', "--yes")
    if rc or d[0]["count"] != ITEMS:
        c.that(f"cycle {n}: delete", False, (rc, d, e))


def main() -> int:
    """The whole test."""
    bin_dir, _ = arguments()
    c, s = Checks(), Server(bin_dir, "shard:\n  seal_rows: 500\n  merge_factor: 4\n")
    try:
        s.start()
        rc, d, e = s.cli("ingest", lines(s, "base.jsonl", [{"id": f"b{i}", "text": f"item {i} about the lease of shard {i % 31}", "kind": "doc"} for i in range(1000)]))
        c.that("1,000 items", rc == 0, (rc, d, e))
        seen = []
        for third in range(3):
            searches(c, s, SEARCHES // 3, third * SEARCHES // 3)
            for n in range(CYCLES // 3):
                cycle(c, s, third * CYCLES // 3 + n)
            s.cli("cluster", "compact")
            seen.append(measure(s))
            print(f"      after third {third + 1}: {seen[-1][0]:.1f} MB, {seen[-1][1]} files, {seen[-1][2]} threads, {seen[-1][3]:.1f} MB on disk", flush=True)
        if not sanitized(s):
            c.that("memory does not grow", seen[2][0] - seen[1][0] < MEMORY_MB, seen)
        wait_for(lambda: descriptors(s) <= seen[1][1] + 8 and threads(s) <= seen[1][2] + 4, 10)
        c.that("files do not grow", descriptors(s) - seen[1][1] <= 8, seen)
        c.that("threads do not grow", threads(s) - seen[1][2] <= 4, seen)
        c.that("the disk does not grow", seen[2][3] - seen[1][3] < DISK_MB, seen)
        rc, d, e = s.cli("cluster", "verify", "--deep")
        c.that("verify is green and 1,000 items are left", rc == 0 and d[0]["job"]["result"]["documents"] == "1000", (rc, d, e))
    except Exception as e:
        c.that("the test runs to its end", False, f"{type(e).__name__}: {e}")
    finally:
        s.close()
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
