"""A light reader of C: enough to see calls, prototypes and function bodies, without a compiler."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SKIP = re.compile(r"""
      /\*.*?\*/            # comment
    | //[^\n]*             # comment
    | "(?:\\.|[^"\\\n])*"  # text
    | '(?:\\.|[^'\\\n])*'  # character
""", re.X | re.S)


def blank(source: str, keep_text: bool = False) -> str:
    """The source with comments (and texts, unless kept) replaced by blanks; every line keeps its number."""

    def hide(match: re.Match[str]) -> str:
        whole = match.group(0)
        if whole[0] in "\"'":
            return whole if keep_text else whole[0] + re.sub(r"[^\n]", " ", whole[1:-1]) + whole[-1]
        return re.sub(r"[^\n]", " ", whole)

    return _SKIP.sub(hide, source)


def without_directives(source: str) -> str:
    """Blanked source with preprocessor lines, also continued ones, blanked too."""
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), source, flags=re.M | re.S)


def line_of(source: str, position: int) -> int:
    """Line number of a position, from 1."""
    return source.count("\n", 0, position) + 1


@dataclass
class Item:
    """Something at file level: text up to ';' or up to the brace that opens its body."""

    start: int  # position of its first character
    head: str
    body_start: int  # position of the opening brace, -1 when there is none
    body_end: int  # position of the closing brace


def top_level(source: str) -> list[Item]:
    """Declarations and definitions at file level of a blanked source without directives."""
    items = []
    position = start = 0
    n = len(source)
    while position < n:
        c = source[position]
        if c == ";":
            items.append(_item(source, start, position, -1, -1))
            start = position + 1
        elif c == "{":
            end = _close(source, position)
            items.append(_item(source, start, position, position, end))
            position = end
            start = end + 1
        elif c == "}":  # end of extern "C"
            start = position + 1
        position += 1
    return [i for i in items if i.head]


def _item(source: str, start: int, end: int, body_start: int, body_end: int) -> Item:
    head = source[start:end]
    return Item(start + len(head) - len(head.lstrip()), " ".join(head.split()), body_start, body_end)


def _close(source: str, position: int) -> int:
    """Position of the brace that closes the one at position; extern "C" is entered, not skipped."""
    if re.search(r'extern\s*"[^"]*"\s*$', source[:position]):
        return position
    depth = 0
    for i in range(position, len(source)):
        if source[i] == "{":
            depth += 1
        elif source[i] == "}":
            depth -= 1
            if depth == 0:
                return i
    return len(source) - 1


_ATTRIBUTES = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|\bAL_(?:NODISCARD|EXPORT)\b|\bAL_PRINTF\s*\([^)]*\)"
                         r"|\bAL_(?:REQUIRES|ACQUIRES|RELEASES|EXCLUDES)\s*\([^)]*\)")
_FUNCTION = re.compile(r"^(?!typedef\b)(?:[\w*]+[\s*]+)+?\**(\w+)\s*\(")


def function_name(head: str) -> str | None:
    """The name when the head is that of a function (prototype or definition), else None."""
    plain = _ATTRIBUTES.sub(" ", head).strip()
    if "=" in plain.split("(")[0] or not plain.endswith(")"):
        return None
    match = _FUNCTION.match(plain)
    if not match or match.group(1) in {"if", "while", "for", "switch", "return", "defined"}:
        return None
    return match.group(1)
