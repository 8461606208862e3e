"""What the end-to-end tests share: counting what held, looking at a process, making files."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterable

from server import Server


class Skip(Exception):
    """The environment lacks something; the text names it."""


class Checks:
    """Counts what held and what did not; says every failure with what was seen."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def that(self, name: str, holds: object, seen: object = "") -> bool:
        """One thing that must hold."""
        if holds:
            self.passed += 1
            print(f"ok    {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {name}: {str(seen)[:900]}", flush=True)
        return bool(holds)

    def skip(self, name: str, needs: str) -> None:
        """What could not be looked at, and why."""
        self.skipped += 1
        print(f"skip  {name}: needs {needs}", flush=True)

    def part(self, run: Callable[..., None], *args: Any) -> None:
        """Run a part; one that ends in an exception has failed."""
        began = time.monotonic()
        print(f"--    {run.__name__}", flush=True)
        try:
            run(*args)
        except Skip as e:
            self.skip(run.__name__, str(e))
        except Exception as e:  # a broken part is a failed one
            self.that(f"{run.__name__} runs to its end", False, f"{type(e).__name__}: {e}")
        print(f"--    {run.__name__}: {time.monotonic() - began:.1f} s", flush=True)

    def alive(self, server: Server, rss_mb: float = 600) -> None:
        """The server answers, and its memory is bounded."""
        rc, docs, err = server.cli("whoami", timeout=20)
        self.that("the server is alive", rc == 0 and running(server), (rc, docs, err, server.log_tail()))
        if running(server):
            used = memory_mb(server)
            if not sanitized(server):
                self.that(f"its memory is bounded ({used:.0f} MB)", used < rss_mb, used)

    def done(self) -> int:
        """The closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else ""))
        return 1 if self.failed or self.passed == 0 else 0


def run_parts(parts: Iterable[Callable[..., None]], server: Server, only: list[str]) -> int:
    """The whole of a test: start the server, run the parts with (checks, server), end it."""
    checks = Checks()
    try:
        server.start()
        for part in parts:
            if not only or part.__name__ in only:
                checks.part(part, checks, server)
    except Exception as e:
        checks.that("the test runs to its end", False, f"{type(e).__name__}: {e}")
    finally:
        server.close()
    return checks.done()


def pid(server: Server) -> int:
    """Of the daemon."""
    assert server.process
    return server.process.pid


def running(server: Server) -> bool:
    """Whether the daemon has not ended."""
    return server.process is not None and server.process.poll() is None


def sanitized(server: Server) -> bool:
    """Whether the daemon is built with AddressSanitizer, whose memory says nothing."""
    with open(server.bin / "airlored", "rb") as f:
        return b"__asan_init" in f.read()


def memory_mb(server: Server, field: str = "VmRSS") -> float:
    """Resident memory of the daemon; VmHWM: the most it ever was."""
    for line in Path(f"/proc/{pid(server)}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {field}")


def descriptors(server: Server) -> int:
    """Open files and sockets of the daemon."""
    return len(os.listdir(f"/proc/{pid(server)}/fd"))


def threads(server: Server) -> int:
    """Threads of the daemon."""
    return len(os.listdir(f"/proc/{pid(server)}/task"))


def metrics(server: Server) -> dict[str, float]:
    """The metrics page, each line of it a name and a number."""
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=20) as r:
        text = r.read().decode()
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
    return samples


def wait_for(what: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return what()


def lines(server: Server, name: str, rows: Iterable[object]) -> str:
    """A file of JSON lines; bytes among the rows are written as they are."""
    path = server.root / name
    with open(path, "wb") as f:
        for row in rows:
            f.write(row if isinstance(row, bytes) else json.dumps(row).encode())
            f.write(b"\n")
    return str(path)


def hit_ids(docs: list[Any]) -> list[str]:
    """The ids of the hits of one search."""
    return [h["id"] for d in docs for h in d.get("hits", [])]


def reasons(docs: list[Any]) -> list[str]:
    """The reasons of the errors of one ingest."""
    return [e["reason"] for d in docs for e in d.get("errors", [])]


def arguments() -> tuple[str, list[str]]:
    """BIN_DIR and the names of the parts to run, all if none."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {Path(sys.argv[0]).name} BIN_DIR [PART ...]")
    return sys.argv[1], sys.argv[2:]
