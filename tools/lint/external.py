"""Checks that other programs do: clang-format, clang-tidy, buf, shellcheck, ruff."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rules
from common import CACHE, ROOT, Memory, Result, c_files, digest, files, is_test, relative, run, text_of

BUF_VERSION = "1.75.0"
RUFF_VERSION = "0.17.5"
# Where clang-tidy takes the compiler's flags from.
BUILD = Path(os.environ.get("AIRLORE_LINT_BUILD", ROOT / "build" / "dev"))

TIDY_INCLUDE = ROOT / "tools" / "lint" / "include"
ANALYZER_HEADER = TIDY_INCLUDE / "analyzer.h"


def jobs() -> int:
    """How many programs to run at once."""
    return max(1, min(8, len(os.sched_getaffinity(0))))


def need(program: str) -> str:
    """The program's path; a clear end when it is not installed."""
    path = shutil.which(program)
    if not path:
        raise SystemExit(f"lint: '{program}' is not installed: run tools/bootstrap.sh --dev")
    return path


def clang_format() -> Result:
    """Every C and C++ file is as clang-format 14 writes it."""
    paths = c_files()
    result = Result(len(paths), "files")
    program = need("clang-format-14")

    def check(batch: list[Path]) -> list[str]:
        done = run([program, "--dry-run", "-Werror", *map(str, batch)])
        lines = [m.group(1) for m in re.finditer(r"^(.*?:\d+:\d+): error: code should be clang-formatted", done.stderr, re.M)]
        first: dict[str, str] = {}
        for line in lines:
            first.setdefault(line.split(":")[0], line)
        if done.returncode and not first:
            return [done.stderr.strip()[:400]]
        return [f"{relative(Path(f))}:{at.split(':')[1]}: not formatted (clang-format-14 -i mends it)"
                for f, at in first.items()]

    batches = [paths[i:i + 16] for i in range(0, len(paths), 16)]
    with ThreadPoolExecutor(jobs()) as pool:
        for found in pool.map(check, batches):
            result.findings += found
    return result


class Includes:
    """What a source file reads: itself and, transitively, the headers of this tree that it includes."""

    _include = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)

    def __init__(self) -> None:
        self.public = {}
        for path in files("*.h"):
            rel = relative(path)
            if "/include/" in rel:
                self.public[rel.split("/include/", 1)[1]] = path
        self.text: dict[Path, str] = {}

    def closure(self, path: Path) -> list[Path]:
        """The files, sorted."""
        seen: set[Path] = set()
        todo = [path]
        while todo:
            one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            self.text.setdefault(one, text_of(one))
            for name in self._include.findall(self.text[one]):
                beside = one.parent / name
                target = beside if beside.exists() else self.public.get(name)
                if target:
                    todo.append(target.resolve())
        return sorted(seen)

    def digest(self, path: Path) -> str:
        """A hash over all of them."""
        return digest(*(part for f in self.closure(path) for part in (str(f), self.text[f])))


def compile_commands() -> list[dict[str, str]]:
    """The compiler's calls, one for each of our own sources; makes them when they are not there yet."""
    path = BUILD / "compile_commands.json"
    if not path.exists() and BUILD == ROOT / "build" / "dev":
        print("  configuring build/dev for clang-tidy", flush=True)
        done = run(["cmake", "--preset", "dev"])
        if done.returncode:
            raise SystemExit(f"lint: cmake --preset dev failed:\n{(done.stdout + done.stderr)[-2000:]}")
    commands = {}
    for entry in json.loads(path.read_text()):
        source = Path(entry["directory"], entry["file"]).resolve()
        inside = source.is_relative_to(ROOT) and not source.is_relative_to(BUILD) and not source.is_relative_to(CACHE)
        if inside and source.exists() and relative(source).split("/")[0] not in ("build", ".cache"):
            commands.setdefault(str(source), {**entry, "file": str(source)})
    return [commands[k] for k in sorted(commands)]


def generated(commands: list[dict[str, str]]) -> None:
    """Make the headers that the sources include and that only the build writes."""
    targets = set(re.findall(r"^build (al_\w*proto|al_rpc_test):", text_of(BUILD / "build.ninja"), re.M))
    if commands and targets:
        done = run(["cmake", "--build", str(BUILD), "--target", *sorted(targets)])
        if done.returncode:
            raise SystemExit(f"lint: building the wire contract failed:\n{(done.stdout + done.stderr)[-2000:]}")


_TIDY_ERROR = re.compile(r"^(/[^:\n]+):(\d+):\d+: (?:error|warning): (.*?)(?:,-warnings-as-errors)?\]?$", re.M)
_TIDY_SIZE = re.compile(r": note: (.*? \(threshold \d+\))$", re.M)
_PARAMETERS = re.compile(r"^([^:]+):\d+: function '(\w+)' .*size\]: (\d+) parameters \(threshold \d+\)$")


def tidy_arguments() -> list[str]:
    """What clang needs beside the compiler's own flags: the headers of tools/lint/include, one of them before everything."""
    return ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-idirafter", f"--extra-arg={TIDY_INCLUDE}",
            "--extra-arg-before=-include", f"--extra-arg-before={ANALYZER_HEADER}"]


def tidy_one(program: str, arguments: list[str], source: str) -> list[str]:
    """What clang-tidy says about one file."""
    done = run([program, "-p", str(BUILD), "--quiet", *arguments, source])
    found, seen = [], False
    for match in _TIDY_ERROR.finditer(done.stdout):
        name, line, message = match.groups()
        message += "]" if "[" in message else ""
        seen = True
        if message.endswith("[readability-function-size]"):
            message += ": " + ", ".join(_TIDY_SIZE.findall(done.stdout[match.end():].split(": error: ", 1)[0]))
        checks = set(re.search(r"\[([\w.,-]+)\]", message + "[]").group(1).split(",")) if "[" in message else set()
        if not (is_test(Path(name)) and checks & set(rules.TIDY_NOT_IN_TESTS)):
            found.append(f"{relative(Path(name))}:{line}: {message}")
    if done.returncode and not seen:
        found.append(f"{relative(Path(source))}:1: clang-tidy failed: {(done.stdout + done.stderr).strip()[-300:]}")
    return found


def without_known(findings: list[str]) -> list[str]:
    """Leave out the functions that the table knows to have more parameters; an entry that is no longer true is a finding."""
    kept, met = [], set()
    for finding in sorted(set(findings)):
        match = _PARAMETERS.match(finding)
        key = f"{match.group(1)}:{match.group(2)}" if match else ""
        met.add(key)
        if not match or int(match.group(3)) > rules.PARAMETERS_KNOWN.get(key, 0):
            kept.append(finding)
    gone = sorted(set(rules.PARAMETERS_KNOWN) - met)
    return kept + [f"tools/lint/rules.py: PARAMETERS_KNOWN: '{key}' is no longer true; take it out" for key in gone]


def clang_tidy() -> Result:
    """Every source that is compiled passes clang-tidy 14 with the rules of .clang-tidy; unchanged files come from the cache."""
    program = need("clang-tidy-14")
    commands = compile_commands()
    generated(commands)
    includes, memory = Includes(), Memory("tidy")
    arguments = tidy_arguments()
    base = digest(text_of(ROOT / ".clang-tidy"), text_of(ANALYZER_HEADER), run([program, "--version"]).stdout,
                  *arguments, *rules.TIDY_NOT_IN_TESTS)
    result = Result(len(commands), "files")
    todo = []
    for entry in commands:
        source = entry["file"]
        flags = entry.get("command") or shlex.join(entry.get("arguments", []))
        flags = flags.replace(str(BUILD), "BUILD")
        key = digest(base, flags, includes.digest(Path(source)))
        known = memory.get(key)
        if known is None:
            todo.append((key, source))
        else:
            result.findings += known
    tick = max(1, len(todo) // 10)
    with ThreadPoolExecutor(jobs()) as pool:
        answers = pool.map(lambda t: (t[0], tidy_one(program, arguments, t[1])), todo)
        for n, (key, found) in enumerate(answers, 1):
            memory.put(key, found)
            result.findings += found
            if n % tick == 0:
                print(f"  tidy: {n} of {len(todo)}", flush=True)
                memory.save()
    memory.save()
    result.findings = without_known(result.findings)
    result.note = f"{len(commands) - len(todo)} unchanged"
    return result


def tool(name: str, version: str, install: list[list[str]], program: str) -> str:
    """A tool of a fixed version in the cache, fetched once from its package registry."""
    folder = CACHE / "tools" / f"{name}-{version}"
    path = folder / program
    if not path.exists():
        print(f"  fetching {name} {version} into {relative(folder)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in install:
            done = subprocess.run([c.format(folder=folder) for c in command], text=True, capture_output=True, check=False,
                                  stdin=subprocess.DEVNULL)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                raise SystemExit(f"lint: {name} {version} could not be had:\n{(done.stdout + done.stderr)[-1000:]}")
    return str(path)


def buf() -> Result:
    """The wire contract passes `buf lint` with proto/buf.yaml."""
    protos = files("*.proto", under="proto")
    need("npm")
    program = tool("buf", BUF_VERSION, [["npm", "install", "--prefix", "{folder}", "--no-save", "--no-audit", "--no-fund",
                                         "--silent", f"@bufbuild/buf@{BUF_VERSION}"]], "node_modules/.bin/buf")
    done = run([program, "lint"], cwd=ROOT / "proto")
    findings = [f"proto/{line}" for line in done.stdout.splitlines() if line.strip()]
    if done.returncode and not findings:
        findings.append(f"buf lint failed: {done.stderr.strip()[-400:]}")
    return Result(len(protos), "files", findings)


def shellcheck() -> Result:
    """Shell scripts pass shellcheck."""
    program = need("shellcheck")
    paths = files("*.sh") + [p for p in (ROOT / ".ci").glob("*") if p.is_file()]
    done = run([program, "-f", "gcc", "-x", *[relative(p) for p in paths]])
    findings = [line for line in done.stdout.splitlines() if line.strip()]
    if done.returncode and not findings:
        findings.append(done.stderr.strip()[-400:])
    return Result(len(paths), "scripts", findings)


def ruff() -> Result:
    """Python passes ruff with tools/lint/ruff.toml."""
    paths = files("*.py")
    program = tool("ruff", RUFF_VERSION, [[sys.executable, "-m", "venv", "{folder}"],
                                          ["{folder}/bin/pip", "install", "-q", "--disable-pip-version-check",
                                           f"ruff=={RUFF_VERSION}"]], "bin/ruff")
    done = run([program, "check", "--config", str(ROOT / "tools/lint/ruff.toml"), "--output-format", "concise", "--no-cache",
                *map(str, paths)])
    findings = [relative(Path(line.split(":", 1)[0])) + ":" + line.split(":", 1)[1] for line in done.stdout.splitlines()
                if re.match(r"^[^:]+:\d+:", line)]
    if done.returncode and not findings:
        findings.append((done.stdout + done.stderr).strip()[-400:])
    return Result(len(paths), "files", findings)
