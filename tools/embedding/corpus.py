"""The public texts: documentation sections, question threads, DAG files and prompts.

A section's key is `<file>@<offset>`, the offset counted in the file's text without its headings.
The keys are the ones of the retrieval tasks, so that the split of tasks and of tuning pairs is
the same (see split.py).
"""

from __future__ import annotations

import ast
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_CHUNK_CHARS = 2000
MIN_SECTION_CHARS = 200

_GENERATED = ("commits.rst", "changelog.rst", "security.rst")
_INCLUDED = "installing-providers-from-sources.rst"
_ADORNMENT = re.compile(r"([=\-`:'\"~^_*+#<>.!$%&,/;?@|])\1{2,}\s*")
_LABEL = re.compile(r" ?\.\. _[^:]+:\s*")
_INDENTED = r".*(?:\n(?:[ \t]+\S.*|[ \t]*$))*"
_LICENCE = re.compile(r"^ ?\.\. (?:Licensed to|http://www\.apache\.org)" + _INDENTED, re.MULTILINE)
_LICENCE_TOP = re.compile(r"\A(?:\s*\.\. .*(?:\n(?:[ \t]+.*|[ \t]*$))*)")
_FENCE = re.compile(r"\s*(```|~~~)")
_ATX = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_ROLE = re.compile(r":\w[\w:+.-]*:`~?([^`<]*?)(?:\s*<[^`]*>)?`")
_MARKUP = re.compile(r"[`*]|\[([^\]]*)\]\([^)]*\)")
_DIRECTIVE_LINE = re.compile(r"^\s*(?:\.\. .*|:\w+:.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """One documentation section: the heading path above it and its body."""

    key: str
    path: str
    headings: tuple[str, ...]
    body: str

    @property
    def query(self) -> str:
        """The heading path as a query: each heading once, in order."""
        return " ".join(dict.fromkeys(self.headings))

    def is_substantial(self) -> bool:
        """Tell whether the section has a heading, and text enough to be found by it."""
        prose = _DIRECTIVE_LINE.sub("", self.body)
        long_enough = len(prose.strip()) >= MIN_SECTION_CHARS
        return bool(self.headings) and long_enough and len(self.query.split()) >= 2


@dataclass(frozen=True)
class Dag:
    """One DAG file without its docstring; `docstring` is empty where it has none."""

    key: str
    docstring: str
    code: str


@dataclass(frozen=True)
class Corpus:
    """All public texts."""

    sections: list[Section]
    threads: list[dict[str, Any]]
    prompts: list[dict[str, Any]]
    dags: list[Dag]
    named: set[str] = field(default_factory=set)

    def free_prose(self, held: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
        """Yield (key, text) of section pieces, without held sections and copies of their text."""
        taken = {p for s in self.sections if held(s.key) for p in cut(s.body)}
        for section in self.sections:
            if not held(section.key):
                yield from ((section.key, p) for p in cut(section.body) if p not in taken)

    def chunks(self) -> Iterator[tuple[str, str]]:
        """Yield (key, text) of every section piece, answer and DAG file."""
        for section in self.sections:
            for piece in cut(section.body):
                yield section.key, piece
        for thread in self.threads:
            for answer in thread["answers"]:
                yield thread["id"], answer["text"]
        for dag in self.dags:
            yield dag.key, f"{dag.docstring}\n{dag.code}" if dag.docstring else dag.code


def _is_adornment(line: str) -> bool:
    """Tell whether a line is a reStructuredText heading rule."""
    return _ADORNMENT.fullmatch(line) is not None


class _RstReader:
    """Splits a reStructuredText file at its headings."""

    def __init__(self, text: str) -> None:
        if "Licensed to the Apache" in text[:400]:
            text = _LICENCE_TOP.sub("", text)
        self.lines = _LICENCE.sub("", text).split("\n")
        self.styles: list[str] = []

    def _line(self, i: int) -> str:
        return self.lines[i] if i < len(self.lines) else ""

    def _heading(self, i: int) -> tuple[str, str, int] | None:
        """Return (title, style, lines used) of the heading that starts at line i, or None."""
        here, below, under = self._line(i), self._line(i + 1), self._line(i + 2)
        title = below.strip()
        if _is_adornment(here) and title and not _is_adornment(below) and _is_adornment(under):
            rule = under.strip()
            if rule[0] == here.strip()[0] and len(rule) >= len(title) - 1:
                return title, rule[0] * 2, 3
        plain = here.strip() and not here.startswith((" ", "\t", "..")) and not _is_adornment(here)
        if plain and _is_adornment(below) and len(below.strip()) >= len(here.strip()) - 2:
            return here.strip(), below.strip()[0], 2
        return None

    def parts(self) -> Iterator[tuple[int, str | None, list[str]]]:
        """Yield (level, heading or None, body lines) in file order."""
        level, title, body, i = 0, None, [], 0
        while i < len(self.lines):
            found = self._heading(i)
            if found is None:
                if not _LABEL.fullmatch(self.lines[i]):
                    body.append(self.lines[i])
                i += 1
                continue
            yield level, title, body
            title, style, used = found
            if style not in self.styles:
                self.styles.append(style)
            level = self.styles.index(style) + 1
            del self.styles[level:]
            body, i = [], i + used
        yield level, title, body


def _markdown_parts(text: str) -> Iterator[tuple[int, str | None, list[str]]]:
    """Yield (level, heading or None, body lines) of a Markdown file."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    level, title, body, fenced = 0, None, [], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        match = None if fenced else _ATX.fullmatch(line)
        if match is None:
            body.append(line)
            continue
        yield level, title, body
        level, title, body = len(match[1]), match[2], []
    yield level, title, body


def _plain_heading(text: str) -> str:
    """Return a heading without roles, emphasis and link targets."""
    text = _ROLE.sub(r"\1", text)
    return _MARKUP.sub(lambda m: m[1] or "", text).strip()


def sections_of(path: str, text: str) -> Iterator[Section]:
    """Yield the sections of one documentation file that have a body."""
    parts = _RstReader(text).parts() if path.endswith(".rst") else _markdown_parts(text)
    stack: list[tuple[int, str]] = []
    offset = 0
    for level, title, lines in parts:
        if title is not None:
            stack = [s for s in stack if s[0] < level]
            stack.append((level, _plain_heading(title)))
        body = "\n".join(lines).strip("\n") + "\n\n"
        if body.strip():
            headings = tuple(h for _, h in stack)
            if headings and not headings[-1]:
                headings = ()
            yield Section(f"{path}@{offset}", path, headings, body)
            offset += len(body)


def cut(text: str, limit: int = MAX_CHUNK_CHARS) -> list[str]:
    """Cut a text into pieces of at most `limit` characters, at the best border there is."""
    pieces, rest = [], text.strip()
    while len(rest) > limit:
        at = limit
        for border in ("\n\n", "\n", ". ", " "):
            found = rest.rfind(border, limit // 3, limit)
            if found > 0:
                at = found + len(border)
                break
        pieces.append(rest[:at].strip())
        rest = rest[at:].strip()
    return pieces + [rest] if rest else pieces


def _members(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of a tar archive's files, by name."""
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            stream = archive.extractfile(member)
            if stream is not None:
                yield member.name, stream.read().decode("utf-8", "replace")


def _documentation(data: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of the documentation files written by people."""
    for source in ("airflow", "qubinode"):
        for name, text in _members(data / f"{source}-docs.tar.gz"):
            base = name.rsplit("/", 1)[-1]
            if base in _GENERATED or base == _INCLUDED:
                continue
            if "/CHANGELOG" not in name and "_partials" not in name:
                yield f"{source}/{name}", text


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line."""
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def split_docstring(key: str, code: str) -> Dag:
    """Return a DAG file with its module docstring taken out of the code."""
    try:
        module = ast.parse(code)
    except (SyntaxError, ValueError):
        return Dag(key, "", code)
    docstring = ast.get_docstring(module)
    if not docstring:
        return Dag(key, "", code)
    node = module.body[0]
    lines = code.split("\n")
    rest = lines[: node.lineno - 1] + lines[node.end_lineno :]
    text = re.split(r"\n\s*\n(?=.*(?:[Ll]icens|Copyright))", docstring)[0]
    return Dag(key, re.sub(r"\s+", " ", text).strip(), "\n".join(rest))


def _dags(data: Path) -> Iterator[Dag]:
    """Yield the mined and the example DAG files."""
    for row in read_jsonl(data / "mined-dags.jsonl"):
        yield split_docstring("mined/" + row["file"], row["content"])
    for name, code in _members(data / "airflow-example-dags.tar.gz"):
        yield split_docstring("ex/" + name, re.sub(r"\A(?:#[^\n]*\n)+", "", code))


def load(data: Path) -> Corpus:
    """Read all public data below a folder."""
    sections = [s for p, t in _documentation(data) for s in sections_of(p, t)]
    substantial = [s for s in sections if s.is_substantial()]
    counts = Counter(s.query for s in substantial)
    named = {s.key for s in substantial if counts[s.query] == 1}
    return Corpus(
        sections,
        read_jsonl(data / "so-threads.jsonl"),
        read_jsonl(data / "dag-prompts.jsonl"),
        list(_dags(data)),
        named,
    )


def prompt_text(row: dict[str, Any]) -> str:
    """Return a DAG prompt without its version line."""
    return re.sub(r"\s*Airflow Version:.*", "", row["prompt"]).strip()
