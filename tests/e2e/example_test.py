#!/usr/bin/env python3
"""The example knowledge and its questions, sharing, deleting, the life of keys, and quotas, as a user meets them.

example_test.py BIN_DIR EXAMPLES [PART ...]      last line: N passed, N failed
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from checks import Checks, hit_ids, lines, reasons, run_parts
from server import Server

MISSES = 2  # answerable questions whose document may be missing from the first five
SILENT = 3  # answerable questions that may be answered with "I do not know"; docs/retrieval.md
BOLD = 0  # questions without an answer that may be answered

EXAMPLES = Path()


def questions() -> list[dict[str, str | None]]:
    """Question and expected document, null for one that has no answer here."""
    return [json.loads(line) for line in (EXAMPLES / "questions.jsonl").read_text().splitlines()]


def loading(c: Checks, s: Server) -> None:
    """The folder goes in; the second time nothing is new."""
    folder = str(EXAMPLES / "knowledge")
    files = sum(1 for p in Path(folder).rglob("*") if p.suffix in (".md", ".rst", ".html", ".txt", ".py", ".ipynb"))
    rc, d, e = s.cli("ingest", folder)
    c.that("the example folder is stored whole", rc == 0 and d and d[0]["inserted"] == files >= 40 and not d[0]["errors"], (rc, d, e, files))
    rc, d, e = s.cli("ingest", folder)
    c.that("a second time everything is skipped", rc == 0 and d and d[0]["skipped"] == files and d[0]["inserted"] == 0, (rc, d, e))


def answers(c: Checks, s: Server) -> None:
    """What the questions find."""
    asked = [q for q in questions() if q["expect"]]
    null = [q for q in questions() if not q["expect"]]
    missed, silent, bold, bare = [], [], [], []
    for q in asked:
        _, d, _ = s.cli("search", str(q["question"]), "-k", "5")
        if q["expect"] not in hit_ids(d):
            missed.append((q["question"], hit_ids(d)))
        rc, d, e = s.cli("ask", str(q["question"]))
        if rc != 0 or d[0]["abstained"]:
            silent.append((q["question"], rc, e))
        elif not d[0]["sources"] or "[1]" not in d[0]["answer"]:
            bare.append((q["question"], d[0]))
    for q in null:
        rc, d, e = s.cli("ask", str(q["question"]))
        if rc != 0 or not d[0]["abstained"]:
            bold.append((q["question"], rc, d, e))
    for why, found in (("not in the first five", missed), ("abstained", silent), ("answered without a source for it", bold)):
        for entry in found:
            print(f"      {why}: {str(entry)[:300]}")
    c.that(f"{len(asked)} questions, {len(missed)} documents missed", len(asked) == 20 and len(missed) <= MISSES, missed)
    c.that(f"{len(silent)} of them abstained", len(silent) <= SILENT, silent)
    c.that("every answer cites its sources", not bare, bare)
    c.that(f"{len(null)} questions without an answer, {len(bold)} answered", len(null) == 5 and len(bold) <= BOLD, bold)


def sharing(c: Checks, s: Server) -> None:
    """Promote with a preview, withdraw, and who sees what in between."""
    for team in ("red", "blue"):
        s.cli("team", "create", team)
    red, reviewer, blue = (s.cli("key", "create", "--team", t, "--role", r)[1][0]["key"]
                           for t, r in (("red", "contributor"), ("red", "reviewer"), ("blue", "contributor")))
    item = {"id": "plan/é \"1\"", "title": "Quokka", "text": "The quokka export waits for the ledger. password=hunter2hunter2 api_key=ghp_0123456789abcdefghijABCDEFGHIJ012345"}
    rc, d, e = s.cli("ingest", lines(s, "share.jsonl", [item]), key=red)
    c.that("an item of a team", rc == 0 and d[0]["inserted"] == 1 and d[0]["redactions"] >= 1, (rc, d, e))
    rc, d, e = s.cli("promote", item["id"], "--preview", key=red)
    c.that("the preview has a digest and no secret", rc == 0 and d[0]["digest"] and "ghp_" not in json.dumps(d), (rc, d, e))
    digest = d[0]["digest"] if d else "x"
    c.that("nothing is shared by a preview", s.cli("get", item["id"], key=blue)[0] == 1)
    rc, d, e = s.cli("promote", item["id"], "--confirm", "0" * len(digest), key=red)
    c.that("another digest is refused", rc in (1, 5) and "PREVIEW_STALE" in e, (rc, d, e))
    rc, d, e = s.cli("promote", item["id"], "--confirm", digest, key=red)
    c.that("promoted", rc == 0, (rc, d, e))
    rc, d, e = s.cli("get", item["id"], key=red)
    c.that("and the original says under which id", rc == 0 and d[0]["promoted_id"].endswith(item["id"]) and d[0]["promoted_id"] != item["id"], (rc, d, e))
    rc, d, e = s.cli("search", "quokka ledger", key=blue)
    c.that("another team finds it, without the owner's name", rc == 0 and "red" not in json.dumps([h["owner"] for h in d[0]["hits"]]) and d[0]["hits"][0]["scope"] == "community", (rc, d, e))
    rc, d, e = s.cli("withdraw", item["id"], key=blue)
    c.that("another team cannot withdraw it", rc in (1, 5) and hit_ids(s.cli("search", "quokka ledger", key=blue)[1]), (rc, d, e))
    rc, d, e = s.cli("withdraw", item["id"], key=reviewer)
    c.that("withdrawn", rc == 0, (rc, d, e))
    rc, d, e = s.cli("search", "quokka ledger", key=blue)
    c.that("gone for the other team", rc == 0 and "quokka" not in json.dumps(d).lower(), (rc, d, e))
    rc, d, e = s.cli("withdraw", item["id"], key=red)
    c.that("a second time is a clear error", rc in (1, 5) and "ITEM_STATE" in e or "ITEM_NOT_FOUND" in e, (rc, d, e))
    c.that("the owner still has it", s.cli("get", item["id"], key=red)[0] == 0)


def deleting(c: Checks, s: Server) -> None:
    """List with a filter, delete by filter with a preview, by id, and what disappeared from a folder."""
    rows = [{"id": f"del-{i}", "text": f"note {i} about wombats", "kind": "wombat" if i % 2 else "bilby", "tags": ["marsupial"]} for i in range(20)]
    s.cli("ingest", lines(s, "del.jsonl", rows))
    rc, d, e = s.cli("list", "--filter", 'kind = "wombat"', "--limit", "0")
    c.that("list with a filter", rc == 0 and len(d[0]["items"]) == 10, (rc, d, e))
    rc, d, e = s.cli("list", "--filter", 'kind = "wombat"', "--limit", "0", "--text")
    c.that("list with texts", rc == 0 and len(d[0]["items"]) == 10 and all("about wombats" in i["text"] and i["revision"] == 1 and i["media_type"] == "text/plain" for i in d[0]["items"]), (rc, d, e))
    rc, d, e = s.cli("delete", "--filter", 'kind = "wombat"')
    c.that("delete by filter shows and does not delete", rc == 0 and d[0]["count"] == 10 and d[0]["deleted"] is False and d[0]["digest"], (rc, d, e))
    digest = d[0]["digest"] if d else "x"
    s.cli("ingest", lines(s, "del2.jsonl", [{"id": "del-new", "text": "one more wombat", "kind": "wombat"}]))
    rc, d, e = s.cli("delete", "--filter", 'kind = "wombat"', "--confirm", digest)
    c.that("a preview that something was added to is stale", rc in (1, 5) and "PREVIEW_STALE" in e, (rc, d, e))
    rc, d, e = s.cli("delete", "--filter", 'kind = "wombat"', "--yes")
    c.that("deleted", rc == 0 and d[0]["deleted"] and d[0]["count"] == 11, (rc, d, e))
    rc, d, e = s.cli("list", "--filter", 'kind = "wombat"')
    c.that("none is left, the others are", rc == 0 and not d[0]["items"] and len(s.cli("list", "--filter", 'kind = "bilby"')[1][0]["items"]) == 10, (rc, d, e))
    rc, d, e = s.cli("delete", "del-0", "del-2")
    c.that("delete by id", rc == 0 and s.cli("get", "del-0")[0] == 1 and s.cli("get", "del-4")[0] == 0, (rc, d, e))
    folder = s.root / "folder"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.md").write_text(f"# Note {name}\n\nThe numbat number {name} eats termites.\n")
    s.cli("ingest", str(folder))
    (folder / "b.md").unlink()
    rc, d, e = s.cli("ingest", str(folder), "--delete-missing")
    c.that("what disappeared is deleted when asked, and only that", rc == 0 and d[0]["deleted"] == 1 and s.cli("get", "b.md")[0] == 1 and s.cli("get", "a.md")[0] == 0 and s.cli("get", "del-4")[0] == 0, (rc, d, e))


def keys(c: Checks, s: Server) -> None:
    """Created, used, revoked; what a reader may not do; one that ends."""
    rc, d, e = s.cli("key", "create", "--role", "reader")
    c.that("a key is made", rc == 0 and d[0]["key"].startswith("al_"), (rc, e))
    key, name = d[0]["key"], d[0]["id"]
    c.that("and is used", s.cli("search", "sensor", key=key)[0] == 0)
    note = lines(s, "reader.jsonl", [{"id": "reader-note", "text": "not to be stored"}])
    for args in (("ingest", note), ("delete", "del-4"), ("promote", "del-4", "--preview"), ("team", "create", "mine"), ("key", "create"), ("key", "revoke", name)):
        rc, d, e = s.cli(*args, key=key)
        c.that(f"a reader cannot {args[0]} {args[1][:8]}", rc == 5 and ("ROLE_MISSING" in e or "PERMISSION" in e or "SPACE_FORBIDDEN" in e), (rc, d, e))
    c.that("nothing came of it", s.cli("get", "reader-note")[0] == 1 and s.cli("get", "del-4")[0] == 0)
    rc, d, e = s.cli("key", "list")
    c.that("listed, without the secret", name in json.dumps(d) and key.split("_")[2] not in json.dumps(d), (rc, e))
    rc, d, e = s.cli("key", "revoke", name)
    c.that("revoked", rc == 0, (rc, d, e))
    rc, d, e = s.cli("search", "sensor", key=key)
    c.that("a revoked key is refused at once", rc == 5 and "KEY_REVOKED" in e and not d, (rc, d, e))
    c.that("the secret never stands in the log", key.split("_")[2] not in (s.root / "log").read_text())
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    rc, d, e = s.cli("key", "create", "--role", "reader", "--expires", soon)
    c.that("a key that ends soon", rc == 0 and s.cli("search", "sensor", key=d[0]["key"])[0] == 0, (rc, d, e))
    time.sleep(4)
    rc, d, e = s.cli("search", "sensor", key=d[0]["key"] if d else "x")
    c.that("is refused afterwards", rc == 5 and "KEY_EXPIRED" in e, (rc, d, e))
    for bad in ("x", "al_", "al_nope_nope", "al_" + name + "_wrong", key + "x", "al_\x7f_y", "al_" + "a" * 5000 + "_b"):
        rc, d, e = s.cli("search", "sensor", key=bad)
        c.that(f"the key {bad[:20]!r} is refused and nothing is said", rc in (2, 5) and not d and e, (rc, d, e))
    own = s.cli("whoami")[1][0]["key"].rsplit("/", 1)[1]
    rc, d, e = s.cli("key", "revoke", own)
    c.that("the last admin key cannot be revoked", rc != 0 and "LAST_ONE" in e and s.cli("whoami")[0] == 0, (rc, d, e))


def quotas(c: Checks, s: Server) -> None:
    """Calls a second and bytes a day of one key; other keys are not touched by it."""
    key = s.cli("key", "create", "--role", "contributor")[1][0]
    rc, d, e = s.cli("quota", "set", key["id"], "--calls-per-second", "1")
    c.that("calls a second are set", rc == 0, (rc, d, e))
    answers_of = [s.cli("search", "sensor", "--timeout", "0.4", key=key["key"]) for _ in range(20)]
    refused = [a for a in answers_of if a[0] != 0]
    c.that(f"{len(refused)} of 20 calls without time to wait are refused", 1 <= len(refused) < 20 and all(a[0] == 5 and "RATE_LIMITED" in a[2] for a in refused), refused[:2])
    c.that("another key is not", s.cli("search", "sensor")[0] == 0)
    rc, d, e = s.cli("search", "sensor", key=key["key"])
    c.that("with time, the call waits until there is room", rc == 0, (rc, d, e))
    rc, d, e = s.cli("quota", "set", key["id"], "--calls-per-second", "none", "--max-ingest-bytes-per-day", "20000")
    c.that("bytes a day are set", rc == 0, (rc, d, e))
    rc, d, e = s.cli("quota", "get", key["id"])
    c.that("and shown", rc == 0 and d[0]["quota"]["max_ingest_bytes_per_day"] == 20000, (rc, d, e))
    rows = [{"id": f"quota-{i}", "text": f"note {i} " + "about termites and ants " * 100} for i in range(20)]
    rc, d, e = s.cli("ingest", lines(s, "quota.jsonl", rows), key=key["key"])
    said = reasons(d) or [e]
    c.that("more than the day's bytes is refused with a reason", rc != 0 and all("QUOTA_EXCEEDED" in r or "RATE_LIMITED" in r for r in said), (rc, d, e))
    there = sum(s.cli("get", r["id"])[0] == 0 for r in rows)
    c.that(f"{there} items within the quota are there", d and there == d[0]["inserted"] and 1 <= there <= 10, (there, d))
    c.that("the key can still read", s.cli("get", "quota-0", key=key["key"])[0] == 0)
    rc, d, e = s.cli("ingest", lines(s, "quota2.jsonl", [{"id": "other", "text": "another key writes"}]))
    c.that("another key can still write", rc == 0, (rc, d, e))


if __name__ == "__main__":
    EXAMPLES = Path(sys.argv[2])
    sys.exit(run_parts((loading, answers, sharing, deleting, keys, quotas), Server(sys.argv[1]), sys.argv[3:]))
