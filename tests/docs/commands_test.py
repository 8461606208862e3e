#!/usr/bin/env python3
"""Run the commands that the documents show.

Every fenced block marked `sh` in README.md, ARCHITECTURE.md, CONTRIBUTING.md and docs/ is run by bash against a server of its own,
in a folder that looks like the root of the tree; a block marked `python` by the interpreter that clients/python/test.sh sets up. A
comment line before a block can leave it out:

    <!-- not run by the tests of the docs: REASON -->
    <!-- needs: PROGRAM -->        run when PROGRAM is installed, else counted as skipped

The default addresses in a block are replaced by those of the server. docs/configuration.md is compared with what airlored prints;
--write writes it. Last line: N passed, N failed, N skipped.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(ROOT.glob(".cache/tools/grpcurl-*"))  # made by tools/bootstrap.sh --dev
PYTHON = ROOT / ".cache/venv-python/bin/python"  # made by clients/python/test.sh
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md",
         *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"(?:^<!--[ ]*(?P<mark>.*?)[ ]*-->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
BLOCK_SECONDS = 60
START_SECONDS = 60
STOP_SECONDS = 30

CONFIGURATION_HEAD = """# Configuration

`airlored --config FILE` reads YAML; options on the command line win. An unknown key, a value of the wrong type or out of range
ends the start with a message that names file, line, key and what is allowed. `airlored --config FILE --check-config` only checks;
`airlored --print-config` prints what is in force. Sizes are written 64KiB, 16MiB, 2GiB; durations 500ms, 10s, 5m, 24h.

All keys with their defaults, as `airlored --print-config` prints them (`tests/docs/commands_test.py --write` makes this page
from it; DATA and NAME stand for what differs from machine to machine):

```yaml
"""


@dataclass
class Block:
    """A fenced block to be run."""

    page: str
    line: int
    language: str
    text: str
    mark: str

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text()
    return [Block(page, text.count("\n", 0, m.start("text")), m["language"], m["text"], m["mark"] or "")
            for m in BLOCK.finditer(text) if m["language"] in ("sh", "python")]


def why_skipped(block: Block) -> str | None:
    """A reason not to run the block, or None."""
    if block.mark.startswith("not run"):
        return block.mark
    needs = re.match(r"needs:\s*(\S+)", block.mark)
    if needs and not shutil.which(needs[1], path=":".join([*map(str, TOOLS), os.environ["PATH"]])):
        return f"'{needs[1]}' is not installed"
    if block.language == "python" and not PYTHON.exists():
        return "clients/python/test.sh has not set up its environment yet"
    return None


class Server:
    """A server on free ports, with a home folder of its own, so that the client finds it."""

    def __init__(self, bin_dir: Path, home: Path) -> None:
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "AIRLORE_"))}
        self.env |= {"HOME": str(home), "PATH": ":".join(map(str, [bin_dir, *TOOLS, self.env["PATH"]])), "LC_ALL": "C.UTF-8"}
        self.log = open(home / "airlored.log", "w+")  # noqa: SIM115
        self.process = subprocess.Popen([bin_dir / "airlored", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"],
                                        stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, env=self.env,
                                        text=True)
        signal.alarm(START_SECONDS)
        line = self.process.stdout.readline()
        signal.alarm(0)
        match = re.match(r"ready grpc=(\S+) http=(\S+)", line)
        if not match:
            raise SystemExit(f"airlored did not start: {line!r}\n{self.log_end()}")
        self.grpc, self.http = match.groups()

    def log_end(self) -> str:
        """The end of its log."""
        self.log.flush()
        return Path(self.log.name).read_text()[-2000:]

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def lay_out(work: Path, bin_dir: Path) -> None:
    """A folder that looks like the root of the tree, with the programs where a release build has them."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name != "build":
            (work / entry.name).symlink_to(entry)
    (work / "build" / "release").mkdir(parents=True)
    (work / "build" / "release" / "bin").symlink_to(bin_dir)


def run_block(block: Block, server: Server, work: Path) -> str | None:
    """Run it; what went wrong, or None."""
    text = block.text.replace("127.0.0.1:7700", server.grpc).replace("127.0.0.1:7701", server.http)
    try:
        command = [PYTHON, "-c"] if block.language == "python" else ["bash", "-euo", "pipefail", "-c"]
        env = server.env | {"PYTHONPATH": str(ROOT / "clients/python/src"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([*command, text], cwd=work, env=env, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=BLOCK_SECONDS)
    except subprocess.TimeoutExpired as e:
        return f"not done after {BLOCK_SECONDS} s\n{e.output or ''}"
    return None if done.returncode == 0 else f"exit {done.returncode}\n{done.stdout}"


def configuration_page(bin_dir: Path) -> str:
    """What docs/configuration.md has to be. Folder and name are set, because their defaults differ from machine to machine."""
    done = subprocess.run([bin_dir / "airlored", "--data", "DATA", "--name", "NAME", "--print-config"], text=True, check=True,
                          stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    return CONFIGURATION_HEAD + done.stdout + "```\n"


def main() -> int:
    """Run all blocks and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="folder of airlored and airlore")
    parser.add_argument("--write", action="store_true", help="write docs/configuration.md and end")
    parser.add_argument("pages", nargs="*", help="run the blocks of these pages only")
    args = parser.parse_args()
    bin_dir = args.bin.resolve()
    page = configuration_page(bin_dir)
    if args.write:
        (ROOT / "docs/configuration.md").write_text(page)
        return 0
    passed = failed = skipped = 0

    def count(name: str, problem: str | None) -> None:
        nonlocal passed, failed
        passed, failed = passed + (not problem), failed + bool(problem)
        print(f"{'FAILED' if problem else 'ok'} {name}" + (f": {problem}" if problem else ""), flush=True)

    same = (ROOT / "docs/configuration.md").exists() and (ROOT / "docs/configuration.md").read_text() == page
    count("docs/configuration.md", None if same else "out of date: tests/docs/commands_test.py --bin DIR --write")
    with tempfile.TemporaryDirectory(prefix="airlore-docs-") as folder:
        home, work = Path(folder, "home"), Path(folder, "work")
        home.mkdir()
        work.mkdir()
        lay_out(work, bin_dir)
        server = Server(bin_dir, home)
        try:
            setup = Block("setup", 0, "sh", "airlore ingest examples/knowledge", "")
            count("setup", run_block(setup, server, work))
            for block in [b for p in args.pages or PAGES for b in blocks_of(p)]:
                reason = why_skipped(block)
                if reason:
                    skipped += not reason.startswith("not run")
                    print(f"{'left out' if reason.startswith('not run') else 'skipped'} {block.name}: {reason}", flush=True)
                    continue
                start = time.monotonic()
                count(block.name, run_block(block, server, work))
                if time.monotonic() - start > BLOCK_SECONDS / 2:
                    print(f"slow: {block.name}", flush=True)
        finally:
            status = server.stop()
            count("the server ends cleanly", None if status == 0 else f"exit {status}\n{server.log_end()}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
