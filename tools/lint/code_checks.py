"""Checks that read C sources: banned functions, lengths, documented prototypes, layers."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import csource
import rules
from common import ROOT, Result, c_files, files, is_test, relative, text_of

_CALL = re.compile(r"(?<![\w.>])(" + "|".join(sorted(rules.BANNED)) + r")\s*\(")
_GOTO = re.compile(r"\bgoto\s+(\w+)")


def banned(paths: list[Path] | None = None) -> Result:
    """Functions that are not used here, and goto other than to the one label 'out'."""
    paths = c_files() if paths is None else paths
    result = Result(len(paths), "files")
    for path in paths:
        source = csource.blank(text_of(path))
        for match in _CALL.finditer(source):
            name = match.group(1)
            if any(fnmatch.fnmatch(relative(path), p) for p in rules.BANNED_ALLOWED.get(name, ())):
                continue
            result.findings.append(f"{relative(path)}:{csource.line_of(source, match.start())}: '{name}' is banned: "
                                   f"{rules.BANNED[name]}")
        for match in _GOTO.finditer(source):
            if match.group(1) != "out":
                result.findings.append(f"{relative(path)}:{csource.line_of(source, match.start())}: "
                                       f"goto '{match.group(1)}': the only label is 'out'")
    return result


def length(paths: list[Path] | None = None) -> Result:
    """Functions of at most 70 lines between their braces, files of at most 800."""
    paths = c_files() if paths is None else paths
    result = Result(0, "functions")
    for path in paths:
        text = text_of(path)
        lines = text.count("\n")
        if lines > rules.FILE_LINES:
            result.findings.append(f"{relative(path)}:1: {lines} lines; at most {rules.FILE_LINES}")
        source = csource.without_directives(csource.blank(text))
        for item in csource.top_level(source):
            name = csource.function_name(item.head) if item.body_start >= 0 else None
            if name is None:
                continue
            result.checked += 1
            n = source.count("\n", item.body_start, item.body_end) - 1
            if n > rules.FUNCTION_LINES:
                result.findings.append(f"{relative(path)}:{csource.line_of(source, item.start)}: '{name}' has {n} lines; "
                                       f"at most {rules.FUNCTION_LINES}")
    result.note = f"{len(paths)} files"
    return result


def prototypes(paths: list[Path] | None = None) -> Result:
    """Every prototype of a public header has a comment directly above it, and the header its thread rule.

    A block of prototypes without a blank line between them is a family and shares the comment above the first.
    """
    if paths is None:
        paths = [p for p in files("*.h") if "/include/airlore/" in str(p)]
    result = Result(0, "prototypes")
    for path in paths:
        text = text_of(path)
        first = re.match(r"\s*/\*.*?\*/", text, re.S)
        if not first:
            result.findings.append(f"{relative(path)}:1: the header does not begin with a comment that says what it is")
        if not re.search(r"/\*(?:(?!\*/).)*\bThread:", text, re.S):
            result.findings.append(f"{relative(path)}:1: no 'Thread:' statement")
        source = csource.without_directives(csource.blank(text))
        lines = text.splitlines()
        documented_to = 0  # last line of a block that a comment stands above
        for item in csource.top_level(source):
            name = csource.function_name(item.head)
            if name is None:
                continue
            result.checked += 1
            line = csource.line_of(source, item.start)
            above = lines[line - 2].rstrip() if line > 1 else ""
            if above.endswith("*/") or documented_to == line - 1 > 0:
                end = item.body_end if item.body_end >= 0 else source.index(";", item.start)
                documented_to = csource.line_of(source, end)
            else:
                result.findings.append(f"{relative(path)}:{line}: '{name}' has no comment directly above it")
    result.note = f"{len(paths)} headers"
    return result


_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
_LINK = re.compile(r"\bal::(\w+)")


def folder_of(path: Path) -> str | None:
    """The layer a file belongs to: the longest folder of the table that holds it."""
    rel = relative(path)
    found = [f for f in rules.LAYERS if rel.startswith(f + "/")]
    return max(found, key=len) if found else None


def public_headers() -> dict[str, str]:
    """Public header, as it is included, to its layer."""
    headers: dict[str, str] = {}
    for path in files("*.h"):
        folder = folder_of(path)
        rel = relative(path)
        if folder and rel.startswith(folder + "/include/"):
            headers[rel[len(folder + "/include/"):]] = folder
    return headers


def _vendor_problem(path: Path, header: str) -> str | None:
    for prefix, places in rules.VENDORS.items():
        if header == prefix or (prefix.endswith("/") and header.startswith(prefix)):
            allowed = places + rules.VENDORS_IN_TESTS if is_test(path) else places
            if any(fnmatch.fnmatch(relative(path), p) for p in allowed):
                return None
            return f"<{header}> belongs to {', '.join(places)} alone"
    return None


def _include_problem(path: Path, quote: str, header: str, headers: dict[str, str]) -> str | None:
    folder = folder_of(path)
    if quote == '"' and not header.startswith("airlore/"):
        if ".." in header.split("/"):
            return f'"{header}" reaches into another folder'
        return None
    if header.startswith(("airlore/v1/", "grpc/health/", "grpc/reflection/")) and header.endswith(".pb-c.h"):
        owner: str | None = "proto"
    elif header.startswith("airlore/"):
        owner = headers.get(header)
        if owner is None:
            return f'"{header}": no such public header'
    else:
        return _vendor_problem(path, header)
    if folder is None or owner == folder or is_test(path):
        return None
    if owner not in rules.LAYERS[folder]:
        return f'"{header}" is of {owner}, which {folder} may not use'
    narrow = rules.NARROW.get((folder, owner))
    if narrow and header not in narrow:
        return f'"{header}": of {owner} only {", ".join(narrow)} may be used here'
    return None


def _links(path: Path) -> list[str]:
    """What the folder's library links, by the names of the targets; tests are not looked at."""
    text = re.sub(r"#[^\n]*", "", text_of(path))
    calls = re.findall(r"\b(?:al_module|target_link_libraries)\s*\(([^)]*)\)", text)
    return [name for call in calls if not re.match(r"\s*(?:test_|al_\w*(?:test|conformance|fixture))", call)
            for name in _LINK.findall(call)]


def layers() -> Result:
    """Includes and links stay within the table of layers; a vendor's header stays in its adapter."""
    result = Result(0, "includes")
    headers = public_headers()
    for path in c_files():
        source = csource.blank(text_of(path), keep_text=True)
        for match in _INCLUDE.finditer(source):
            result.checked += 1
            problem = _include_problem(path, match.group(1), match.group(2), headers)
            if problem:
                result.findings.append(f"{relative(path)}:{csource.line_of(source, match.start())}: {problem}")
    links = 0
    for folder, allowed in rules.LAYERS.items():
        cmake = ROOT / folder / "CMakeLists.txt"
        if folder == "tests" or not cmake.exists():
            continue
        for name in _links(cmake):
            if name in rules.HELPER_TARGETS or name.startswith("vendor_"):
                continue
            links += 1
            owner = rules.TARGETS.get(name)
            if owner is None:
                result.findings.append(f"{relative(cmake)}: links al::{name}, which no layer of the table provides")
            elif owner != folder and owner not in allowed:
                result.findings.append(f"{relative(cmake)}: links al::{name} ({owner}), which {folder} may not use")
    result.note = f"{links} links, {len(headers)} public headers"
    return result
