#!/usr/bin/env python3
"""`make bench`: measure a server of its own on a corpus, write JSON, print a table. Nothing is asserted about time.

  run.py [--bin build/release/bin] [--docs 4000] [--data DIR] [--queries 500] [-n 2000] [--out FILE.json]

CPU figures are of the server's process alone (its CPU clock, all threads), each the least of three rounds; wall-clock figures
share the machine's cores with the client that loads it. "added" is what a call costs beyond the same search in process, on the
very same data folder.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
READY = re.compile(r"ready grpc=(\S+) http=(\S+)")
READY_SECONDS = 120
SETTLE_SECONDS = 120
ROUNDS = 3
TARGETS = {"unary": 20.0, "batch": 6.0, "idle_mb": 100.0}
SUFFIXES = {".md", ".rst", ".txt", ".html", ".htm", ".py", ".ipynb"}
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Server:
    """One airlored on free ports with its own data folder."""

    def __init__(self, binaries: Path, home: Path) -> None:
        self.binaries, self.home, self.data = binaries, home, home / "data"
        self.process: subprocess.Popen[str] | None = None
        self.grpc = ""

    def start(self) -> float:
        """Start it; gives the seconds until it said that it is ready."""
        began = time.monotonic()
        with open(self.home / "airlored.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.binaries / "airlored", "--data", self.data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**ENV, "XDG_STATE_HOME": str(self.home / "state")})
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
        line = self.process.stdout.readline() if readable else ""
        took = time.monotonic() - began
        found = READY.match(line)
        if not found:
            log_end = (self.home / "airlored.log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"bench: the server did not get ready: '{line.strip()}'\n{log_end}")
        self.grpc = found[1]
        return took

    def stop(self) -> float:
        """End it; gives the seconds that took."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        if code != 0:
            say(f"the server ended with {code}")
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    @property
    def key(self) -> str:
        """Its admin key."""
        return (self.data / "admin.key").read_text().strip()

    def rss_mb(self) -> float:
        """Its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]

    def private_mb(self) -> float:
        """The part of it that no file can give back (anonymous pages)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]

    def cpu_s(self) -> float:
        """CPU seconds it has used, from its process clock (the clock id of a process, as clock_getcpuclockid makes it)."""
        return time.clock_gettime_ns(~self.pid << 3 | 2) / 1e9

    def settle(self) -> float:
        """Wait until background work is done: less than 2 % of a core over a second. Gives the seconds waited."""
        began = time.monotonic()
        while time.monotonic() - began < SETTLE_SECONDS:
            before = self.cpu_s()
            time.sleep(1)
            if self.cpu_s() - before < 0.02:
                break
        return time.monotonic() - began


def run_json(command: list[Any]) -> dict[str, Any]:
    """Run a program that prints one JSON document."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=ENV)
    if done.returncode != 0:
        raise SystemExit(f"bench: {Path(str(command[0])).name} {command[1]}: exit {done.returncode}\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def best(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The run that cost least of a few: what other programs do to caches and clocks only ever adds."""
    runs = [measure() for _ in range(ROUNDS)]
    row = min(runs, key=lambda r: r["cpu_us_per_query"])
    return {**row, "cpu_us_of_all_rounds": [round(r["cpu_us_per_query"], 2) for r in runs]}


def machine() -> dict[str, Any]:
    """What it runs on."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory[1]) / 2**20, 1) if memory else 0,
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


def commit() -> str:
    """The commit measured, with "-dirty" when the tree differs."""
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True,
                          check=False, env=env)
    return done.stdout.strip() or "unknown"


def folder_size(folder: Path) -> tuple[int, int]:
    """Files that the command line takes, and their bytes."""
    sizes = [p.stat().st_size for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
    return len(sizes), sum(sizes)


class Bench:
    """The measurements in their order; each adds to self.figures."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        self.args = args
        self.bench = args.bin / "airlore-bench"
        self.server = Server(args.bin, work)
        self.work = work
        self.docs = args.data or work / "corpus" / "docs"
        self.queries = work / "corpus" / "queries.jsonl"
        self.figures: dict[str, Any] = {}

    def load(self, command: str, *options: Any) -> dict[str, Any]:
        """One run of airlore-bench against the running server."""
        return run_json([self.bench, command, "--server", self.server.grpc, "--key", self.server.key, "--pid", self.server.pid,
                         "--queries", self.queries, "-n", self.args.n, *options])

    def corpus(self) -> None:
        """Make documents and questions."""
        command = [sys.executable, HERE / "corpus.py", self.work / "corpus", "--docs", self.args.docs, "--queries",
                   self.args.queries, *(["--data", self.args.data] if self.args.data else [])]
        subprocess.run([str(c) for c in command], check=True, stdout=sys.stderr)

    def echo(self) -> None:
        """The floor: lib/rpc alone."""
        n = self.args.n * 5
        for name, extra in (("echo", []), ("echo_pool", ["--pool"]), ("echo_one", ["--inflight", 1])):
            command = [self.bench, "echo", "--queries", self.queries, "-n", n, *extra]
            self.figures[name] = best(lambda command=command: run_json(command))  # type: ignore[misc]

    def idle(self) -> None:
        """An empty server that does nothing for 10 seconds."""
        self.figures["start_empty_s"] = self.server.start()
        self.server.settle()
        before = self.server.cpu_s()
        time.sleep(10)
        self.figures["idle"] = {"rss_mb": self.server.rss_mb(), "private_mb": self.server.private_mb(),
                                "cpu_percent": (self.server.cpu_s() - before) * 10}

    def ingest(self) -> None:
        """The folder through the command line, end to end; then once more, unchanged."""
        files, size = folder_size(self.docs)
        for name in ("ingest", "ingest_again"):
            cpu, began = self.server.cpu_s(), time.monotonic()
            summary = run_json([self.args.bin / "airlore", "--json", "--server", self.server.grpc, "--key", self.server.key, "ingest",
                                self.docs])
            took, used = time.monotonic() - began, self.server.cpu_s() - cpu
            self.figures[name] = {
                "files": files, "bytes": size, "seconds": took, "docs_per_s": files / took, "mb_per_s": size / took / 1e6,
                "server_cpu_s": used, "server_cpu_ms_per_doc": used / files * 1e3,
                "summary": {k: v for k, v in summary.items() if isinstance(v, int)}}
        settled = self.server.settle()
        self.figures["ingest"]["settled_after_s"] = settled
        self.figures["loaded"] = {"rss_mb": self.server.rss_mb(), "private_mb": self.server.private_mb()}

    def search(self) -> None:
        """The same searches in process, then over gRPC. In process the server is stopped, so its restart is measured, too."""
        self.figures["stop_s"] = self.server.stop()
        command = [self.bench, "search-inprocess", "--data", self.server.data, "--queries", self.queries, "-n", self.args.n]
        self.figures["inprocess"] = best(lambda: run_json(command))
        self.figures["restart_s"] = self.server.start()
        self.figures["restarted"] = {"rss_mb": self.server.rss_mb(), "private_mb": self.server.private_mb()}
        self.figures["whoami"] = best(lambda: self.load("rpc-whoami"))
        for name, what, options in (
            ("unary_1", "rpc-unary", ["--inflight", 1]),
            ("unary_8", "rpc-unary", ["--inflight", 8]),
            ("batch_1", "rpc-batch", ["--inflight", 1, "--batch", 16]),
            ("batch_4", "rpc-batch", ["--inflight", 4, "--batch", 16]),
        ):
            row = best(lambda what=what, options=options: self.load(what, *options))  # type: ignore[misc]
            base = self.figures["inprocess"]["cpu_us_per_query"]
            row["added_cpu_us"] = row["cpu_us_per_query"] - base
            row["ratio_to_inprocess"] = row["cpu_us_per_query"] / base
            self.figures[name] = row

    def growth(self) -> None:
        """Memory after each of three rounds of searches; it should not keep growing."""
        rounds = []
        for _ in range(3):
            self.load("rpc-unary", "--inflight", 8, "-n", 2000, "--warmup", 0)
            rounds.append({"rss_mb": self.server.rss_mb(), "private_mb": self.server.private_mb()})
        self.figures["growth"] = {"rounds": rounds, "last_round_mb": rounds[2]["private_mb"] - rounds[1]["private_mb"]}

    def all(self) -> None:
        """Everything."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("making the corpus", self.corpus), ("an empty echo", self.echo), ("idle for 10 s", self.idle), ("ingest", self.ingest),
            ("searches", self.search), ("growth", self.growth)]
        try:
            for what, step in steps:
                say(what)
                step()
        finally:
            self.server.stop()


def table(f: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures as rows: what, measured, aim."""
    rows: list[tuple[str, str, str]] = []

    def calls(title: str, r: dict[str, Any], aim: str = "") -> None:
        added = f", added {r['added_cpu_us']:+.1f} us = {r['ratio_to_inprocess']:.2f} x" if "added_cpu_us" in r else ""
        rows.append((title, f"{r['qps']:9,.0f} /s  p50 {r['p50_us']:8,.0f} us  p99 {r['p99_us']:8,.0f} us  "
                            f"CPU {r['cpu_us_per_query']:8.1f} us{added}", aim))

    calls("empty echo, 8 at once", f["echo"])
    calls("empty echo through the pool", f["echo_pool"])
    calls("empty echo, one at a time", f["echo_one"])
    calls("WhoAmI, 8 at once", f["whoami"])
    calls("search in process, 1 thread", f["inprocess"])
    calls("search unary, 1 at a time", f["unary_1"], f"added <= {TARGETS['unary']:.0f} us")
    calls("search unary, 8 at once", f["unary_8"], f"added <= {TARGETS['unary']:.0f} us")
    calls("search, batches of 16", f["batch_1"], f"added <= {TARGETS['batch']:.0f} us")
    calls("search, batches of 16, 4 at once", f["batch_4"], f"added <= {TARGETS['batch']:.0f} us")
    for title, r in (("ingest", f["ingest"]), ("ingest again, unchanged", f["ingest_again"])):
        rows.append((title, f"{r['files']} files, {r['bytes'] / 1e6:.1f} MB: {r['docs_per_s']:,.0f} docs/s, {r['mb_per_s']:.2f} MB/s, "
                            f"server CPU {r['server_cpu_s']:.2f} s ({r['server_cpu_ms_per_doc']:.2f} ms each)", ""))
    rows.append(("idle", f"{f['idle']['rss_mb']:.0f} MB resident ({f['idle']['private_mb']:.0f} MB its own), "
                         f"{f['idle']['cpu_percent']:.2f} % of a core", f"<= {TARGETS['idle_mb']:.0f} MB, 0 %"))
    rows.append(("loaded", f"{f['loaded']['rss_mb']:.0f} MB resident ({f['loaded']['private_mb']:.0f} MB its own)", ""))
    rows.append(("start", f"empty {f['start_empty_s']:.2f} s, with the data {f['restart_s']:.2f} s; stop {f['stop_s']:.2f} s", ""))
    marks = ", ".join(f"{r['private_mb']:.1f}" for r in f["growth"]["rounds"])
    rows.append(("own memory, 3 x 2,000 searches", f"{marks} MB", "does not grow"))
    return rows


def main() -> int:
    """Read the options, measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--docs", type=int, default=4000)
    parser.add_argument("--data", type=Path, help="a folder to use instead of the generated corpus")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("-n", type=int, default=2000, help="searches in each measurement")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the work folder")
    args = parser.parse_args()
    for name in ("airlored", "airlore", "airlore-bench"):
        if not (args.bin / name).exists():
            raise SystemExit(f"bench: '{args.bin / name}' is not there: make build")
    now = datetime.datetime.now(datetime.UTC)
    out = args.out or ROOT / "build" / "reports" / f"bench-{now:%Y-%m-%dT%H%M%S}Z.json"
    work = Path(tempfile.mkdtemp(prefix="airlore-bench-"))
    bench = Bench(args, work)
    about = {"at": now.isoformat(timespec="seconds"), "commit": commit(), "machine": machine(),
             "corpus": "given folder" if args.data else f"bench/corpus.py --docs {args.docs} --seed 1", "searches": args.n}
    try:
        bench.all()
    finally:
        if args.keep:
            say(f"kept {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    about["machine"]["load_after"] = os.getloadavg()[0]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({**about, "targets": TARGETS, "figures": bench.figures}, indent=1) + "\n")
    m = about["machine"]
    print(f"commit {about['commit']}, {m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, kernel {m['kernel']}, "
          f"load {m['load_before']:.1f} before\n")
    rows = table(bench.figures)
    width = max(len(r[0]) for r in rows)
    for title, value, aim in rows:
        print(f"{title:{width}}  {value}" + (f"   (aim: {aim})" if aim else ""))
    print(f"\nreport: {out.relative_to(ROOT) if out.is_relative_to(ROOT) else out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
