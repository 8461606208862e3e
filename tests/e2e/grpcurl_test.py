#!/usr/bin/env python3
"""An independent gRPC client looks around through reflection and calls every method of every service.

grpcurl_test.py BIN_DIR CACHE_DIR [PART ...]      last line: N passed, N failed. grpcurl is the one that tools/bootstrap.sh
made, else it is built from its Go module into CACHE_DIR/tools, once.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from checks import Checks, Skip, running
from server import Server

MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.1"
SERVICES = [f"airlore.v1.{x}Service" for x in ("Knowledge", "Learning", "Generation", "Adr", "Market", "Deploy", "Admin")]
OPEN = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
FAULTS = {"Unavailable", "Internal", "Unknown", "DataLoss", "DeadlineExceeded"}
HARMFUL = {"RevokeKey"}  # none today with an empty message; named so that nobody adds one unseen

TOOL = ""


def build(cache: Path) -> str:
    """The program, built when it is not there."""
    made = sorted(cache.glob("tools/grpcurl-*/grpcurl"))
    if made:
        return str(made[-1])
    folder = cache / "tools" / f"grpcurl-{MODULE.rsplit('@v', 1)[1]}"
    found = folder / "grpcurl"
    go = shutil.which("go") or next((p for p in ("/usr/local/go/bin/go", "/usr/lib/go/bin/go") if os.path.exists(p)), None)
    if not go:
        raise Skip("go, to build grpcurl")
    folder.mkdir(parents=True, exist_ok=True)
    p = subprocess.run([go, "install", MODULE], capture_output=True, text=True, timeout=240, env={**os.environ, "GOBIN": str(folder.resolve())}, check=False)
    if p.returncode or not found.exists():
        raise Skip(f"the Go module proxy, to build grpcurl ({p.stderr.strip().splitlines()[-1:]})")
    return str(found)


def run(s: Server, *args: str, key: str | None = None, data: str | None = None) -> tuple[int, str, str]:
    """grpcurl against the server: exit code, standard output, standard error."""
    command = [TOOL, "-plaintext", "-max-time", "20"]
    if key:
        command += ["-H", f"authorization: Bearer {key}"]
    if data is not None:
        command += ["-d", data]
    p = subprocess.run([*command, s.grpc, *args], capture_output=True, text=True, timeout=40, check=False)
    return p.returncode, p.stdout, p.stderr


def code_of(err: str) -> str:
    """The status in what it prints."""
    m = re.search(r"Code: (\w+)", err)
    return m[1] if m else "OK" if not err.strip() else "?"


def reason_of(err: str) -> str:
    """The reason in the details: the client does not know the type and prints its bytes."""
    return "".join(base64.b64decode(x).decode("latin-1") for x in re.findall(r'"@value": "([^"]+)"', err))


def looking(c: Checks, s: Server) -> None:
    """list and describe, without a key: reflection is open."""
    rc, out, err = run(s, "list")
    services = out.split()
    c.that(f"{len(services)} services are listed", rc == 0 and set(SERVICES) <= set(services) and set(OPEN[:1]) <= set(services) and any(x in services for x in OPEN[1:]), (services, err))
    undescribed, methods = [], 0
    for service in [*SERVICES, *OPEN[:1]]:
        rc, out, err = run(s, "describe", service)
        c.that(f"describe {service}", rc == 0 and "rpc " in out, (out, err))
        rc, out, _ = run(s, "list", service)
        for method in out.split():
            methods += 1
            rc, text, err = run(s, "describe", method)
            types = re.findall(r"\( (?:stream )?\.([\w.]+) \)", text)
            if rc or len(types) != 2:
                undescribed.append((method, text, err))
                continue
            rc, text, err = run(s, "describe", types[0])
            if rc or "message" not in text:
                undescribed.append((types[0], err))
    c.that(f"{methods} methods and their requests are described", methods > 80 and not undescribed, undescribed[:3])


def calling(c: Checks, s: Server) -> None:
    """Every method with an empty message: with a key an answer or a clean status, without one a refusal."""
    codes: dict[str, int] = {}
    for service in SERVICES:
        faults, shy, open_ones, mute = [], [], [], []
        methods = run(s, "list", service)[1].split()
        for full in methods:
            name = full.rsplit(".", 1)[1]
            path = f"{service}/{name}"
            if name not in HARMFUL:
                rc, out, err = run(s, path, key=s.key, data="{}")
                code = code_of(err)
                codes[code] = codes.get(code, 0) + 1
                if code in FAULTS or code == "?":
                    faults.append((name, err[-300:]))
                if rc and not re.search(r"Message: \S", err):
                    mute.append((name, err))
                if code == "Unimplemented" and not re.search(r"Message: .*(not|yet)", err):
                    shy.append((name, err))
            rc, out, err = run(s, path, data="{}")
            if code_of(err) != "Unauthenticated":
                open_ones.append((name, out, err))
        c.that(f"{service}: {len(methods)} methods answer with a clean status", not faults and methods, faults)
        c.that(f"{service}: every refusal has a message", not mute, mute)
        c.that(f"{service}: what is not there says so", not shy, shy)
        c.that(f"{service}: nothing without a key", not open_ones, open_ones[:2])
    print(f"      {codes}")
    c.that("the server runs", running(s), s.log_tail())


def using(c: Checks, s: Server) -> None:
    """Some real work through it, and errors with their details."""
    s.cli("ingest", "-", stdin='{"id":"g1","title":"Slots","text":"A deferred task frees the worker slot while it waits."}\n')
    rc, out, err = run(s, "airlore.v1.KnowledgeService/Search", key=s.key, data='{"text":"worker slot","k":3,"explain":true}')
    c.that("search", rc == 0 and json.loads(out)["hits"][0]["id"] == "g1", (out, err))
    rc, out, err = run(s, "airlore.v1.KnowledgeService/Search", key=s.key, data='{"text":"worker slot","k":0}')
    c.that("an error has its reason in the details", code_of(err) == "InvalidArgument" and "ErrorInfo" in err and "K_OUT_OF_RANGE" in reason_of(err), err)
    rc, out, err = run(s, "grpc.health.v1.Health/Check", data="{}")
    c.that("health without a key", rc == 0 and "SERVING" in out, (out, err))
    rc, out, err = run(s, "grpc.health.v1.Health/Check", data='{"service":"airlore.v1.KnowledgeService"}')
    c.that("health of a service", rc == 0 and "SERVING" in out, (out, err))
    rc, out, err = run(s, "grpc.health.v1.Health/Check", data='{"service":"no.Such"}')
    c.that("health of no service", code_of(err) == "NotFound", (out, err))
    stream = '{"options":{}} {"item":{"id":"g2","text":"A second item through the stream of another client."}} {"finish":{}}'
    rc, out, err = run(s, "airlore.v1.KnowledgeService/Ingest", key=s.key, data=stream)
    c.that("ingest as a stream", rc == 0 and '"summary"' in out and s.cli("get", "g2")[0] == 0, (out, err))
    rc, out, err = run(s, "airlore.v1.KnowledgeService/Ingest", key=s.key, data="{}")
    c.that("a stream that begins wrongly", code_of(err) == "InvalidArgument", (out, err))
    for bad in ('{"nosuch":1}', '{"text":5}'):
        rc, out, err = run(s, "airlore.v1.KnowledgeService/Search", key=s.key, data=bad)
        c.that(f"{bad} is refused", rc != 0 and err, (out, err))
    rc, out, err = run(s, "airlore.v1.KnowledgeService/Search", key="al_no_no", data='{"text":"x"}')
    c.that("a wrong key", code_of(err) == "Unauthenticated" and "KEY_INVALID" in reason_of(err), err)


def main() -> int:
    """The whole test."""
    global TOOL
    c, s = Checks(), Server(sys.argv[1])
    only = sys.argv[3:]
    try:
        TOOL = build(Path(sys.argv[2]))
        s.start()
        for part in (looking, calling, using):
            if not only or part.__name__ in only:
                c.part(part, c, s)
    except Skip as e:
        c.skip("grpcurl", str(e))
        print("0 passed, 0 failed, 1 skipped")
        return 77
    except Exception as e:
        c.that("the test runs to its end", False, f"{type(e).__name__}: {e}")
    finally:
        s.close()
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
