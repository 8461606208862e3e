#!/usr/bin/env python3
"""Data folders of former releases: opened, read, searched, verified, written to, opened again; newer ones are refused.

golden_test.py BIN_DIR NEWER      NEWER: the tool that makes a store look newer than it is. Last line: N passed, N failed
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from checks import Checks, lines  # noqa: E402
from server import Server  # noqa: E402

SCORE_DIFFERS = 0.02  # vectors are rounded on their way into a segment, and segments are built anew


class Golden:
    """One golden folder, unpacked for a server of its own."""

    def __init__(self, folder: Path, bin_dir: str) -> None:
        self.name = folder.name
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        self.server = Server(bin_dir, self.manifest["config"])
        self.server.data.mkdir()
        with tarfile.open(folder / "data.tar.xz") as tar:
            tar.extractall(self.server.data)
        self.server.data.chmod(0o700)

    def key(self, who: str) -> str:
        """A key by its label."""
        return str(self.manifest["keys"][who]["key"])

    def cli(self, who: str, *args: str) -> tuple[int, list[Any], str]:
        """A command with the key of that label."""
        return self.server.cli(*args, key=self.key(who))


def same_keys(c: Checks, g: Golden) -> None:
    """Each key is who it was; the revoked one is nobody."""
    for who, want in g.manifest["keys"].items():
        rc, docs, err = g.cli(who, "whoami")
        if want["whoami"] is None:
            c.that(f"{g.name}: key '{who}' stays revoked", rc == 5, (rc, docs, err))
        else:
            got = docs[0] if docs else {}
            c.that(f"{g.name}: key '{who}' is who it was", rc == 0 and {k: got.get(k) for k in want["whoami"]} == want["whoami"], (rc, docs, err))
    rc, docs, err = g.cli("admin", "team", "list")
    teams = [{k: t.get(k) for k in ("name", "create_time", "pseudonym")} for t in docs[0]["teams"]] if rc == 0 else err
    c.that(f"{g.name}: the teams", teams == g.manifest["teams"], teams)
    rc, docs, err = g.cli("admin", "deployment", "list", "--team", "harbor")
    c.that(f"{g.name}: the deployments", rc == 0 and [d["name"] for d in docs[0]["deployments"]] == g.manifest["deployments"], (rc, docs, err))
    rc, docs, err = g.cli("reader", "quota", "get")
    want = g.manifest["quota"]
    c.that(f"{g.name}: the quota", rc == 0 and {k: docs[0]["quota"].get(k) for k in want if k != "etag"} == {k: v for k, v in want.items() if k != "etag"}, (rc, docs, err))


def same_jobs(c: Checks, g: Golden) -> None:
    """Jobs that were done are still listed, with their results."""
    rc, docs, err = g.cli("admin", "jobs", "list")
    got = {j["name"]: j for j in docs[0]["jobs"]} if rc == 0 else {}
    for want in g.manifest["jobs"]:
        job = got.get(want["name"], {})
        c.that(f"{g.name}: job {want['type']}", {k: job.get(k) for k in want} == want, (job, err))


def same_items(c: Checks, g: Golden) -> None:
    """Every item, byte for byte, with the key that saw it; nothing more, nothing less."""
    for who, items in g.manifest["items"].items():
        rc, docs, err = g.cli(who, "list", "--limit", "0")
        seen = sorted((i["space"], i["id"]) for i in docs[0]["items"]) if rc == 0 else [err]
        c.that(f"{g.name}: '{who}' lists {len(items)} items", seen == sorted((i["space"], i["id"]) for i in items), seen)
        differ = []
        for want in items:
            rc, docs, err = g.cli(who, "get", want["id"], "--space", want["space"])
            got = dict(docs[0], sha256=hashlib.sha256(docs[0]["text"].encode()).hexdigest()) if rc == 0 and docs else {"error": err}
            if {k: got.get(k) for k in want} != want:
                differ.append((want, got))
        c.that(f"{g.name}: they are what they were", not differ, differ[:1])
    for ident in g.manifest["absent"]:
        rc, docs, err = g.cli("admin", "get", ident)
        c.that(f"{g.name}: '{ident}' stays away", rc == 1, (rc, docs, err))


def same_answers(c: Checks, g: Golden) -> None:
    """The queries find the same documents in the same order."""
    for q in g.manifest["queries"]:
        rc, docs, err = g.cli(q["key"], "search", q["text"], "--mode", q["mode"], "-k", "5", "--exact", "--exact-statistics")
        hits = docs[0]["hits"] if rc == 0 and docs else []
        same = [h["id"] for h in hits] == [h["id"] for h in q["hits"]] and all(abs(a["score"] - b["score"]) < SCORE_DIFFERS for a, b in zip(hits, q["hits"]))
        c.that(f"{g.name}: {q['mode']} '{q['text']}'", same, (rc, err, [(h["id"], h["score"]) for h in hits], q["hits"]))


def verified(c: Checks, g: Golden, when: str) -> None:
    """The server itself finds nothing wrong."""
    rc, docs, err = g.cli("admin", "cluster", "verify", "--deep")
    c.that(f"{g.name}: verify is green {when}", rc == 0 and docs and docs[0].get("ok") is True, (rc, docs, err))


def written(c: Checks, g: Golden) -> list[str]:
    """New, changed and deleted items, in a folder that an old release began. Gives the ids."""
    s = g.server
    rows = [{"id": f"after/{i}", "text": f"written after the upgrade: cormorant {i}"} for i in range(40)]
    rc, docs, err = g.cli("admin", "ingest", lines(s, "after.jsonl", rows))
    c.that(f"{g.name}: new items are taken", rc == 0 and docs[0]["inserted"] == 40, (rc, docs, err))
    rc, docs, err = g.cli("admin", "delete", "after/39")
    c.that(f"{g.name}: and deleted", rc == 0, (rc, docs, err))
    rc, docs, err = g.cli("admin", "withdraw", "case/amber-0")
    c.that(f"{g.name}: what an old release promoted is withdrawn", rc == 0, (rc, docs, err))
    rc, docs, err = g.cli("harbor", "search", "amber case pool slots", "--mode", "text")
    c.that(f"{g.name}: others see it no more", rc == 0 and not [h for h in docs[0]["hits"] if "amber-0" in h["id"]], (rc, docs, err))
    rc, docs, err = g.cli("admin", "cluster", "compact")
    c.that(f"{g.name}: compact", rc == 0, (rc, docs, err))
    return [r["id"] for r in rows[:39]]


def opens(c: Checks, folder: Path, bin_dir: str) -> None:
    """All of it, before and after a restart of either kind."""
    g = Golden(folder, bin_dir)
    try:
        g.server.start()
        for part in (same_keys, same_jobs, same_items, same_answers):
            part(c, g)
        verified(c, g, "as it was found")
        ids = written(c, g)
        for how in (g.server.stop, g.server.kill):
            how()
            g.server.start()
            rc, docs, err = g.cli("admin", "list", "--filter", 'id = "after/*"', "--limit", "0")
            c.that(f"{g.name}: {how.__name__}, start: what was written is there", rc == 0 and sorted(i["id"] for i in docs[0]["items"]) == sorted(ids), (rc, docs, err))
            rc, docs, err = g.cli("admin", "search", "cormorant 7 written after the upgrade", "-k", "3")
            c.that(f"{g.name}: {how.__name__}, start: and found", rc == 0 and docs[0]["hits"][0]["id"].startswith("after/"), (rc, docs, err))
            same_keys(c, g)
            verified(c, g, f"after {how.__name__}")
        c.that(f"{g.name}: SIGTERM", g.server.stop() == 0)
    finally:
        g.server.close()


def refused(c: Checks, folder: Path, bin_dir: str, name: str, change: Callable[[Golden], None], says: str) -> None:
    """A change makes it newer: the daemon does not start, says why, and leaves it as it was."""
    g = Golden(folder, bin_dir)
    try:
        change(g)
        s = g.server
        (s.root / "airlored.yaml").write_text(s.config)
        command = [str(s.bin / "airlored"), "--data", str(s.data), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--config", str(s.root / "airlored.yaml")]
        p = subprocess.run(command, capture_output=True, text=True, timeout=60, env=s.env, check=False)
        c.that(f"{g.name}: {name} is refused", p.returncode == 1 and not p.stdout, (p.returncode, p.stdout, p.stderr))
        c.that(f"{g.name}: {name}: the message says so", says in p.stderr, p.stderr)
    finally:
        g.server.close()


def newer_format(g: Golden) -> None:
    """The number in `format`."""
    path = g.server.data / "format"
    lines_ = path.read_text().split("\n")
    word, number = lines_[0].split(" ")
    path.write_text("\n".join([f"{word} {int(number) + 1000}", *lines_[1:]]))


def newer_store(tool: str, family: str, shard: str = "shards/0000") -> Callable[[Golden], None]:
    """The format byte of each value of a family."""

    def change(g: Golden) -> None:
        subprocess.run([tool, str(g.server.data / shard / "store"), family], check=True, stdout=subprocess.DEVNULL)

    return change


def main() -> int:
    """Each golden folder there is."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    bin_dir, tool = sys.argv[1:]
    c = Checks()
    folders = sorted(p.parent for p in HERE.glob("v*/manifest.json"))
    c.that("there are golden folders", folders)
    for folder in folders:
        c.part(opens, c, folder, bin_dir)
        c.part(refused, c, folder, bin_dir, "a newer format file", newer_format, "this program knows")
        for family in ("doc", "log", "chunk"):
            c.part(refused, c, folder, bin_dir, f"a newer {family}", newer_store(tool, family), "was written by a newer version")
        c.part(refused, c, folder, bin_dir, "a newer log of the system shard", newer_store(tool, "log", "system"), "was written by a newer version")
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
