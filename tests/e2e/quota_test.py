"""Quotas as a user meets them: set, shown, enforced an item at a time, kept over a kill -9, refused to who may not.

Usage: quota_test.py BIN_DIR
"""

from __future__ import annotations

import json
import sys
import urllib.request

from checks import Checks, run_parts
from server import Server


def jsonl(first: int, n: int, text: str = "what the team knows") -> str:
    """Lines of items."""
    return "".join(json.dumps({"id": f"i{i}", "text": f"{text} number {i}"}) + "\n" for i in range(first, first + n))


def must(s: Server, *args: str, key: str | None = None) -> dict:
    """A call that must succeed."""
    rc, docs, err = s.cli(*args, key=key)
    assert rc == 0, (args, docs, err)
    return docs[0]


def metric(s: Server, limit: str) -> float:
    """Refusals so far because of a limit."""
    with urllib.request.urlopen(f"http://{s.http}/metrics", timeout=10) as r:
        for line in r.read().decode().splitlines():
            if line.startswith(f'airlore_quota_refusals_total{{limit="{limit}"}}'):
                return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric of {limit}")


def items(c: Checks, s: Server) -> None:
    """Items of a team: those beyond are refused with a reason, the others are stored."""
    must(s, "team", "create", "red")
    must(s, "deployment", "create", "plant", "--team", "red")
    key = must(s, "key", "create", "--team", "red", "--role", "contributor")["key"]
    must(s, "quota", "set", "--team", "red", "--max-items", "7")
    rc, docs, err = s.cli("ingest", "-", key=key, stdin=jsonl(0, 12))
    got = docs[0]
    c.that("7 of 12 are stored", rc == 1 and (got["inserted"], got["failed"]) == (7, 5), (rc, got, err))
    c.that("each other says why", len(got["errors"]) == 5 and "QUOTA_EXCEEDED" in json.dumps(got["errors"]), got)
    c.that("metrics count them", metric(s, "max_items") == 5, metric(s, "max_items"))
    rc, docs, err = s.cli("ingest", "-", key=key, stdin=jsonl(0, 7, "another text"))
    c.that("what is there can be replaced", rc == 0 and docs[0]["updated"] == 7, (rc, docs, err))
    q = must(s, "quota", "get", "--team", "red")
    c.that("quota and use are shown", int(q["quota"]["max_items"]) == 7 and int(q["use"]["items"]) == 7 and int(q["use"]["bytes"]) > 0, q)
    s.kill()
    s.start()
    again = must(s, "quota", "get", "--team", "red")
    c.that("after kill -9 both are the same", (again["quota"], again["use"]["items"], again["use"]["bytes"]) == (
        q["quota"], q["use"]["items"], q["use"]["bytes"]), (q, again))
    rc, docs, err = s.cli("ingest", "-", key=key, stdin=jsonl(100, 1))
    c.that("and the limit holds", rc == 1 and docs[0]["failed"] == 1, (rc, docs, err))
    must(s, "delete", "i0", key=key)
    rc, docs, err = s.cli("ingest", "-", key=key, stdin=jsonl(100, 1))
    c.that("what is deleted makes room", rc == 0 and docs[0]["inserted"] == 1, (rc, docs, err))
    must(s, "quota", "set", "--team", "red", "--max-items", "none")
    rc, docs, err = s.cli("ingest", "-", key=key, stdin=jsonl(200, 20))
    c.that("a lifted limit is none", rc == 0 and docs[0]["inserted"] == 20, (rc, docs, err))


def sizes(c: Checks, s: Server) -> None:
    """Bytes of a deployment."""
    key = must(s, "key", "create", "--team", "red", "--deployment", "plant", "--role", "contributor")["key"]
    must(s, "quota", "set", "--deployment", "red/plant", "--max-bytes", "3000")
    rc, docs, _ = s.cli("ingest", "-", key=key, stdin=jsonl(0, 100, "words " * 20))
    q = must(s, "quota", "get", "--deployment", "red/plant")
    c.that("bytes stop it", rc == 1 and 0 < docs[0]["inserted"] < 30 and "QUOTA_EXCEEDED" in json.dumps(docs[0]["errors"]), docs)
    c.that("short of the limit by less than an item", 2300 < int(q["use"]["bytes"]) <= 3000, q)
    c.that("and what is used adds up", int(q["use"]["items"]) == docs[0]["inserted"], (q, docs))


def calls(c: Checks, s: Server) -> None:
    """Calls a second of a team, shared by its keys; quotas of keys by their team's admin."""
    must(s, "team", "create", "busy")
    a = must(s, "key", "create", "--team", "busy")
    admin = must(s, "key", "create", "--team", "busy", "--role", "admin")["key"]
    must(s, "quota", "set", a["id"], "--calls-per-second", "0.5", key=admin)
    seen = [s.cli("--timeout", "1", "whoami", key=a["key"]) for _ in range(6)]  # it waits no longer than that for its turn
    c.that("a key with half a call a second is held back", [x for x in seen if x[0] != 0 and "RATE_LIMITED" in x[2]], seen)
    c.that("the other key of the team is not", s.cli("whoami", key=admin)[0] == 0)
    q = must(s, "quota", "get", a["id"], key=admin)
    c.that("calls of the last minute are shown", float(q["use"]["calls_per_second"]) > 0, q)
    rc, docs, err = s.cli("quota", "set", "--team", "busy", "--max-items", "1", key=admin)
    c.that("a team does not set its own quota", rc == 5 and "ROLE_MISSING" in err, (rc, docs, err))
    rc, docs, err = s.cli("quota", "set", a["id"], "--max-items", "1")
    c.that("a key has no quota of items", rc == 2 and "FIELDS_CONFLICT" in err, (rc, docs, err))
    must(s, "quota", "set", "--team", "busy", "--max-deployments", "1")
    must(s, "deployment", "create", "one", "--team", "busy")
    rc, docs, err = s.cli("deployment", "create", "two", "--team", "busy")
    c.that("deployments of a team are limited", rc != 0 and "QUOTA_EXCEEDED" in err, (rc, docs, err))


def deleting(c: Checks, s: Server) -> None:
    """A team goes with all it has; its key is refused at once."""
    key = must(s, "key", "create", "--team", "red", "--role", "contributor")["key"]
    rc, docs, err = s.cli("team", "delete", "red")
    c.that("a team with items stays", rc != 0 and "NOT_EMPTY" in err, (rc, docs, err))
    held = int(must(s, "quota", "get", "--team", "red")["use"]["items"])
    got = must(s, "team", "delete", "red", "--force")
    c.that("unless it is forced", int(got["deleted_items"]) == held > 20, (got, held))
    rc, docs, err = s.cli("whoami", key=key)
    c.that("its keys are gone", rc == 5 and "KEY_INVALID" in err, (rc, docs, err))
    rc, docs, err = s.cli("quota", "get", "--team", "red")
    c.that("so is the team", "TEAM_NOT_FOUND" in err, (rc, docs, err))
    rc, docs, err = s.cli("team", "delete", "default", "--force")
    c.that("the server's own stays", "LAST_ONE" in err, (rc, docs, err))
    rc, docs, err = s.cli("cluster", "verify")
    c.that("verify is green", rc == 0, (rc, docs, err))


if __name__ == "__main__":
    sys.exit(run_parts([items, sizes, calls, deleting], Server(sys.argv[1]), sys.argv[2:]))
