"""Rewrites proto3 `optional` fields for protoc-c.

protoc-c 1.4 refuses `optional` in proto3 files. The wire and the presence of such a field are those of a oneof with one
member (protoc itself describes it as a synthetic oneof), so `optional uint32 k = 3;` becomes
`oneof _k { uint32 k = 3; }`. Only protoc-c reads the result; everything else reads the original files.

Usage: protoc_c_rewrite.py IN.proto OUT.proto
"""

import re
import sys

# Comments and string literals are kept as they are, and never searched for the word `optional`.
_SKIP = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
_FIELD = re.compile(
    r"\boptional\s+(?P<type>[A-Za-z_.][\w.]*)\s+(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<number>\d+)\s*(?P<options>\[[^\]]*\])?\s*;"
)
_WORD = re.compile(r"\boptional\b")


class RewriteError(ValueError):
    """A use of `optional` that the rewriting does not understand."""


def _mask(text):
    """Same length as text, with comments and string literals blanked out."""
    return _SKIP.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def rewrite(text, name="<proto>"):
    """Returns (new text, number of fields rewritten); raises RewriteError when a use of `optional` is left over."""
    masked = _mask(text)
    if not re.search(r'^\s*syntax\s*=\s*"proto3"\s*;', text, re.M):
        raise RewriteError(f"{name}: not a proto3 file")
    out, at, count = [], 0, 0
    for match in _FIELD.finditer(masked):
        options = text[match.start("options") : match.end("options")] if match.group("options") else ""
        field = f"{match['type']} {match['name']} = {match['number']}{' ' + options if options else ''};"
        out.append(text[at : match.start()])
        out.append(f"oneof _{match['name']} {{ {field} }}")
        out.append("\n" * masked.count("\n", match.start(), match.end()))  # keep line numbers
        at = match.end()
        count += 1
    out.append(text[at:])
    result = "".join(out)
    left = _WORD.search(_mask(result))
    if left:
        line = result.count("\n", 0, left.start()) + 1
        raise RewriteError(f"{name}:{line}: cannot rewrite this use of 'optional'")
    return result, count


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], encoding="utf-8") as file:
        text = file.read()
    try:
        result, _ = rewrite(text, argv[1])
    except RewriteError as error:
        print(error, file=sys.stderr)
        return 1
    with open(argv[2], "w", encoding="utf-8") as file:
        file.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
