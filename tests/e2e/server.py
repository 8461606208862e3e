"""A real airlored for tests: started on free ports in a folder of its own, stopped or killed at will."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any


class Server:
    """One daemon. bin_dir holds airlored and airlore; data survives start and stop until close()."""

    def __init__(self, bin_dir: str, config: str = "") -> None:
        self.bin = Path(bin_dir)
        self.root = Path(tempfile.mkdtemp(prefix="airlore-e2e-"))
        self.data = self.root / "data"
        self.config = config
        self.grpc = self.http = self.key = ""
        self.process: subprocess.Popen[str] | None = None
        self.env = dict(os.environ, XDG_STATE_HOME=str(self.root / "state"), NO_COLOR="1")
        self.env.pop("AIRLORE_KEY", None)
        self.env.pop("AIRLORE_SERVER", None)

    def start(self) -> None:
        """Start it and wait for the ready line; raises with its log if it does not come."""
        command = [str(self.bin / "airlored"), "--data", str(self.data)]
        command += ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        if self.config:
            (self.root / "airlored.yaml").write_text(self.config)
            command += ["--config", str(self.root / "airlored.yaml")]
        log = open(self.root / "log", "a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=self.env)
        log.close()
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        if not line.startswith("ready "):
            raise AssertionError(f"no ready line but {line!r}: {self.log_tail()}")
        parts = dict(p.split("=", 1) for p in line.split()[1:])
        self.grpc, self.http = parts["grpc"], parts["http"]
        self.key = (self.data / "admin.key").read_text().strip()

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        """End it and remove its folder."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def log_tail(self) -> str:
        """The last lines of its log."""
        return (self.root / "log").read_text(errors="replace")[-2000:]

    def cli(self, *args: str, key: str | None = None, timeout: float = 120, stdin: str | None = None) -> tuple[int, list[Any], str]:
        """Run airlore --json: exit code, JSON documents, standard error."""
        command = [str(self.bin / "airlore"), "--server", self.grpc, "--key", self.key if key is None else key, "--json", *args]
        p = subprocess.run(command, capture_output=True, text=True, env=self.env, timeout=timeout, input=stdin)
        text = p.stdout.strip()
        try:
            documents = [json.loads(text)] if text else []
        except ValueError:
            documents = [json.loads(line) for line in text.splitlines() if line.strip()]
        return p.returncode, documents, p.stderr
