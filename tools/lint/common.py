"""What every check shares: the files of the tree, the result of a check, the cache."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("AIRLORE_CACHE", ROOT / ".cache"))

# Folders that hold nothing of ours.
SKIP_DIRS = {".git", ".cache", ".run", "build", "node_modules", "__pycache__", ".venv", ".pytest_cache", ".ruff_cache",
             ".mypy_cache"}
SKIP_PATTERNS = ("*.egg-info", "*.pyc", "*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


@dataclass
class Result:
    """What a check did: how many things it looked at, and what is wrong with them."""

    checked: int
    unit: str
    findings: list[str] = field(default_factory=list)
    note: str = ""


def relative(path: Path) -> str:
    """The path as people write it, from the root of the tree."""
    try:
        return str(path.relative_to(ROOT))
    except ValueError:
        return str(path)


def files(*patterns: str, root: Path = ROOT, under: str = "") -> list[Path]:
    """Files of the tree whose name fits one of the patterns, sorted; build outputs are left out."""
    found = []
    for base, dirs, names in os.walk(root / under):
        dirs[:] = sorted(d for d in dirs if d not in SKIP_DIRS and not any(fnmatch.fnmatch(d, p) for p in SKIP_PATTERNS))
        for name in names:
            if any(fnmatch.fnmatch(name, p) for p in SKIP_PATTERNS):
                continue
            if any(fnmatch.fnmatch(name, p) for p in patterns):
                found.append(Path(base) / name)
    return sorted(found)


def c_files(root: Path = ROOT) -> list[Path]:
    """Every C and C++ file."""
    return files("*.c", "*.h", "*.cpp", root=root)


def is_test(path: Path) -> bool:
    """Whether the file belongs to the tests rather than to the product."""
    name = path.name
    rel = relative(path)
    return (name.endswith(("_test.c", "_fuzz.c", "_sim.h")) or name.startswith(("conformance", "test_"))
            or "_conformance." in name or "_sim_" in name or "fixture" in name
            or rel.startswith("tests/") or "/tests/" in rel)


def text_of(path: Path) -> str:
    """The file as text; bytes that are no UTF-8 become replacement characters."""
    return path.read_text(encoding="utf-8", errors="replace")


def run(command: list[str], **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Run a program and give back what it printed."""
    return subprocess.run(command, text=True, capture_output=True, check=False, cwd=kwargs.pop("cwd", ROOT), **kwargs)


def digest(*parts: str | bytes) -> str:
    """A hash over the parts."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()


class Memory:
    """Results of slow checks by the hash of what went in: unchanged files are not checked twice."""

    def __init__(self, name: str) -> None:
        self.path = CACHE / "lint" / f"{name}.json"
        try:
            self.old = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.old = {}
        self.new: dict[str, list[str]] = {}

    def get(self, key: str) -> list[str] | None:
        """What was found for this key, or None when it was never looked at."""
        if key in self.old:
            self.new[key] = self.old[key]
        return self.old.get(key)

    def put(self, key: str, findings: list[str]) -> None:
        """Remember what was found."""
        self.new[key] = findings

    def save(self) -> None:
        """Write what this run used; what it did not use is forgotten."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(self.new))
        temporary.replace(self.path)
