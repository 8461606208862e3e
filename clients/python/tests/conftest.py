"""A real server on free ports for the tests: the binary from AIRLORE_BIN (a folder) or build/dev/bin."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlore import Client

ROOT = Path(__file__).resolve().parents[3]
READY = re.compile(r"ready grpc=(\S+) http=(\S+)")
READY_SECONDS = 60.0


def binary() -> Path:
    folder = Path(os.environ.get("AIRLORE_BIN") or ROOT / "build" / "dev" / "bin")
    return folder / "airlored"


class Server:
    """One airlored with its own data folder and runtime file."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.address = ""
        self.process: subprocess.Popen[str] | None = None

    @property
    def env(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith("AIRLORE_")}
        return {**keep, "XDG_STATE_HOME": str(self.home / "state"), "HOME": str(self.home)}

    @property
    def key(self) -> str:
        return (self.data / "admin.key").read_text().strip()

    def start(self, listen: str = "127.0.0.1:0") -> None:
        with open(self.home / "airlored.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [str(binary()), "--data", str(self.data), "--listen", listen, "--http", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.env,
            )
        stop = threading.Timer(READY_SECONDS, self.process.kill)
        stop.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        stop.cancel()
        found = READY.match(line)
        if not found:
            raise AssertionError(f"airlored said '{line}'; log: {(self.home / 'airlored.log').read_text()[-2000:]}")
        self.address = found[1]

    def stop(self, sig: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(sig)
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return code

    def client(self, **options: object) -> Client:
        return Client(self.address, self.key, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests share; each uses ids of its own."""
    s = Server(tmp_path_factory.mktemp("airlore"))
    s.start()
    yield s
    assert s.stop() == 0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of one test, which may end and restart it."""
    s = Server(tmp_path)
    s.start()
    yield s
    s.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as c:
        yield c


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller's shell says about servers does not matter here."""
    monkeypatch.delenv("AIRLORE_SERVER", raising=False)
    monkeypatch.delenv("AIRLORE_KEY", raising=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The closing line that tools/test_summary.py reads."""
    counts = {name: len(terminalreporter.getreports(name)) for name in ("passed", "failed", "error", "skipped")}
    line = f"{counts['passed']} passed, {counts['failed'] + counts['error']} failed"
    if counts["skipped"]:
        line += f", {counts['skipped']} skipped"
    terminalreporter.write_line("")
    terminalreporter.write_line(line)
