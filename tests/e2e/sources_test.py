#!/usr/bin/env python3
"""Sources through the command line on real input: archives, repositories, web pages, each incremental, pruned, and safe.

sources_test.py BIN_DIR [PART ...]      last line: N passed, N failed
"""

from __future__ import annotations

import gzip
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from checks import Checks, Skip, arguments, hit_ids, reasons, run_parts
from server import Server

PAGES = {
    "docs/pools.md": "# Pools\n\nA quokka pool limits how many tasks run at once.\n",
    "docs/sensors.rst": "Sensors\n=======\n\nA numbat sensor waits in reschedule mode.\n",
    "README.md": "# Read me\n\nThe bilby repository holds runbooks.\n",
}


def counts(docs: list[Any]) -> dict[str, int]:
    """What one ingest counted."""
    return {k: docs[0][k] for k in ("inserted", "updated", "skipped", "deleted", "failed")} if docs else {}


def is_counts(c: Checks, name: str, got: tuple[int, list[Any], str], rc: int = 0, **want: int) -> None:
    """The run ended with rc and counted this and nothing else."""
    full = {"inserted": 0, "updated": 0, "skipped": 0, "deleted": 0, "failed": 0, **want}
    c.that(name, got[0] == rc and counts(got[1]) == full, got)


# ---------------------------------------------------------------------------------------------------------- archives


def tar(path: Path, members: dict[str, bytes | str], mode: str) -> None:
    """A tar archive with these files."""
    with tarfile.open(path, mode) as t:
        for name, text in members.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = 1_700_000_000
            t.addfile(info, io.BytesIO(data))


def archives(c: Checks, s: Server) -> None:
    """tar, tar.gz, tar.xz, tar.zst and zip: members are items, unchanged ones are skipped, missing ones pruned."""
    for suffix, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tar.xz", "w:xz"), ("tar.bz2", "w:bz2")):
        path = s.root / f"a.{suffix}"
        tar(path, PAGES, mode)
        is_counts(c, f"{suffix}: all members are stored", s.cli("ingest", str(path)), inserted=3)
        is_counts(c, f"{suffix}: the second run sends nothing", s.cli("ingest", str(path)), skipped=3)
    path = s.root / "a.tar"
    rc, docs, _ = s.cli("get", "a.tar/docs/pools.md")
    c.that("the id is ARCHIVE/path", rc == 0 and docs[0]["title"] == "Pools", docs)
    changed = dict(PAGES)
    changed["README.md"] += "A potoroo was added.\n"
    del changed["docs/sensors.rst"]
    tar(path, changed, "w")
    is_counts(c, "a changed archive: one updated, one pruned", s.cli("ingest", "--delete-missing", str(path)), updated=1, skipped=1, deleted=1)
    plain = s.root / "z.tar"
    tar(plain, PAGES, "w")
    if subprocess.run(["zstd", "-q", str(plain), "-o", str(s.root / "z.tar.zst")], check=False).returncode == 0:
        is_counts(c, "tar.zst", s.cli("ingest", str(s.root / "z.tar.zst")), inserted=3)
    with zipfile.ZipFile(s.root / "b.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in PAGES.items():
            z.writestr(name, text)
    is_counts(c, "zip", s.cli("ingest", str(s.root / "b.zip")), inserted=3)
    rc, docs, _ = s.cli("search", "numbat sensor reschedule", "--filter", 'id = "b.zip/docs/sensors.rst"')
    c.that("its text is found", hit_ids(docs) == ["b.zip/docs/sensors.rst"], docs)


def hostile_archives(c: Checks, s: Server) -> None:
    """Bombs, paths that lead out, links, truncation: named, bounded, and nothing is pruned."""
    path = s.root / "evil.tar"
    with tarfile.open(path, "w") as t:
        for name in ("../up.md", "/abs.md", "a/../../b.md", "ok/fine.md", "x/./y.md", "bad\x01name.md"):
            data = b"# Evil\n\nThe " + name.encode().replace(b"/", b" ") + b" wallaby.\n"
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for kind, name in ((tarfile.SYMTYPE, "link.md"), (tarfile.LNKTYPE, "hard.md")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            t.addfile(info)
    rc, docs, err = s.cli("ingest", str(path))
    c.that("paths that lead out are refused one by one", rc == 1 and counts(docs)["inserted"] == 1 and set(reasons(docs)) == {"BAD_PATH"}, (docs, err))
    c.that("links are not followed", counts(docs)["failed"] == 5, docs)
    good = s.root / "cut.tar.gz"
    tar(good, PAGES, "w:gz")
    is_counts(c, "the whole archive", s.cli("ingest", str(good)), inserted=3)
    data = good.read_bytes()
    good.write_bytes(data[: len(data) * 2 // 3])
    rc, docs, err = s.cli("ingest", "--delete-missing", str(good))
    c.that("a truncated archive ends with an error", rc != 0, (rc, docs, err))
    c.that("and nothing is pruned", s.cli("get", "cut.tar.gz/README.md")[0] == 0)
    bomb = s.root / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
        with z.open("bomb.md", "w", force_zip64=True) as f:
            for _ in range(64):
                f.write(b"\0" * (1 << 20))
        z.writestr("after.md", "# After\n\nThe dunnart is behind the bomb.\n")
    rc, docs, err = s.cli("ingest", str(bomb), timeout=120)
    c.that("a member that is a bomb is refused, the next is stored", rc == 1 and reasons(docs) == ["TOO_LARGE"] and counts(docs)["inserted"] == 1, (docs, err))
    (s.root / "no.zip").write_bytes(b"PK\x03\x04" + os.urandom(3000))
    (s.root / "empty.tar").write_bytes(b"")
    for name in ("no.zip", "empty.tar"):
        rc, docs, err = s.cli("ingest", str(s.root / name))
        c.that(f"{name}: an error and not a crash", rc in (1, 2) and "archive" in err.lower(), (rc, docs, err))
    c.alive(s)


def resume(c: Checks, s: Server) -> None:
    """A run that ends in the middle keeps what was answered; the next one sends the rest only."""
    members = {f"r/{i:05d}.md": f"# Page {i}\n\nThe number {i} of the bandicoot pages.\n" for i in range(2500)}
    path = s.root / "resume.tar"
    tar(path, members, "w")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    rc, docs, err = s.cli("ingest", "--delete-missing", str(path))
    stored = counts(docs).get("inserted", 0)
    c.that("a run that is cut short fails and keeps what was answered", rc != 0 and 1000 <= stored < 2500, (rc, counts(docs), err))
    path.write_bytes(whole)
    is_counts(c, "the next one sends the rest", s.cli("ingest", "--delete-missing", str(path)), inserted=2500 - stored, skipped=stored)


# ---------------------------------------------------------------------------------------------------------- git


def git(folder: Path, *args: str) -> str:
    """Run git there."""
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", GIT_AUTHOR_DATE="2026-01-01T00:00:00Z",
               GIT_COMMITTER_DATE="2026-01-01T00:00:00Z")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *who, *args], cwd=folder, env=env, check=True, capture_output=True, text=True).stdout.strip()


def write(folder: Path, files: dict[str, str]) -> None:
    """These files there."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def repository(s: Server, name: str) -> Path:
    """A repository with one commit. What libgit2 leaks is not ours (tools/lsan.supp); to see that it is its, stacks must be whole."""
    s.env["LSAN_OPTIONS"] = f"suppressions={Path(__file__).resolve().parents[2] / 'tools/lsan.supp'}:print_suppressions=0"
    s.env["ASAN_OPTIONS"] = "fast_unwind_on_malloc=0"
    folder = s.root / name
    folder.mkdir()
    git(folder, "init", "-q")
    write(folder, PAGES)
    os.symlink("/etc/passwd", folder / "link.md")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def repositories(c: Checks, s: Server) -> None:
    """A repository at a commit: only changed blobs are sent, deletions are pruned, refs are followed."""
    try:
        folder = repository(s, "repo")
    except FileNotFoundError as e:
        raise Skip("git") from e
    here = f"git:{folder}"
    is_counts(c, "a local repository", s.cli("ingest", here), inserted=3)
    rc, docs, _ = s.cli("get", "docs/pools.md")
    first = git(folder, "rev-parse", "HEAD")
    c.that("the version is the commit", rc == 0 and docs[0]["version"] == first, docs)
    is_counts(c, "the same commit again", s.cli("ingest", here), skipped=3)
    write(folder, {"README.md": "# Read me\n\nThe bettong moved in.\n", "uncommitted.md": "# No\n\nNot committed.\n"})
    (folder / "docs/sensors.rst").unlink()
    git(folder, "add", "README.md", "docs")
    git(folder, "commit", "-q", "-m", "two")
    is_counts(c, "a new commit: what changed is sent, what is gone is pruned", s.cli("ingest", "--delete-missing", here), updated=1, skipped=1, deleted=1)
    git(folder, "tag", "v1", first)
    remote = f"git:file://{folder}"
    is_counts(c, "fetched by file://, at a tag", s.cli("ingest", "--source", "tag", f"{remote}@v1"), inserted=1, updated=2)
    is_counts(c, "at a commit", s.cli("ingest", "--source", "tag", f"{remote}@{first}"), skipped=3)
    git(folder, "checkout", "-q", "-b", "release/2.11")
    is_counts(c, "at a branch with a slash", s.cli("ingest", "--source", "branch", f"{remote}@release/2.11"), updated=2)
    rc, docs, err = s.cli("ingest", f"{remote}@nope")
    c.that("a ref that is not there", rc == 2 and "nope" in err, (rc, err))
    rc, docs, err = s.cli("ingest", f"git:{s.root}/nothing")
    c.that("a folder that is no repository", rc == 2 and "git" in err, (rc, err))
    rc, docs, err = s.cli("ingest", "git:ext::sh -c true")
    c.that("no helper programs are run", rc == 2, (rc, err))


def free_port() -> int:
    """One that nobody has."""
    with socket.socket() as k:
        k.bind(("127.0.0.1", 0))
        return int(k.getsockname()[1])


def git_daemon(c: Checks, s: Server) -> None:
    """git:// from a real daemon; the second fetch brings only what is new; a daemon that is away is an error and prunes nothing."""
    folder = repository(s, "served")
    port = free_port()
    command = ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={s.root}", str(folder)]
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as k:
                if k.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        where = f"git:git://127.0.0.1:{port}/served/.git"
        is_counts(c, "fetched by git://", s.cli("ingest", "--source", "daemon", where), updated=3)
        write(folder, {"docs/new.md": "# New\n\nThe cuscus page came later.\n"})
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "two")
        is_counts(c, "fetched again", s.cli("ingest", "--source", "daemon", where), inserted=1, skipped=3)
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()
    rc, _, err = s.cli("ingest", "--source", "daemon", "--delete-missing", where)
    c.that("a daemon that is away", rc in (1, 2) and "git" in err, (rc, err))
    c.that("and nothing is pruned", s.cli("get", "docs/new.md")[0] == 0)


# ---------------------------------------------------------------------------------------------------------- web


class Site(BaseHTTPRequestHandler):
    """A site whose pages a test changes; it remembers what it was asked."""

    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}
    asked: ClassVar[list[tuple[str, int]]] = []
    fail_first: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:  # noqa: N802
        """Answer, conditionally where an ETag is known."""
        status, headers, body = self.pages.get(self.path, (404, {"Content-Type": "text/plain"}, b"no"))
        if self.fail_first.get(self.path, 0) > 0:
            self.fail_first[self.path] -= 1
            status, headers, body = 503, {"Retry-After": "0"}, b"later"
        elif headers.get("ETag") and self.headers.get("If-None-Match") == headers["ETag"]:
            status, body = 304, b""
        Site.asked.append((self.path, status))
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def html(title: str, text: str) -> bytes:
    """A page."""
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>".encode()


def page(title: str, text: str, etag: str = "", kind: str = "text/html; charset=utf-8") -> tuple[int, dict[str, str], bytes]:
    """A page that answers 200."""
    headers = {"Content-Type": kind}
    if etag:
        headers["ETag"] = etag
    return 200, headers, html(title, text)


def start_site() -> tuple[ThreadingHTTPServer, str]:
    """The site on a free port of loopback."""
    Site.pages, Site.asked, Site.fail_first = {}, [], {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


def pages(c: Checks, s: Server) -> None:
    """Single pages and lists: conditional requests, retries, robots, redirects, charsets, sizes."""
    server, base = start_site()
    p = Site.pages
    p["/robots.txt"] = (200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /private/\nAllow: /private/open\n")
    p["/a.html"] = page("Tasks", "A mulgara task retries three times.", '"a1"')
    p["/b"] = page("Hooks", "A kowari hook opens a connection.")
    p["/flaky.html"] = page("Flaky", "The antechinus page comes at the third try.")
    Site.fail_first["/flaky.html"] = 2
    p["/latin"] = (200, {"Content-Type": "text/html; charset=ISO-8859-1"}, "<h1>Caf\xe9</h1><p>The caf\xe9 ningaui.</p>".encode("latin-1"))
    p["/private/x.html"] = page("X", "Not for robots.")
    p["/private/open.html"] = page("Open", "The planigale page is open.")
    p["/moved"] = (302, {"Location": "/a.html"}, b"")
    p["/loop"] = (302, {"Location": "/loop"}, b"")
    p["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    p["/elsewhere"] = (302, {"Location": f"http://localhost:{base.rsplit(':', 1)[1]}/a.html"}, b"")
    p["/big.html"] = (200, {"Content-Type": "text/html"}, b"x" * (17 << 20))
    p["/image"] = (200, {"Content-Type": "image/png"}, b"\x89PNG")
    good = ["/a.html", "/b", "/flaky.html", "/latin", "/private/open.html", "/moved"]
    bad = {"/private/x.html": "ROBOTS_DENIED", "/loop": "BAD_REDIRECT", "/file": "BAD_URL", "/elsewhere": "PRIVATE_ADDRESS",
           "/big.html": "TOO_LARGE", "/image": "MEDIA_TYPE_UNSUPPORTED", "/gone": "GONE"}
    try:
        urls = s.root / "urls.txt"
        urls.write_text("# pages\n\n" + "".join(f"{base}{u}\n" for u in good + list(bad)) + "ftp://x/y\n" + "http://" + "y" * 5000 + "\n")
        rc, docs, err = s.cli("ingest", "--list", str(urls), "--rate", "200", timeout=120)
        c.that("the good pages are stored", rc == 1 and counts(docs)["inserted"] == len(good), (rc, docs, err))
        got = {e.get("id", "")[len(base):]: e["reason"] for e in docs[0]["errors"]}
        c.that("every bad page has its reason", {k: got.get(k) for k in bad} == bad, got)
        c.that("bad addresses too", counts(docs)["failed"] == len(bad) + 2, docs)
        c.that("a failing page was tried again", [x for x in Site.asked if x[0] == "/flaky.html"] == [("/flaky.html", 503)] * 2 + [("/flaky.html", 200)], Site.asked)
        c.that("robots.txt was asked for once", [x[0] for x in Site.asked].count("/robots.txt") == 1, Site.asked)
        c.that("what robots.txt forbids was not asked for", "/private/x.html" not in [x[0] for x in Site.asked])
        rc, docs, _ = s.cli("search", "ningaui", "--mode", "text")
        c.that("Latin-1 is read as such", docs and docs[0]["hits"] and docs[0]["hits"][0]["title"] == "Caf\xe9", docs)
        urls.write_text("".join(f"{base}{u}\n" for u in good))
        Site.asked.clear()
        is_counts(c, "the second run sends nothing", s.cli("ingest", "--list", str(urls), "--rate", "200"), skipped=len(good))
        c.that("an unchanged page costs a 304", ("/a.html", 304) in Site.asked, Site.asked)
        p["/a.html"] = page("Tasks", "A mulgara task retries five times.", '"a2"')
        del p["/b"]
        rc, docs, err = s.cli("ingest", "--list", str(urls), "--rate", "200", "--delete-missing")
        c.that("a changed page is updated, one that is gone is pruned", counts(docs) == {"inserted": 0, "updated": 2, "skipped": 3, "deleted": 1, "failed": 1}, (docs, err))
        is_counts(c, "a single page", s.cli("ingest", "--source", "one", f"{base}/a.html"), updated=1)
    finally:
        server.shutdown()


def sitemaps(c: Checks, s: Server) -> None:
    """A sitemap index with a gzip part; other hosts are left out; hostile XML is refused."""
    server, base = start_site()
    p = Site.pages
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    xml = {"Content-Type": "application/xml"}
    for i in range(5):
        p[f"/p{i}.html"] = page(f"Page {i}", f"The quenda number {i} digs.", f'"{i}"')
    first = "".join(f"<url><loc>{base}/p{i}.html</loc><lastmod>2026-01-0{i + 1}</lastmod></url>" for i in range(3))
    second = "".join(f"<url><loc>{base}/p{i}.html</loc></url>" for i in range(3, 5)) + "<url><loc>http://10.0.0.1/x.html</loc></url>"
    p["/one.xml"] = (200, xml, f"<?xml version='1.0'?><urlset {space}>{first}</urlset>".encode())
    p["/two.xml.gz"] = (200, {"Content-Type": "application/gzip"}, gzip.compress(f"<urlset {space}>{second}</urlset>".encode()))
    p["/sitemap.xml"] = (200, xml, f"<sitemapindex {space}><sitemap><loc>{base}/one.xml</loc></sitemap><sitemap><loc>{base}/two.xml.gz</loc></sitemap></sitemapindex>".encode())
    lol = "<!DOCTYPE l [<!ENTITY a 'lol'>" + "".join(f"<!ENTITY b{i} '{f'&b{i - 1};' if i else '&a;'}&a;'>" for i in range(30)) + "]><urlset>&b29;</urlset>"
    p["/lol.xml"] = (200, xml, lol.encode())
    p["/deep.xml"] = (200, xml, b"<a>" * 1000)
    p["/cut.xml"] = (200, xml, f"<urlset {space}>{first}".encode())
    p["/self.xml"] = (200, xml, f"<sitemapindex {space}><sitemap><loc>{base}/self.xml</loc></sitemap></sitemapindex>".encode())
    p["/bomb.xml.gz"] = (200, xml, gzip.compress(b" " * (200 << 20)))
    try:
        is_counts(c, "all pages of the index", s.cli("ingest", "--rate", "500", f"{base}/sitemap.xml"), inserted=5)
        is_counts(c, "again", s.cli("ingest", "--rate", "500", f"{base}/sitemap.xml"), skipped=5)
        p["/one.xml"] = (200, xml, f"<urlset {space}></urlset>".encode())
        is_counts(c, "pages that left the sitemap are pruned", s.cli("ingest", "--rate", "500", "--delete-missing", f"{base}/sitemap.xml"), skipped=2, deleted=3)
        for name in ("lol", "deep", "cut", "self", "bomb"):
            path = f"/{name}.xml" + (".gz" if name == "bomb" else "")
            began = time.monotonic()
            rc, docs, err = s.cli("ingest", "--rate", "10000", "--delete-missing", f"{base}{path}", timeout=120)
            c.that(f"{name}: refused ({time.monotonic() - began:.1f} s)", rc not in (0, -6, -11) and "sitemap" in err, (rc, docs, err))
    finally:
        server.shutdown()
    c.alive(s)


# ---------------------------------------------------------------------------------------------------------- PDF, dumps


def pdf(pages: list[str]) -> bytes:
    """A PDF with these lines of text, one a page, and an outline that names each page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R /Outlines 4 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", ""]
    kids, marks = [], []
    for i, text in enumerate(pages):
        n = len(objects) + 1
        kids.append(f"{n} 0 R")
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {n + 1} 0 R /Resources << /Font << /F1 3 0 R >> >> >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        marks.append((n, f"Chapter {i + 1}"))
    first = len(objects) + 1
    for i, (page, title) in enumerate(marks):
        after = f" /Next {first + i + 1} 0 R" if i + 1 < len(marks) else ""
        objects.append(f"<< /Title ({title}) /Parent 4 0 R /Dest [{page} 0 R /Fit]{after} >>")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(pages)} >>"
    objects[3] = f"<< /Type /Outlines /First {first} 0 R /Last {first + len(marks) - 1} 0 R /Count {len(marks)} >>"
    out, offsets = b"%PDF-1.4\n", []
    for i, o in enumerate(objects):
        offsets.append(len(out))
        out += f"{i + 1} 0 obj\n{o}\nendobj\n".encode()
    xref = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode() + b"".join(b"%010d 00000 n \n" % o for o in offsets)
    return out + f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n".encode()


def pdfs(c: Checks, s: Server) -> None:
    """An item a page, with its number; in a folder and in an archive; damaged ones are one error and prune nothing."""
    folder = s.root / "manuals"
    folder.mkdir()
    (folder / "guide.pdf").write_bytes(pdf(["The kultarr pool has ten slots.", "The mulgara sensor waits.", "The planigale hook."]))
    (folder / "note.md").write_text("# Note\n\nBeside the manual.\n")
    is_counts(c, "a folder with a PDF", s.cli("ingest", str(folder)), inserted=4)
    is_counts(c, "again", s.cli("ingest", str(folder)), skipped=4)
    rc, docs, _ = s.cli("get", "guide.pdf#page=2")
    c.that("the page is in the metadata and in the title", rc == 0 and docs[0]["metadata"]["page"] == "2" and docs[0]["metadata"]["pages"] == "3"
           and docs[0]["title"] == "guide.pdf > Chapter 2, page 2", docs)
    rc, docs, _ = s.cli("ask", "How many slots does the kultarr pool have?")
    c.that("a citation names the page", docs and any(x["id"] == "guide.pdf#page=1" for x in docs[0].get("sources", [])), docs)
    (folder / "guide.pdf").write_bytes(pdf(["The kultarr pool has twelve slots.", "The mulgara sensor waits."]))
    is_counts(c, "a changed PDF", s.cli("ingest", "--delete-missing", str(folder)), updated=1, skipped=2, deleted=1)
    (folder / "guide.pdf").write_bytes(b"%PDF-1.4\n" + os.urandom(5000))
    (folder / "note.md").unlink()
    rc, docs, err = s.cli("ingest", "--delete-missing", str(folder))
    c.that("a damaged PDF is one error", rc == 1 and reasons(docs) == ["BAD_PDF"], (rc, docs, err))
    c.that("and nothing is pruned", counts(docs)["deleted"] == 0 and s.cli("get", "guide.pdf#page=2")[0] == 0, docs)
    with zipfile.ZipFile(s.root / "m.zip", "w") as z:
        z.writestr("a/guide.pdf", pdf(["The ningaui page."]))
    is_counts(c, "in an archive", s.cli("ingest", str(s.root / "m.zip")), inserted=1)


def dumps(c: Checks, s: Server) -> None:
    """Posts.xml, plain and zipped: threads by tag, unanswered ones marked, link as attribution."""
    rows = ['<row Id="1" PostTypeId="1" AcceptedAnswerId="3" Score="4" Title="Why do pools starve" Tags="&lt;airflow&gt;" '
            'Body="&lt;p&gt;The quenda tasks wait.&lt;/p&gt;" OwnerUserId="8" ContentLicense="CC BY-SA 4.0" CreationDate="2020-01-02T03:04:05.678"/>',
            '<row Id="2" PostTypeId="1" Title="About Java" Tags="&lt;java&gt;" Body="no"/>',
            '<row Id="3" PostTypeId="2" ParentId="1" Score="9" Body="&lt;p&gt;Give the quenda pool more slots.&lt;/p&gt;"/>',
            '<row Id="4" PostTypeId="1" Title="Nobody answers" Tags="|airflow|" Body="Silence of the quokka."/>']
    xml = "<?xml version='1.0'?><posts>" + "".join(rows) + "</posts>"
    path = s.root / "dump"
    path.mkdir()
    (path / "Posts.xml").write_text(xml)
    dump = str(path / "Posts.xml")
    is_counts(c, "threads with the tag", s.cli("ingest", "--tag", "airflow", dump), inserted=2)
    is_counts(c, "again", s.cli("ingest", "--tag", "airflow", dump), skipped=2)
    rc, docs, _ = s.cli("get", "stackoverflow.com/questions/1")
    c.that("a thread with its link", rc == 0 and docs[0]["kind"] == "thread" and docs[0]["url"] == "https://stackoverflow.com/questions/1"
           and docs[0]["metadata"]["answered"] == "true" and "more slots" in docs[0]["text"], docs)
    rc, docs, _ = s.cli("list", "--filter", 'tags:"unanswered"')
    text = str(docs)
    c.that("an unanswered thread is marked", rc == 0 and "questions/4" in text and "questions/1'" not in text, docs)
    is_counts(c, "all tags", s.cli("ingest", dump), inserted=1, skipped=2)
    is_counts(c, "one tag, the others pruned", s.cli("ingest", "--tag", "java", "--delete-missing", dump), skipped=1, deleted=2)
    with zipfile.ZipFile(s.root / "airflow.example.org-Posts.zip", "w") as z:
        z.writestr("Posts.xml", xml)
    is_counts(c, "zipped", s.cli("ingest", str(s.root / "airflow.example.org-Posts.zip")), inserted=3)
    c.that("the site is that of the file", s.cli("get", "airflow.example.org/questions/4")[0] == 0)
    (path / "Posts.xml").write_text(xml[:-40])
    rc, docs, err = s.cli("ingest", "--delete-missing", dump)
    c.that("a dump that is cut", rc != 0 and "xml" in err, (rc, docs, err))
    c.that("and nothing is pruned", s.cli("get", "stackoverflow.com/questions/2")[0] == 0)


def chunkers(c: Checks, s: Server) -> None:
    """Another chunker makes what is stored changed, and is visible."""
    path = s.root / "long.md"
    path.write_text("# Long\n\n" + "The bandicoot pipeline runs. It stops at night! " * 200 + "\n")
    is_counts(c, "by default", s.cli("ingest", str(path)), inserted=1)
    rc, docs, _ = s.cli("get", "long.md")
    c.that("the default leaves no mark", "chunker" not in docs[0]["metadata"], docs[0]["metadata"])
    for name in ("fixed", "recursive", "semantic"):
        is_counts(c, f"{name}: cut anew", s.cli("ingest", "--chunker", name, str(path)), updated=1)
        is_counts(c, f"{name}: and then not again", s.cli("ingest", "--chunker", name, str(path)), skipped=1)
        rc, docs, _ = s.cli("get", "long.md")
        c.that(f"{name}: visible", docs[0]["metadata"].get("chunker") == name, docs[0]["metadata"])
    is_counts(c, "back to the default", s.cli("ingest", "--chunker", "document", str(path)), updated=1)
    rc, docs, err = s.cli("ingest", "--chunker", "nonsense", str(path))
    c.that("an unknown one is wrong usage", rc == 2 and "nonsense" in err, (rc, err))


def main() -> int:
    """All parts, or those named."""
    bin_dir, only = arguments()
    server = Server(bin_dir)
    server.env["XDG_CACHE_HOME"] = str(server.root / "cache")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        server.env.pop(name, None)
    return run_parts([archives, hostile_archives, resume, repositories, git_daemon, pages, sitemaps, pdfs, dumps, chunkers], server, only)


if __name__ == "__main__":
    sys.exit(main())
