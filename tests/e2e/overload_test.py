#!/usr/bin/env python3
"""Ten times more work than fits: every call is answered or refused with a reason, nothing acknowledged is lost, and then all is as before.

overload_test.py BIN_DIR [PART ...]      last line: N passed, N failed
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time

import wire
from checks import Checks, arguments, descriptors, lines, memory_mb, metrics, running, sanitized, threads, wait_for
from server import Server

CONFIG = """rpc:
  pool_threads: 2
  pool_queue: 16
  streams: 8
  calls: 64
"""
CLIENTS = 64
SECONDS = 8.0
REFUSED = {"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
BATCH = wire.field(1, wire.field(1, "q") + wire.field(2, wire.search("sensor waits for the worker slot of the pool", 20))) * 64


def median_ms(s: Server, n: int = 60) -> float:
    """Latency of a search on one connection."""
    took = []
    with wire.Connection(s.grpc, s.key) as w:
        for _ in range(n):
            began = time.monotonic()
            w.call(wire.KNOWLEDGE + "Search", wire.search("sensor pool", 5))
            took.append(time.monotonic() - began)
    return statistics.median(took) * 1000


class Client(threading.Thread):
    """Calls without a pause until the time is up."""

    def __init__(self, s: Server, number: int, until: float) -> None:
        super().__init__()
        self.s, self.number, self.until = s, number, until
        self.answers: dict[tuple[str, str], int] = {}
        self.odd: list[object] = []
        self.acknowledged: list[str] = []

    def note(self, code: str, reason: str, seen: object) -> None:
        """Count an answer."""
        self.answers[code, reason] = self.answers.get((code, reason), 0) + 1
        if code != "OK" and code not in REFUSED or code == "RESOURCE_EXHAUSTED" and not reason:
            self.odd.append(seen)

    def run(self) -> None:
        """Batches; every fourth client stores."""
        n = 0
        while time.monotonic() < self.until:
            try:
                with wire.Connection(self.s.grpc, self.s.key, timeout=60) as w:
                    while time.monotonic() < self.until:
                        n += 1
                        a = self.store(w, n) if self.number % 4 == 0 else w.call(wire.KNOWLEDGE + "BatchSearch", BATCH)
                        self.note(a.code, a.reason, a)
            except (OSError, ConnectionError) as e:
                self.note("connection", type(e).__name__, f"{type(e).__name__}: {e}")

    def store(self, w: wire.Connection, n: int) -> wire.Answer:
        """One ingest stream with 20 items."""
        ids = [f"load-{self.number}-{n}-{i}" for i in range(20)]
        items = b"".join(wire.field(1, wire.field(1, x) + wire.field(2, f"item {x} under load")) for x in ids)
        w.open(wire.KNOWLEDGE + "Ingest")
        w.send(wire.message(wire.field(1, b"")) + wire.message(wire.field(3, items)) + wire.message(wire.field(5, b"")), end=True)
        a = w.finish()
        if a.code == "OK":
            self.acknowledged += ids
        return a


def storm(c: Checks, s: Server) -> list[str]:
    """All clients at once, with the command line among them; gives the ids that were acknowledged."""
    until = time.monotonic() + SECONDS
    clients = [Client(s, i, until) for i in range(CLIENTS)]
    rows = lines(s, "queries.jsonl", [{"id": str(i), "text": f"sensor {i} waits for the pool"} for i in range(256)])
    stored = lines(s, "stored.jsonl", [{"id": f"cli-{i}", "text": f"item {i} of a command under load"} for i in range(500)])
    base = [str(s.bin / "airlore"), "--server", s.grpc, "--key", s.key, "--json"]
    for t in clients:
        t.start()
    commands = [subprocess.Popen([*base, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=s.env)
                for args in [["search", "--batch", rows]] * 4 + [["ingest", stored], ["ask", "what waits for the pool?"]]]
    done = []
    for p in commands:
        out, err = p.communicate(timeout=80)
        done.append((p.args[6:8], p.returncode, out, err))
    for t in clients:
        t.join(80)
    c.that("every client ended", not any(t.is_alive() for t in clients))
    total: dict[tuple[str, str], int] = {}
    for t in clients:
        for what, n in t.answers.items():
            total[what] = total.get(what, 0) + n
    odd = [x for t in clients for x in t.odd]
    print(f"      {sorted(total.items(), key=lambda x: -x[1])}")
    c.that(f"{sum(total.values())} calls: each is answered, or refused with a reason", not odd, odd[:3])
    answered, refused = total.get(("OK", ""), 0), sum(n for (code, _), n in total.items() if code == "RESOURCE_EXHAUSTED")
    c.that(f"{answered} were answered meanwhile", answered > 20, total)
    c.that(f"{refused} were refused", refused > 20, total)
    for args, rc, out, err in done:
        c.that(f"airlore {args[0]}: exit {rc}", rc == 0 or (rc in (1, 4, 5, 6) and err.strip() + out.strip()), (args, rc, err[-300:]))
    said = json.loads(done[4][2]) if done[4][2].strip() else {"inserted": 0}
    ids = [x for t in clients for x in t.acknowledged]
    page = metrics(s)
    if said["inserted"]:
        ids += [f"cli-{i}" for i in range(500)] if said["inserted"] == 500 else []
    c.that("the refusals are counted", any(v for n, v in page.items() if n.startswith("airlore_calls_total") and "EXHAUSTED" in n) or
           any(v for n, v in page.items() if n.startswith("airlore_pool_refused")), page)
    return ids


def afterwards(c: Checks, s: Server, ids: list[str], before: tuple[float, int, int]) -> None:
    """As before, and nothing lost."""
    missing = []
    with wire.Connection(s.grpc, s.key) as w:
        for x in ids[:: max(1, len(ids) // 800)]:
            if w.call(wire.KNOWLEDGE + "GetItem", wire.field(1, x)).code != "OK":
                missing.append(x)
    c.that(f"{len(ids)} items were acknowledged, all that were looked for are there", ids and not missing, missing[:5])
    wait_for(lambda: metrics(s).get('airlore_shard_growing_rows{shard="0"}', 0) == 0, 3)
    now = median_ms(s)
    c.that(f"a search takes {before[0]:.1f} ms before and {now:.1f} ms after", now < before[0] * 4 + 10, now)
    back = wait_for(lambda: descriptors(s) <= before[1] + 20 and threads(s) <= before[2] + 20)
    c.that(f"files {before[1]} -> {descriptors(s)}, threads {before[2]} -> {threads(s)}", back)
    if not sanitized(s):
        c.that(f"memory {memory_mb(s):.0f} MB, at most {memory_mb(s, 'VmHWM'):.0f}", memory_mb(s, "VmHWM") < 900 and memory_mb(s) < 600)
    rc, d, e = s.cli("cluster", "verify", "--deep")
    c.that("verify is green", rc == 0, (rc, d, e))
    for pool in ("al-rpc-pool", "al-rpc-str"):
        c.that(f"nothing waits in {pool}", metrics(s).get(f'airlore_pool_queue_length{{pool="{pool}"}}') == 0)
    c.that("the same process", running(s))


def main() -> int:
    """The whole test."""
    bin_dir, _ = arguments()
    c, s = Checks(), Server(bin_dir, CONFIG)
    try:
        s.start()
        rows = [{"id": f"o{i}", "title": f"Sensor {i}", "text": f"The sensor {i} waits for the worker slot of the pool number {i % 17}. " * 3} for i in range(2000)]
        rc, d, e = s.cli("ingest", lines(s, "o.jsonl", rows))
        c.that("2,000 items", rc == 0 and d[0]["inserted"] == 2000, (rc, d, e))
        before = (median_ms(s), descriptors(s), threads(s))
        ids = storm(c, s)
        afterwards(c, s, ids, before)
        rc = s.stop()
        c.that("SIGTERM: exit 0", rc == 0, (rc, s.log_tail()))
    except Exception as e:
        c.that("the test runs to its end", False, f"{type(e).__name__}: {e}")
    finally:
        s.close()
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
