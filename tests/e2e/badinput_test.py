#!/usr/bin/env python3
"""Bad files, bad lines, bad ids, bad filters, bad numbers: each is named with a stable reason, what is good is kept, the server stays.

badinput_test.py BIN_DIR [PART ...]      last line: N passed, N failed
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import wire
from checks import Checks, arguments, hit_ids, lines, memory_mb, reasons, run_parts
from server import Server

SLOW_S = 45.0  # nothing in here may take longer, whatever the build
DIMENSION = 256
SEEN: set[str] = set()  # reasons that came from the server


LOCAL = {"BAD_JSON", "UNREADABLE", "TOO_DEEP", "BAD_TIME"}  # of the command line alone: they never travel


def note(docs: list[Any], message: str = "") -> None:
    """Remember the reasons."""
    SEEN.update(reasons(docs))
    SEEN.update(re.findall(r"\(([A-Z][A-Z_]{3,})\)", message))


def good(name: str) -> str:
    """A document that must be kept."""
    return f"# Good {name}\n\nThe {name} pipeline of the quoll team runs hourly.\n"


def nested() -> dict[str, bytes]:
    """Deep nesting of every format."""
    n = 100_000
    cells = b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":'
    return {
        "deep.md": b"[" * n,
        "deep-quote.md": b"> " * n + b"x",
        "deep-list.md": b"".join(b" " * (2 * i) + b"- x\n" for i in range(2000)),
        "deep-emphasis.md": b"*a " * n,
        "deep-link.md": b"[a](" * n,
        "deep.html": b"<div>" * n + b"the wombat at the bottom",
        "deep-table.html": b"<table><tr><td>" * (n // 5),
        "deep-font.html": b"<b><i><font>" * (n // 10),
        "deep.py": b"x = " + b"(" * n + b")" * n,
        "deep-open.py": b"(" * n,
        "deep-indent.py": b"".join(b" " * i + b"if x:\n" for i in range(3000)),
        "deep.ipynb": cells + b"[" * n + b"]" * n + b"}",
        "deep-object.ipynb": b'{"a":' * n + b"1" + b"}" * n,
        "deep.rst": b"".join(b" " * i + b"* x\n\n" for i in range(3000)),
        "deep-title.rst": b"".join(b"t\n" + bytes([33 + i % 14]) * 3 + b"\n\n" for i in range(5000)),
        "front.md": b"---\n" + b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a, *a, *a, *a, *a, *a, *a, *a]\n" % (i, i) for i in range(2000)) + b"---\n# Front\n\nText of the front matter file.\n",
        "front-deep.md": b"---\na: " + b"[" * n + b"\n---\n# Front\n\nText.\n",
        "front-open.md": b"---\n" + b"a: b\n" * 200_000,
    }


def depth(c: Checks, s: Server) -> None:
    """Deep nesting is cut or refused, soon, and the file beside it is stored."""
    folder = s.root / "deep"
    folder.mkdir()
    slow, retry = [], []
    for name, data in nested().items():
        (folder / name).write_bytes(data)
        began = time.monotonic()
        rc, d, e = s.cli("ingest", str(folder / name))
        note(d, e)
        took = time.monotonic() - began
        c.that(f"{name}: an answer", rc in (0, 1) and d and d[0]["failed"] == len(d[0]["errors"]), (rc, d, e))
        if took > 5:
            slow.append((name, round(took, 1)))
        if "RESOURCE_EXHAUSTED" in reasons(d):
            retry.append((name, d[0]["errors"]))
    c.that("each within a moment", not slow, slow)
    c.that("what can never be read is not said to be a matter of resources", not retry, retry)
    (folder / "good.md").write_text(good("depth"))
    rc, d, e = s.cli("ingest", str(folder))
    c.that("the good one beside them is stored", s.cli("get", "good.md")[0] == 0, (rc, d, e))
    c.alive(s)


def encodings(c: Checks, s: Server) -> None:
    """Binary files and broken encodings: a reason or readable text, never rubbish."""
    folder = s.root / "encodings"
    folder.mkdir()
    r = random.Random(3)
    files = {
        "binary.md": r.randbytes(200_000),
        "binary.py": b"\x7fELF" + r.randbytes(5000),
        "zeros.txt": b"\0" * 100_000,
        "nul.md": b"# Title\n\nA text with a NUL \0 in its middle, otherwise fine.\n",
        "latin1.md": "# Übersicht\n\nDas Gerät läuft täglich für die Größe.\n".encode("latin-1"),
        "utf16.txt": "The bandicoot file is in another encoding.\n".encode("utf-16"),
        "utf16be.md": b"\xfe\xff" + "# Title\n\nBig endian potoroo.\n".encode("utf-16-be"),
        "bom.md": b"\xef\xbb\xbf# Bom\n\nThe marked numbat text.\n",
        "truncated.txt": "한국어 문장이 여기서 잘립니다".encode()[:-1],
        "surrogate.txt": b"a \xed\xa0\x80 b " * 20,
        "overlong.txt": b"a \xc0\xaf b " * 20,
        "empty.md": b"",
        "blank.md": b" \n\t\n",
        "controls.txt": bytes(range(1, 32)) * 50 + b" visible text",
        "crlf.md": b"# Lines\r\n\r\nThe bilby ends its lines otherwise.\r\n",
        "cr.md": b"# Lines\r\rThe old kowari does so, too.\r",
        "not.ipynb": b"# no JSON at all",
        "list.ipynb": b"[1, 2, 3]",
        "cells.ipynb": b'{"cells": {"a": 1}}',
        "source.ipynb": b'{"cells": [{"cell_type": "markdown", "source": 5}, {"cell_type": 7, "source": [1, null, "x"]}, null, 4]}',
        "half.html": b"<html><body><p>The half open <b>quoll",
        "script.html": b"<script>" + b"x" * 100_000,
        "entities.html": b"<p>" + b"&#0;&#x110000;&nosuch;&" * 3000 + b" text of entities</p>",
        "good.md": good("encodings").encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rc, d, e = s.cli("ingest", str(folder))
    note(d, e)
    c.that("the folder is answered", rc in (0, 1) and d, (rc, d, e))
    bad = {x["id"]: x["reason"] for x in d[0]["errors"]} if d else {}
    print(f"      {bad}")
    for name in ("binary.md", "binary.py", "zeros.txt"):
        c.that(f"{name} is refused", name in bad, bad)
    for name in ("not.ipynb", "list.ipynb"):
        c.that(f"{name} is refused", name in bad, bad)
    for name in ("good.md", "bom.md", "crlf.md", "cr.md", "half.html"):
        c.that(f"{name} is kept", s.cli("get", name)[0] == 0, bad)
    rc, d, e = s.cli("get", "bom.md")
    c.that("no mark in the text", rc == 0 and "\ufeff" not in json.dumps(d, ensure_ascii=False), d)
    for name in files:
        rc, d, _ = s.cli("get", name)
        text = json.dumps(d, ensure_ascii=False) if rc == 0 else ""
        c.that(f"{name}: {'stored as text' if rc == 0 else 'not stored, with a reason'}", (rc == 1 and (name in bad or name in ("empty.md", "blank.md", "script.html"))) or (rc == 0 and "\0" not in text), (rc, text[:200]))
    for words in ("bandicoot", "potoroo"):
        rc, d, e = s.cli("search", words, "--mode", "text")
        c.that(f"search for {words} answers", rc == 0, (rc, e))
    c.alive(s)


def files(c: Checks, s: Server) -> None:
    """Kinds of files and names of files."""
    folder = s.root / "kinds"
    (folder / "sub" / "deeper").mkdir(parents=True)
    base = os.fsencode(folder)
    names: dict[bytes, bool | None] = {b"good.md": True, b"with \"quotes\" & 'more'.md": True, b"new\nline.md": False, b"tab\tname.md": False, b"bad\xff\xfeutf8.md": False,
             "한국어 이름.md".encode(): True, b"-rf.md": True, b"%00.md": True, b"a" * 240 + b".md": True, b".hidden.md": None, b"\\back.md": True}
    for i, name in enumerate(names):
        (Path(os.fsdecode(os.path.join(base, name)))).write_text(good(f"name{i}"))
    (folder / "huge.txt").write_bytes(b"word " * 10_000_000)  # 50 MB, one line
    (folder / "sub" / "loop").symlink_to("..")
    (folder / "sub" / "self").symlink_to("self")
    (folder / "sub" / "outside.md").symlink_to("/etc/passwd")
    (folder / "sub" / "dangling.md").symlink_to("/nowhere/at/all.md")
    (folder / "sub" / "deeper" / "there.md").write_text(good("deeper"))
    os.mkfifo(folder / "pipe.md")
    sock = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)
    sock.bind("socket.md")
    os.chdir(here)
    began = time.monotonic()
    rc, d, e = s.cli("ingest", str(folder), timeout=SLOW_S)
    note(d, e)
    sock.close()
    c.that("a folder of everything ends, exit 1", rc == 1 and d and time.monotonic() - began < SLOW_S, (rc, d, e))
    want = sum(1 for v in names.values() if v) + 1
    if not d:
        return
    c.that(f"{want} good files are stored", d[0]["inserted"] + d[0]["updated"] == want, d)
    c.that("four are refused", d[0]["failed"] == 4 and sorted(reasons(d)) == ["BAD_FORMAT"] * 3 + ["TOO_LARGE"], d[0]["errors"])
    c.that("links are not followed", "root:" not in json.dumps(s.cli("search", "root bin bash nologin", "--mode", "text", "--text")[1]))
    for name in names:
        if names[name] and not name.startswith(b"-"):
            rc, d, e = s.cli("get", name.decode())
            c.that(f"{name[:30]!r} comes back", rc == 0 and d[0]["id"] == name.decode(), (rc, e))
    rc, d, e = s.cli("get", "--", "-rf.md")
    c.that("an id with a leading dash", rc == 0, (rc, e))
    for i, deep in enumerate((130, 60)):
        path = s.root / f"far{i}"
        here = os.getcwd()
        path.mkdir()
        os.chdir(path)
        for _ in range(deep):
            os.mkdir("d")
            os.chdir("d")
        Path("bottom.md").write_text(good("bottom"))
        os.chdir(path)
        Path("top.md").write_text(good("top"))
        os.chdir(here)
        rc, d, e = s.cli("ingest", str(path))
        c.that(f"{deep} folders in each other: an answer, the top is there", rc in (0, 1) and d and d[0]["inserted"] >= 1, (rc, d, e))
    unreadable(c, s)
    for path, why in ((s.root / "nothing", "not there"), (folder / "pipe.md", "a pipe"), (Path("/dev/zero"), "a device"), (s.root / "log", "no document")):
        rc, d, e = s.cli("ingest", str(path), timeout=20)
        c.that(f"{why}: a clear error", rc in (1, 2) and not d and e, (rc, d, e))
    c.alive(s)


def unreadable(c: Checks, s: Server) -> None:
    """A file that the user may not read, and a folder; root is somebody else for it."""
    folder = s.root / "locked"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed" / "inside.md").write_text(good("closed"))
    (folder / "secret.md").write_text(good("secret"))
    (folder / "open.md").write_text(good("open"))
    (folder / "secret.md").chmod(0)
    (folder / "closed").chmod(0)
    command = [str(s.bin / "airlore"), "--server", s.grpc, "--key", s.key, "--json", "ingest", str(folder)]
    more: dict[str, Any] = {}
    if os.geteuid() == 0:
        s.root.chmod(0o755)
        more = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        p = subprocess.run(command, capture_output=True, text=True, env=s.env, timeout=SLOW_S, **more)
    except PermissionError as e:
        c.skip("an unreadable file", f"the right to run {e.filename} as another user")
        return
    finally:
        (folder / "closed").chmod(0o755)
    if p.returncode == 126 or "ermission denied" in p.stderr and not p.stdout:
        c.skip("an unreadable file", "a build folder that another user can read")
        return
    d = [json.loads(p.stdout)] if p.stdout else []
    c.that("unreadable file and folder are named, the other is stored", p.returncode == 1 and d and d[0]["inserted"] == 1 and reasons(d) == ["UNREADABLE"] * 2, (p.returncode, p.stdout, p.stderr))


def bad_lines(c: Checks, s: Server) -> None:
    """JSON lines: each bad one is named with its number and a reason, the others are stored."""
    ok = {"id": "line-ok", "text": "a line about the quenda that is fine"}
    vector = [1.0] + [0.0] * (DIMENSION - 1)
    cases: list[tuple[str, object, str]] = [
        ("no id", {"text": "x y z"}, "REQUIRED"),
        ("no text", {"id": "l1"}, "REQUIRED"),
        ("id a number", {"id": 5, "text": "x y z"}, "BAD_FORMAT"),
        ("text a list", {"id": "l3", "text": ["x"]}, "BAD_FORMAT"),
        ("title an object", {"id": "l4", "text": "x y z", "title": {}}, "BAD_FORMAT"),
        ("tags a text", {"id": "l5", "text": "x y z", "tags": "a"}, "BAD_FORMAT"),
        ("tags of numbers", {"id": "l6", "text": "x y z", "tags": [1]}, "BAD_FORMAT"),
        ("metadata a list", {"id": "l7", "text": "x y z", "metadata": [1]}, "BAD_FORMAT"),
        ("an unknown format", {"id": "l8", "text": "x y z", "format": "exe"}, "MEDIA_TYPE_UNSUPPORTED"),
        ("a vector with NaN", b'{"id":"l9","text":"x y z","vector":[NaN]}', "BAD_JSON"),
        ("a vector of texts", {"id": "l10", "text": "x y z", "vector": ["1"] * DIMENSION}, "BAD_FORMAT"),
        ("a huge number in a vector", b'{"id":"l11","text":"x y z","vector":[1e400]}', "BAD_JSON"),
        ("a number that no float holds", {"id": "l12", "text": "x y z", "vector": [1e300, *vector[1:]]}, "BAD_FORMAT"),
        ("a vector of another dimension", {"id": "l13", "text": "x y z", "vector": [1.0, 2.0]}, "DIMENSION_MISMATCH"),
        ("a vector of zeros", {"id": "l14", "text": "x y z", "vector": [0.0] * DIMENSION}, "NOT_FINITE"),
        ("10,000 tags", {"id": "l15", "text": "x y z", "tags": [f"t{i}" for i in range(10_000)]}, "TOO_MANY"),
        ("5,000 entries of metadata", {"id": "l16", "text": "x y z", "metadata": {f"k{i}": "v" for i in range(5_000)}}, "TOO_MANY"),
        ("a tag of 1 MB", {"id": "l17", "text": "x y z", "tags": ["t" * 1_000_000]}, "TOO_LARGE"),
        ("a title of 1 MB", {"id": "l18", "text": "x y z", "title": "t" * 1_000_000}, "TOO_LARGE"),
        ("a metadata value of 1 MB", {"id": "l19", "text": "x y z", "metadata": {"k": "v" * 1_000_000}}, "TOO_LARGE"),
        ("an empty text", {"id": "l20", "text": ""}, "CONTENT_EMPTY|REQUIRED"),
        ("a blank text", {"id": "l21", "text": " \n\t "}, "CONTENT_EMPTY"),
        ("an empty id", {"id": "", "text": "x y z"}, "REQUIRED|BAD_FORMAT"),
        ("an id of 513 bytes", {"id": "i" * 513, "text": "x y z"}, "BAD_FORMAT|TOO_LARGE"),
        ("an id with a line end", {"id": "a\nb", "text": "x y z"}, "BAD_FORMAT"),
        ("an id with NUL", b'{"id":"a\\u0000b","text":"x y z"}', "BAD_JSON|BAD_FORMAT"),
        ("a text with NUL", b'{"id":"l25","text":"a\\u0000b"}', "BAD_JSON|BAD_FORMAT|NUL_BYTE"),
        ("half a surrogate", b'{"id":"l26","text":"a \\ud800 b"}', "BAD_JSON"),
        ("broken UTF-8", b'{"id":"l27","text":"a \xff b"}', "BAD_JSON"),
        ("no JSON", b"hello", "BAD_JSON"),
        ("a number", b"5", "BAD_JSON"),
        ("a list", b'["id","text"]', "BAD_JSON"),
        ("two objects", b'{"id":"l31","text":"x"} {"id":"l32","text":"y"}', "BAD_JSON"),
        ("half an object", b'{"id":"l33","text":"x"', "BAD_JSON"),
        ("100,000 brackets", b'{"id":"l34","text":"x","metadata":' + b"[" * 100_000, "BAD_JSON"),
        ("17 MB", b'{"id":"l35","text":"' + b"w " * (17 << 19) + b'"}', "TOO_LARGE"),
        ("17 MB and no end of the text", b'{"id":"l36","text":"' + b"w" * (17 << 20), "TOO_LARGE"),
        ("a time that is none", {"id": "l37", "text": "x y z", "create_time": "yesterday"}, "BAD_FORMAT|BAD_TIME"),
    ]
    rows = []
    for _, row, _ in cases:
        rows += [row, {**ok, "id": f"line-ok-{len(rows)}"}]
    rc, d, e = s.cli("ingest", lines(s, "bad.jsonl", rows))
    note(d, e)
    c.that("bad lines end with exit 1", rc == 1 and d, (rc, d, e))
    if not d:
        return
    c.that(f"{len(cases)} failed, {len(cases)} stored", d[0]["failed"] == len(cases) and d[0]["inserted"] == len(cases), {k: d[0][k] for k in ("failed", "inserted", "updated", "skipped")})
    by_line = {x.get("line"): x for x in d[0]["errors"]}
    for i, (name, _, reason) in enumerate(cases):
        got = by_line.get(2 * i + 1, {})
        c.that(f"{name}: {got.get('reason')}", got.get("reason") in reason.split("|") and got.get("message"), (reason, got))
    rc, d, e = s.cli("list", "--filter", 'id = "line-ok-*"', "--limit", "0")
    c.that("the good ones are there", rc == 0 and len(d[0]["items"]) == len(cases), (rc, e))
    same = [{"id": "twice", "text": f"version {i} of the dunnart"} for i in range(50)]
    rc, d, e = s.cli("ingest", lines(s, "twice.jsonl", same))
    rc2, d2, e2 = s.cli("get", "twice")
    c.that("one id fifty times: the last stays", rc == 0 and d[0]["failed"] == 0 and "version 49 of" in json.dumps(d2), (rc, d, e, rc2, d2, e2))
    rc, d, e = s.cli("search", "version dunnart", "--all-chunks", "--mode", "text")
    c.that("and is found once", hit_ids(d).count("twice") == 1, hit_ids(d))
    rc, d, e = s.cli("ingest", "-", stdin="")
    c.that("an empty input is nothing", rc == 0 and d[0]["inserted"] == 0, (rc, d, e))
    c.alive(s)


def large(c: Checks, s: Server) -> None:
    """Documents of megabytes: a search, a list and a question look at many of them and stay within their memory."""
    r = random.Random(9)
    words = [f"w{r.randrange(1 << 40):x}" for _ in range(3000)]
    paragraph = ["chuditch " + " ".join(r.choices(words, k=60)) for _ in range(200)]
    # hardly any heading or paragraph, so that storing them is quick; the last line is the one to be found
    rows = [{"id": f"large-{i}", "title": f"Large {i}", "text": ("\n\n".join(r.sample(paragraph, 40)) + "\n\n") * 4 + "x" * 5_000_000} for i in range(14)]
    rc, d, e = s.cli("ingest", lines(s, "large.jsonl", rows), timeout=SLOW_S)
    note(d, e)
    c.that("14 documents of 5 MB", rc == 0 and d[0]["inserted"] == 14, (rc, d, e))
    for args in (("search", "chuditch", "-k", "20"), ("search", "chuditch", "-k", "100", "--all-chunks", "--mode", "text"), ("list", "--filter", 'id = "large-*"'), ("ask", "which chuditch?"), ("get", "large-3")):
        rc, d, e = s.cli(*args)
        note(d, e)
        found = len(d[0].get("hits") or d[0].get("items") or [1] * 14) if d else 0
        c.that(f"{args[0]} {' '.join(args[2:])}: answered with {found}", rc == 0 and found >= 14, (rc, e))
    query = wire.field(1, wire.field(1, "q") + wire.field(2, wire.search("chuditch", 20, 'id = "large-*"')))  # fewer documents than asked for: it looks deeper
    a = wire.call(s.grpc, s.key, wire.KNOWLEDGE + "BatchSearch", query * 32, timeout=60)
    c.that("a batch of 32 searches over them", a.code == "OK" and b"MEMORY" not in b"".join(a.messages), a)
    rc, d, e = s.cli("delete", "--filter", 'id = "large-*"', "--yes")
    c.that("deleted", rc == 0 and d[0]["count"] == 14, (rc, d, e))
    c.alive(s)


def ids(c: Checks, s: Server) -> None:
    """Ids come back byte for byte."""
    good_ids = ["a", "i" * 512, "a/b/c", "../../etc/passwd", "..", ".", "%00", "a b", "a\"b", "'", "\\", "한국어/경로", "é", "e\u0301", "a:b;c,d=e", "*", "?", "$(id)", "\u202eabc", "😀" * 128, " lead", "trail ", "-k"]
    rows = [{"id": x, "text": f"identity number {i} of the kultarr"} for i, x in enumerate(good_ids)]
    rc, d, e = s.cli("ingest", lines(s, "ids.jsonl", rows))
    note(d, e)
    c.that("odd ids are stored", rc == 0 and d[0]["inserted"] == len(good_ids), (rc, d, e))
    for i, x in enumerate(good_ids):
        rc, d, e = s.cli("get", "--", x)
        c.that(f"{x[:20]!r} comes back", rc == 0 and d[0]["id"] == x and f"number {i} " in d[0]["text"], (rc, d, e))
    for bad in ("x" * 513, "x" * 100_000, "a\nb", "\x01"):
        rc, d, e = s.cli("get", bad)
        note(d, e)
        c.that(f"get {bad[:10]!r} of {len(bad)} bytes is refused", rc in (1, 2) and not d and e, (rc, d, e[:200]))
    rc, d, e = s.cli("delete", "--", *[x for x in good_ids if x != "-k"][:5])
    c.that("deleted by their ids", rc == 0, (rc, d, e))


def numbers(c: Checks, s: Server) -> None:
    """Filters, k, batches and sizes, with the command line and past it on the wire."""
    depth_17 = "(" * 17 + 'kind = "doc"' + ")" * 17
    for name, text in (("5 KB", 'kind = "' + "x" * 5000 + '"'), ("17 levels", depth_17), ("100,000 brackets", "(" * 100_000), ("unbalanced quotes", 'kind = "doc'),
                       ("unbalanced brackets", '(kind = "doc"'), ("an unknown field", 'colour = "red"'), ("no operator", "kind"), ("a wrong type", "created > 5 AND"),
                       ("65 terms", " AND ".join(['kind = "doc"'] * 65)), ("1,000 NOTs", "NOT " * 1000 + 'kind = "doc"'), ("1,000 dashes", "-" * 1000 + 'kind = "doc"'),
                       ("a bad version", 'airflow >= "x.y.z.."'), ("controls", 'kind = "\x01\x02"  \x03')):
        rc, d, e = s.cli("search", "sensor", "--filter", text)
        note(d, e)
        ok = (rc in (1, 2) and not d and "BAD_FILTER" in e) or (name in ("controls", "5 KB") and rc in (0, 1, 2))
        c.that(f"a filter: {name}", ok, (rc, d, e[:300]))
    for k in ("0", "-1", "1000001", "text", "", "1e3", "99999999999999999999", "0x10", "3.5"):
        rc, d, e = s.cli("search", "sensor", "-k", k)
        c.that(f"-k {k!r}: wrong usage", rc == 2 and not d and "-k" in e, (rc, d, e))
    for score in ("nan", "-1", "2", "x"):
        rc, d, e = s.cli("search", "sensor", "--min-score", score)
        c.that(f"--min-score {score}: wrong usage", rc == 2 and not d, (rc, d, e))
    rc, d, e = s.cli("search", "x" * 100_000)
    note(d, e)
    c.that("a query of 100 KB: too large", rc in (1, 2) and "TOO_LARGE" in e, (rc, d, e))
    for text in ("", " ", "\n", "!!! ???"):
        rc, d, e = s.cli("search", text)
        c.that(f"the query {text!r}: an answer or a reason", (rc == 0 and d) or (rc in (1, 2) and e), (rc, d, e))
    rows: list[object] = [{"id": str(i), "text": f"sensor {i}"} for i in range(257)]
    rows[100] = {"id": "100", "text": "sensor", "filter": "((("}
    rows[101] = b"garbage"
    rows[102] = {"id": "102", "text": "sensor", "k": 5000}
    rows[103] = {"id": "103", "text": "y" * 1_000_000}
    rows[104] = {"id": "104"}
    rc, d, e = s.cli("search", "--batch", lines(s, "batch.jsonl", rows))
    bad = [i for i, x in enumerate(d) if "error" in x]
    SEEN.update(d[i]["error"]["reason"] for i in bad if i != 101)
    c.that("a batch of 257: all are answered in order, the bad ones named", rc == 1 and len(d) == 257 and bad == [100, 101, 102, 103, 104] and d[256]["id"] == "256", (rc, len(d), bad, e))
    on_the_wire(c, s)
    c.alive(s)


def on_the_wire(c: Checks, s: Server) -> None:
    """What the command line would not send."""
    find, batch = wire.KNOWLEDGE + "Search", wire.KNOWLEDGE + "BatchSearch"
    nan, inf = float("nan"), float("inf")
    text = wire.search("sensor")
    query = wire.field(1, wire.field(1, "q") + wire.field(2, wire.search("sensor", 1)))
    cases = [
        ("k = 0", find, wire.search("sensor", 0), "K_OUT_OF_RANGE"),
        ("k = a million", find, wire.search("sensor", 1_000_001), "K_OUT_OF_RANGE"),
        ("k = 2^32 - 1", find, wire.search("sensor", (1 << 32) - 1), "K_OUT_OF_RANGE"),
        ("k = -1", find, wire.search("sensor", -1), "K_OUT_OF_RANGE"),
        ("text_k of 4 billion", find, text + wire.field(19, (1 << 32) - 1), "OUT_OF_RANGE|K_OUT_OF_RANGE|"),
        ("ef of 4 billion", find, text + wire.field(21, (1 << 32) - 1), "OUT_OF_RANGE|K_OUT_OF_RANGE|"),
        ("min_score NaN", find, text + wire.field(7, nan), "OUT_OF_RANGE|NOT_FINITE"),
        ("min_score 2", find, text + wire.field(7, 2.0), "OUT_OF_RANGE"),
        ("vector_weight NaN", find, text + wire.field(13, nan), "OUT_OF_RANGE|NOT_FINITE"),
        ("vector_weight -1", find, text + wire.field(13, -1.0), "OUT_OF_RANGE"),
        ("mode 99", find, text + wire.field(4, 99), "BAD_ENUM"),
        ("fusion 99", find, text + wire.field(12, 99), "BAD_ENUM"),
        ("scope 99", find, text + wire.field(17, 99), "BAD_ENUM"),
        ("a token that is none", find, text + wire.field(8, "0:banana"), "BAD_TOKEN"),
        ("a token of another server", find, text + wire.field(8, "7:1"), "BAD_TOKEN"),
        ("a token of 1 MB", find, text + wire.field(8, "0:1," * 250_000), "BAD_TOKEN|TOO_LARGE|"),
        ("a vector of NaN", find, wire.field(2, wire.floats([nan] * DIMENSION)), "NOT_FINITE"),
        ("a vector with infinity", find, wire.field(2, wire.floats([inf] + [0.0] * (DIMENSION - 1))), "NOT_FINITE"),
        ("a vector of zeros", find, wire.field(2, wire.floats([0.0] * DIMENSION)), "NOT_FINITE"),
        ("a vector of 3", find, wire.field(2, wire.floats([1.0] * 3)), "DIMENSION_MISMATCH"),
        ("a vector of a million", find, wire.field(2, wire.floats([1.0] * 1_000_000)), "DIMENSION_MISMATCH"),
        ("another embedder's name", find, wire.field(2, wire.floats([1.0] * DIMENSION)) + wire.field(16, "other"), "EMBEDDER_MISMATCH"),
        ("no query", find, b"", "QUERY_EMPTY"),
        ("a query of 1 MB", find, wire.search("x" * 1_000_000), "TOO_LARGE"),
        ("broken UTF-8", find, wire.search(b"\xff\xfe"), "BAD_UTF8"),
        ("a NUL", find, wire.search("a\0b"), "NUL_BYTE"),
        ("no message", find, b"\xff" * 100, "MESSAGE_MALFORMED"),
        ("a length that is not there", find, b"\x0a\xff\xff\xff\xff\x0f", "MESSAGE_MALFORMED"),
        ("3 million fields", find, wire.field(17, 1) * 3_000_000, "MEMORY_LIMIT|TOO_MANY|MESSAGE_MALFORMED"),
        ("a batch of 257", batch, query * 257, "TOO_MANY"),
        ("a batch of none", batch, b"", "TOO_MANY|REQUIRED"),
        ("a batch with k = 1000 each", batch, wire.field(1, wire.field(2, wire.search("sensor", 1000))) * 256, "TOO_MANY|OUT_OF_RANGE|K_OUT_OF_RANGE"),
        ("an empty id", wire.KNOWLEDGE + "GetItem", b"", "REQUIRED|BAD_FORMAT"),
        ("an id of 513 bytes", wire.KNOWLEDGE + "GetItem", wire.field(1, "x" * 513), "BAD_FORMAT|TOO_LARGE"),
        ("a page of -1", wire.KNOWLEDGE + "ListItems", wire.field(4, -1), "OUT_OF_RANGE"),
        ("a page token that is none", wire.KNOWLEDGE + "ListItems", wire.field(5, "banana"), "BAD_PAGE_TOKEN"),
        ("a space that is none", wire.KNOWLEDGE + "ListItems", wire.field(1, "teams/../x"), "BAD_FORMAT|TEAM_NOT_FOUND|SPACE_FORBIDDEN"),
        ("a question of nothing", wire.KNOWLEDGE + "Ask", b"", "QUERY_EMPTY"),
        ("a million sentences", wire.KNOWLEDGE + "Ask", wire.field(1, "sensor") + wire.field(6, 1_000_000), "OUT_OF_RANGE"),
        ("an unknown method", wire.KNOWLEDGE + "Nope", b"", "METHOD_UNKNOWN"),
        ("an unknown service", "/no.Such/Method", b"", "METHOD_UNKNOWN"),
    ]
    for name, path, payload, want in cases:
        a = wire.call(s.grpc, s.key, path, payload)
        wanted = want.split("|")
        ok = a.reason in wanted and a.code not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE") and (a.code == "OK" or a.text or a.reason)
        if a.reason:
            SEEN.add(a.reason)
        c.that(f"on the wire: {name}: {a.code} {a.reason}", ok, (want, a))
    a = wire.call(s.grpc, s.key, find, wire.search("x" * 20_000_000))
    c.that("a message of 20 MB is refused", a.code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"), a)
    streams(c, s)


def streams(c: Checks, s: Server) -> None:
    """Ingest streams out of order."""
    options, item = wire.field(1, b""), wire.field(2, wire.field(1, "wire-1") + wire.field(2, "an item past the command line") + wire.field(11, 7))
    finish = wire.field(5, b"")
    cases = [("no message at all", [], "STREAM_ORDER"), ("an item first", [item], "STREAM_ORDER"), ("options twice", [options, options], "STREAM_ORDER"),
             ("an empty message", [options, b""], "REQUIRED|MESSAGE_MALFORMED"), ("rubbish after the options", [options, b"\xff\xff"], "MESSAGE_MALFORMED"),
             ("a good item", [options, item, finish], "")]
    for name, parts, want in cases:
        with wire.Connection(s.grpc, s.key) as w:
            w.open(wire.KNOWLEDGE + "Ingest")
            for part in parts:
                w.send(wire.message(part))
            w.end()
            a = w.finish()
        if a.reason:
            SEEN.add(a.reason)
        c.that(f"a stream: {name}: {a.code} {a.reason}", a.reason in want.split("|") and (a.code == "OK") == (want == ""), (want, a))
    bad = [wire.field(1, x) + wire.field(2, "text of an item") for x in ("", "x" * 513, "a\x01b")]
    nan = wire.field(1, "nan") + wire.field(2, "text") + wire.field(12, wire.floats([float("nan")] * DIMENSION))
    with wire.Connection(s.grpc, s.key) as w:
        w.open(wire.KNOWLEDGE + "Ingest")
        w.send(wire.message(options))
        w.send(wire.message(wire.field(3, b"".join(wire.field(1, x) for x in [*bad, nan, wire.field(1, "wire-2") + wire.field(2, "good")]))))
        w.send(wire.message(finish), end=True)
        a = w.finish()
    c.that("bad items on the wire: a reason each, the good one kept", a.code == "OK" and b"".join(a.messages).count(b"NOT_FINITE") == 1 and s.cli("get", "wire-2")[0] == 0, (a, a.messages))


def contract(c: Checks, s: Server) -> None:
    """Every reason that was seen is one of the contract."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text()
    known = LOCAL | set(re.findall(r"`([A-Z][A-Z0-9_]+)`", page)) | set(wire.CODES)
    c.that(f"{len(SEEN)} reasons were seen, all of them in docs/errors.md", len(SEEN) > 10 and SEEN <= known, sorted(SEEN - known))
    c.that(f"the most memory it ever took: {memory_mb(s, 'VmHWM'):.0f} MB", memory_mb(s, "VmHWM") < 900, memory_mb(s, "VmHWM"))
    rc, d, e = s.cli("cluster", "verify", "--deep")
    c.that("verify is green after all of it", rc == 0, (rc, d, e))


if __name__ == "__main__":
    BIN, ONLY = arguments()
    sys.exit(run_parts((depth, encodings, files, bad_lines, ids, numbers, large, contract), Server(BIN), ONLY))
