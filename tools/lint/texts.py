"""Checks of words: error reasons, the page made of them, links, and what a file may not mention."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import csource
import rules
from common import ROOT, Result, c_files, files, is_test, relative, text_of

CONTRACT = ROOT / "proto/airlore/v1/common.proto"
ERRORS_PAGE = ROOT / "docs/errors.md"
_RAISE = re.compile(r'\b(?:AL_FAIL_R|al_err_set)\s*\((?:[^;"]|\n){0,200}?"([A-Z][A-Z0-9_]{2,})"')
_WITH_CODE = re.compile(r'\bAL_FAIL_R\s*\(\s*[^,]+,\s*AL_([A-Z_]+),\s*"([A-Z][A-Z0-9_]{2,})"')
_ASSIGN = re.compile(r'\.?\breason\s*=\s*"([A-Z][A-Z0-9_]{2,})"')
_VALUE = re.compile(r"((?:^[ \t]*//[^\n]*\n)+)[ \t]*ERROR_REASON_(\w+)\s*=\s*(\d+);", re.M)


def contract_reasons() -> dict[str, tuple[int, str, str]]:
    """Reason -> number, code, meaning, from the comments of the contract."""
    found = {}
    for comment, name, number in _VALUE.findall(text_of(CONTRACT)):
        words = " ".join(line.strip().lstrip("/").strip() for line in comment.splitlines())
        match = re.match(r"\[(\w+)\]\s*(.*)", words)
        code, meaning = match.groups() if match else ("", words)
        found[name] = (int(number), code, meaning)
    return found


def raised_reasons() -> dict[str, list[str]]:
    """Reason -> the places that raise it."""
    found: dict[str, list[str]] = {}
    for path in c_files():
        if is_test(path) or relative(path).startswith(("clients/cli/", "airlored/")):  # these fail before they serve
            continue
        source = csource.blank(text_of(path), keep_text=True)
        for pattern in (_RAISE, _ASSIGN):
            for match in pattern.finditer(source):
                place = f"{relative(path)}:{csource.line_of(source, match.start(1))}"
                found.setdefault(match.group(1), []).append(place)
    return found


def other_codes(known: dict[str, tuple[int, str, str]]) -> list[str]:
    """Places that raise a reason with another status than the contract says. The clients' own libraries are not looked at."""
    findings = []
    for path in c_files():
        if is_test(path) or relative(path).startswith(("clients/", "airlored/")):
            continue
        source = csource.blank(text_of(path), keep_text=True)
        for match in _WITH_CODE.finditer(source):
            code, name = match.groups()
            if name in known and known[name][1] != code:
                findings.append(f"{relative(path)}:{csource.line_of(source, match.start())}: reason '{name}' goes with "
                                f"{known[name][1]} in the contract, here with {code}")
    return findings


def reasons() -> Result:
    """Every stable reason that the sources raise is a value of ErrorReason in the contract."""
    known, raised = contract_reasons(), raised_reasons()
    findings = []
    for name, places in sorted(raised.items()):
        if name not in known and name not in rules.LOCAL_REASONS:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            findings.append(f"{places[0]}{more}: reason '{name}' is not in ErrorReason (proto/airlore/v1/common.proto)")
    findings += other_codes(known)
    return Result(len(raised), "reasons", findings, f"{len(known)} in the contract")


def errors_page() -> str:
    """The page docs/errors.md as it should be."""
    lines = [
        "# Error reasons", "",
        "Every failed call carries a gRPC status, a message for people, and a stable reason for programs: the trailer",
        "`grpc-status-details-bin` holds a status with one `ErrorInfo` whose `reason` is a name of this table and whose `domain`",
        "is `airlore`. Inside an answer that itself succeeded (an item of an ingest stream, a query of a batch) the same name is",
        "in `Error.reason`. Values are only ever added.", "",
        "This page is made from the comments of `ErrorReason` in [common.proto](../proto/airlore/v1/common.proto) by",
        "`tools/lint/errors_page.py`; lint fails when the two differ.", "",
        "| Reason | Status | Meaning |", "| --- | --- | --- |"]
    for name, (number, code, meaning) in contract_reasons().items():
        if number:
            text = meaning.replace("|", "\\|")
            lines.append(f"| `{name}` | {code} | {text} |")
    lines += ["", "A failure without a reason of its own carries the name of its status (`NOT_FOUND`, `INTERNAL`) as reason.", "",
              "Reasons that never travel, and so are not in the contract:", ""]
    by_why: dict[str, list[str]] = {}
    known = contract_reasons()
    for name, why in ((n, w) for n, w in rules.LOCAL_REASONS.items() if n not in known):
        by_why.setdefault(why, []).append(f"`{name}`")
    lines += [f"- {why}: {', '.join(sorted(names))}" for why, names in by_why.items()]
    return "\n".join(lines) + "\n"


def errors() -> Result:
    """docs/errors.md is what the contract says."""
    n = len(contract_reasons())
    try:
        same = text_of(ERRORS_PAGE) == errors_page()
    except OSError:
        same = False
    return Result(n, "reasons", [] if same else ["docs/errors.md: out of date; tools/lint/errors_page.py writes it"])


def _anchor(title: str) -> str:
    title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
    title = re.sub(r"[`*]", "", title).strip().lower()
    return re.sub(r"[^\w\- ]", "", title).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """The anchors of a Markdown file's headings."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text_of(path), flags=re.M | re.S)
    return {_anchor(t) for t in re.findall(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", text, re.M)}


def links(paths: list[Path] | None = None) -> Result:
    """Relative links of Markdown files lead somewhere."""
    if paths is None:
        paths = [p for p in files("*.md") if "testdata" not in p.parts]
    result = Result(0, "links")
    for path in paths:
        text = re.sub(r"^(```|~~~).*?^\1", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text_of(path), flags=re.M | re.S)
        text = re.sub(r"`[^`\n]*`", lambda m: " " * len(m.group(0)), text)
        for match in re.finditer(r"\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)", text):
            target = match.group(1)
            if re.match(r"[a-z][a-z+.-]*:", target):
                continue
            result.checked += 1
            name, _, fragment = target.partition("#")
            goal = (path.parent / name).resolve() if name else path
            at = f"{relative(path)}:{csource.line_of(text, match.start())}"
            if not goal.exists():
                result.findings.append(f"{at}: link to '{target}': no such file")
            elif fragment and goal.suffix == ".md" and fragment not in anchors(goal):
                result.findings.append(f"{at}: link to '{target}': no such heading")
    result.note = f"{len(paths)} files"
    return result


def _self_patterns() -> list[tuple[re.Pattern[str], str]]:
    """What no file may hold, and why. Paths of this machine are looked up, not listed."""
    machine = {str(ROOT), str(Path.home())}
    if ROOT.parent not in (Path("/"), Path("/tmp"), Path("/home"), Path("/srv"), Path("/opt"), Path("/root")):
        machine.add(str(ROOT.parent))
    machine -= {"/", "/root"}
    patterns = [(re.compile(re.escape(p) + r"(?=[/\"'\s`),:;]|$)"), "a path of this machine") for p in sorted(machine)]
    host = socket.gethostname()
    if len(host) > 6:
        patterns.append((re.compile(r"\b" + re.escape(host) + r"\b"), "the name of this machine"))
    by_whom = r"(?:AI|LLM|assistants?|language model)"
    patterns += [
        (re.compile(r"/tmp/(?!\*)[A-Za-z][\w.-]*/"), "a fixed path below the folder for temporary files"),
        (re.compile(r"https?://[^\s)\"'>]*(?:registry|mirror|/simple/|artifactory|goproxy)[^\s)\"'>]*", re.I),
         "an address of a package registry"),
        (re.compile(r"co-?authored-?by\s*:", re.I), "a note of authorship"),
        (re.compile(r"\b(?:written|generated|made|created|drafted)\s+(?:by|with)\s+(?:an?\s+)?" + by_whom + r"\b", re.I),
         "a note of authorship"),
        (re.compile(r"\b(?:this|previous|earlier|my)\s+(?:coding |working |work )?sessions?\b(?!\s*=)",
                    re.I), "a note about how the work was done"),
    ]
    return patterns


def mentions(paths: list[Path] | None = None) -> Result:
    """Files speak of the project alone: no path of the machine, no registry, no note of who wrote them and how."""
    if paths is None:
        paths = [p for p in files("*") if p.is_file() and not p.is_symlink() and p.stat().st_size < 4_000_000]
    patterns = _self_patterns()
    result = Result(0, "files")
    for path in paths:
        data = path.read_bytes()
        if b"\0" in data[:4096]:
            continue
        result.checked += 1
        text = data.decode("utf-8", "replace")
        for pattern, what in patterns:
            for match in pattern.finditer(text):
                if what.startswith("a fixed path") and not _fixed_path_counts(path):
                    continue
                result.findings.append(f"{relative(path)}:{csource.line_of(text, match.start())}: '{match.group(0)}': {what}")
    return result


def _fixed_path_counts(path: Path) -> bool:
    """Example documents and test data may name any path."""
    rel = relative(path)
    return not (rel.startswith("examples/") or "testdata" in rel or is_test(path))
