#!/usr/bin/env python3
"""Any bytes on the wire: rubbish on both ports, the wrong protocol, half-open and slow connections. The server answers within two seconds.

wire_test.py BIN_DIR [PART ...]      last line: N passed, N failed
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import time
from typing import Iterator

import wire
from checks import Checks, arguments, descriptors, memory_mb, metrics, run_parts, threads, wait_for
from server import Server

ANSWER_S = 2.0
HALF_OPEN = 200
SEED = 20261121


def connect(address: str, timeout: float = 5) -> socket.socket:
    """A plain connection."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=timeout)


def drain(s: socket.socket, seconds: float = 1.0) -> bytes:
    """What comes back, until the end or the time is up."""
    got, end = b"", time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < end and len(got) < 1 << 20:
            s.settimeout(max(0.01, end - time.monotonic()))
            piece = s.recv(1 << 16)
            if not piece:
                break
            got += piece
    return got


def throw(address: str, data: bytes, read: float = 0.0) -> bytes:
    """Send and hang up; gives what came back meanwhile."""
    with connect(address) as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
        return drain(s, read) if read else b""


def answers(c: Checks, s: Server, after: str) -> None:
    """Both ports answer in time."""
    began = time.monotonic()
    try:
        a = wire.call(s.grpc, s.key, wire.KNOWLEDGE + "Search", wire.search("sensor", 1), timeout=10)
        took = time.monotonic() - began
        c.that(f"gRPC answers {after} ({took:.2f} s)", a.code == "OK" and took < ANSWER_S, (a, took))
    except OSError as e:
        c.that(f"gRPC answers {after}", False, (e, s.log_tail()))
    began = time.monotonic()
    try:
        page = metrics(s)
        took = time.monotonic() - began
        c.that(f"the metrics page answers {after} ({took:.2f} s)", page.get("airlore_ready") == 1 and took < ANSWER_S, took)
    except (OSError, ValueError) as e:
        c.that(f"the metrics page answers {after}", False, e)


def frames(r: random.Random) -> Iterator[bytes]:
    """HTTP/2 that is nearly right."""
    hello = wire.PREFACE + wire.frame(wire.SETTINGS, 0, 0)
    yield wire.PREFACE
    yield hello
    yield hello + r.randbytes(20_000)
    yield wire.PREFACE + r.randbytes(65_536)
    yield hello + wire.frame(wire.HEADERS, wire.END_HEADERS, 1, r.randbytes(300))
    yield hello + wire.frame(wire.DATA, wire.END_STREAM, 1, b"data of no call")
    yield hello + wire.frame(wire.HEADERS, wire.END_HEADERS, 2, wire.literal(":path", "/even"))
    yield hello + wire.frame(wire.HEADERS, 0, 1, wire.literal(":path", "/x")) + wire.frame(wire.DATA, 0, 1, b"not a continuation")
    yield hello + wire.frame(wire.CONTINUATION, 0, 1, b"x") * 100
    yield hello + wire.frame(wire.SETTINGS, 0, 0, b"abc")
    yield hello + wire.frame(wire.SETTINGS, 0, 0, struct.pack(">HI", 4, 0xFFFFFFFF))
    yield hello + wire.frame(wire.WINDOW, 0, 0, struct.pack(">I", 0))
    yield hello + wire.frame(wire.WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF)) * 3
    yield hello + wire.frame(wire.PING, 0, 0, b"12345678") * 20_000
    yield hello + wire.frame(wire.SETTINGS, 0, 0) * 20_000
    yield hello + wire.frame(wire.RST, 0, 99, struct.pack(">I", 8)) * 1000
    yield hello + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + r.randbytes(100)
    yield hello + wire.frame(0xEE, 0xFF, 7, r.randbytes(1000))
    yield hello + wire.frame(wire.GOAWAY, 0, 0, bytes(8))
    big = wire.literal("x-big", "y" * 15_000)
    yield hello + wire.frame(wire.HEADERS, 0, 1, wire.literal(":path", "/x")) + b"".join(wire.frame(wire.CONTINUATION, 0, 1, big) for _ in range(200))


def rubbish(c: Checks, s: Server) -> None:
    """Random and nearly right bytes."""
    r = random.Random(SEED)
    for address in (s.grpc, s.http):
        for i in range(40):
            throw(address, r.randbytes(r.choice((1, 8, 9, 24, 100, 5000, 100_000))), read=0.01 if i % 8 == 0 else 0)
    answers(c, s, "after random bytes")
    for data in frames(r):
        throw(s.grpc, data, read=0.05)
    answers(c, s, "after HTTP/2 that is nearly right")
    good = wire.PREFACE + wire.frame(wire.SETTINGS, 0, 0) + wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"".join(wire.literal(n, v) for n, v in (
        (":method", "POST"), (":scheme", "http"), (":path", wire.KNOWLEDGE + "Search"), (":authority", "x"), ("te", "trailers"), ("content-type", "application/grpc"),
        ("authorization", "Bearer " + s.key)))) + wire.frame(wire.DATA, wire.END_STREAM, 1, wire.message(wire.search("sensor", 3)))
    for _ in range(150):
        data = bytearray(good)
        for _ in range(r.randint(1, 4)):
            data[r.randrange(24, len(data))] = r.randrange(256)
        throw(s.grpc, bytes(data[: r.randrange(30, len(data) + 1)] if r.random() < 0.3 else data))
    answers(c, s, "after calls with flipped bytes")


def mutated_messages(c: Checks, s: Server) -> None:
    """Right calls with wrong messages: every one has a status, none of them is the server's fault."""
    r = random.Random(SEED + 1)
    seeds = {"Search": wire.search("free the worker slot", 3, 'kind = "doc"'), "Ask": wire.field(1, "how many workers?") + wire.field(3, 3), "GetItem": wire.field(1, "a"),
             "ListItems": wire.field(2, 'kind = "doc"') + wire.field(4, 5), "CheckSources": wire.field(3, "src") + wire.field(4, wire.field(1, "a") + wire.field(2, "b")),
             "BatchSearch": wire.field(1, wire.field(1, "q") + wire.field(2, wire.search("sensor", 2)))}
    codes: dict[str, int] = {}
    faults = []
    w = wire.Connection(s.grpc, s.key)
    try:
        for i in range(600):
            method = r.choice(list(seeds))
            data = bytearray(seeds[method])
            for _ in range(r.randint(1, 5)):
                at = r.randrange(len(data))
                what = r.randrange(3)
                if what == 0:
                    data[at] = r.randrange(256)
                elif what == 1:
                    data[at:at] = r.randbytes(r.randint(1, 6))
                elif len(data) > 2:
                    del data[at]
            a = w.call(wire.KNOWLEDGE + method, bytes(data))
            codes[a.code] = codes.get(a.code, 0) + 1
            if a.code in ("INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS") or a.code.startswith("RST"):
                faults.append((i, method, bytes(data), a))
        c.that(f"600 mutated messages: {codes}", not faults and codes.get("INVALID_ARGUMENT", 0) > 100, faults[:2])
    finally:
        w.socket.close()
    with wire.Connection(s.grpc, s.key) as w:
        w.open(wire.KNOWLEDGE + "Search")
        w.send(wire.message(wire.search("sensor"), 9), end=True)
        a = w.finish()
        c.that(f"an unknown flag before a message: {a.code}", a.code not in ("OK", "UNAVAILABLE"), a)
    with wire.Connection(s.grpc, s.key) as w:
        w.open(wire.KNOWLEDGE + "Search")
        w.send(wire.message(wire.search("sensor"))[:-3], end=True)
        a = w.finish()
        c.that(f"a message that is cut off: {a.code}", a.code not in ("OK", "UNAVAILABLE"), a)
    with wire.Connection(s.grpc, s.key) as w:
        w.open(wire.KNOWLEDGE + "Search")
        w.send(wire.message(wire.search("sensor")) * 3, end=True)
        a = w.finish()
        c.that(f"three messages in a call of one: {a.code}", a.code != "UNAVAILABLE", a)
    with wire.Connection(s.grpc, s.key) as w:
        w.open(wire.KNOWLEDGE + "Search")
        w.end()
        a = w.finish()
        c.that(f"a call without its message: {a.code}", a.code not in ("OK", "UNAVAILABLE"), a)
    for headers, why in (({"grpc-timeout": "banana"}, "a timeout that is none"), ({"content-type": "text/html"}, "another content type"), ({"grpc-encoding": "lzma"}, "an unknown compression"),
                         ({"authorization": "Basic abc"}, "another scheme"), ({"authorization": "Bearer " + "x" * 60_000}, "a key of 60 KB"), ({"x" * 3000: "y"}, "a long name"),
                         ({"x-bin-bin": "no base64 !!"}, "bytes that are not base64"), ({":path": "/"}, "no method"), ({":method": "GET"}, "GET")):
        try:
            with wire.Connection(s.grpc, s.key, timeout=3) as w:
                a = w.call(wire.KNOWLEDGE + "Search", wire.search("sensor", 1), headers)
            c.that(f"{why}: {a.code} {a.reason}", a.code not in ("INTERNAL", "UNAVAILABLE") or why in ("bytes that are not base64", "another content type", "GET"), a)
        except (ConnectionError, TimeoutError) as e:
            c.that(f"{why}: the connection ends", True, e)
    for ms in ("1n", "1u", "0m", "5m"):
        with wire.Connection(s.grpc, s.key) as w:
            a = w.call(wire.KNOWLEDGE + "Search", wire.search("sensor", 1), {"grpc-timeout": ms})
            c.that(f"a deadline of {ms}: {a.code}", a.code in ("OK", "DEADLINE_EXCEEDED", "CANCELLED") or a.code.startswith("RST"), a)
    answers(c, s, "after wrong messages")


def wrong_protocol(c: Checks, s: Server) -> None:
    """HTTP/1.1 and TLS on the gRPC port, gRPC and worse on the HTTP port."""
    tls = bytes.fromhex("160301006d010000690303") + random.Random(5).randbytes(32) + bytes.fromhex("00000813021303130100ff01000038") + bytes(100)
    for name, address, data in (
        ("HTTP/1.1 on the gRPC port", s.grpc, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("POST on the gRPC port", s.grpc, b"POST /airlore.v1.KnowledgeService/Search HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
        ("TLS on the gRPC port", s.grpc, tls),
        ("TLS on the HTTP port", s.http, tls),
        ("HTTP/2 on the HTTP port", s.http, wire.PREFACE + wire.frame(wire.SETTINGS, 0, 0)),
    ):
        for _ in range(10):
            throw(address, data, read=0.1)
        answers(c, s, f"after {name}")
    cases = [
        ("a long line", b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n"), ("many header lines", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n"),
        ("a long header", b"GET /metrics HTTP/1.1\r\nA: " + b"b" * 500_000 + b"\r\n\r\n"), ("a bad length", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"),
        ("a huge length", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"), ("a bad chunk", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n"),
        ("both lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), ("a path upwards", b"GET /../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("an encoded path upwards", b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), ("NUL in the path", b"GET /metrics\x00 HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("an unknown method", b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), ("HTTP/9.9", b"GET / HTTP/9.9\r\n\r\n"), ("no version", b"GET /\r\n\r\n"), ("DELETE", b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a body of 5 MB", b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000), ("100 requests at once", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100),
    ]
    for name, data in cases:
        got = throw(s.http, data, read=0.3)
        c.that(f"HTTP: {name}: {got[:30]!r}", b"root:" not in got and not got.startswith(b"HTTP/1.1 5") or b"505" in got[:15] or b"501" in got[:15], got[:200])
    answers(c, s, "after wrong HTTP")


def half_open(c: Checks, s: Server) -> None:
    """Connections that say nothing, half of something, or one byte now and then; then they are gone and nothing of them is left."""
    before = (descriptors(s), threads(s), memory_mb(s))
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(s.grpc)) for _ in range(HALF_OPEN)]
        answers(c, s, f"beside {HALF_OPEN} silent connections")
        for i, sock in enumerate(silent):
            with contextlib.suppress(OSError):
                sock.sendall((wire.PREFACE + wire.frame(wire.SETTINGS, 0, 0))[: 1 + i % 30])
        answers(c, s, f"beside {HALF_OPEN} connections with half a greeting")
    with contextlib.ExitStack() as stack:
        for i in range(HALF_OPEN):
            w = stack.enter_context(wire.Connection(s.grpc, s.key))
            w.open(wire.KNOWLEDGE + "Search")
            w.send(wire.message(wire.search("sensor"))[: i % 9])
        answers(c, s, f"beside {HALF_OPEN} calls that do not end")
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            w = stack.enter_context(wire.Connection(s.grpc, s.key))
            w.open(wire.KNOWLEDGE + "Ingest")
            w.send(wire.message(wire.field(1, b"")))
        answers(c, s, "beside 100 ingest streams that do not go on")
        rc, d, e = s.cli("whoami", timeout=10)
        c.that("and a command is answered", rc == 0, (rc, d, e))
    with contextlib.ExitStack() as stack:
        for _ in range(HALF_OPEN):
            with contextlib.suppress(OSError):
                sock = stack.enter_context(connect(s.http))
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        a = wire.call(s.grpc, s.key, wire.KNOWLEDGE + "Search", wire.search("sensor", 1))
        c.that("gRPC answers beside half HTTP requests", a.code == "OK" and time.monotonic() - began < ANSWER_S, a)
    answers(c, s, "after half HTTP requests")
    slow(c, s)
    back = wait_for(lambda: descriptors(s) <= before[0] + 12 and threads(s) <= before[1] + 12, 25)
    c.that(f"files {before[0]} -> {descriptors(s)}, threads {before[1]} -> {threads(s)}, {before[2]:.0f} -> {memory_mb(s):.0f} MB", back)


def slow(c: Checks, s: Server) -> None:
    """Senders and readers that take their time do not keep others from being answered."""
    with contextlib.ExitStack() as stack:
        senders = []
        for _ in range(30):
            w = stack.enter_context(wire.Connection(s.grpc, s.key))
            w.open(wire.KNOWLEDGE + "Search")
            senders.append(w)
        data = wire.message(wire.search("sensor", 1))
        for i in range(len(data)):
            for w in senders:
                w.send(data[i : i + 1], end=i == len(data) - 1)
            if i == len(data) // 2:
                answers(c, s, "beside slow senders")
        done = [w.finish().code for w in senders]
        c.that("slow senders are answered, too", done == ["OK"] * len(senders), done)
    with contextlib.ExitStack() as stack:
        batch = wire.field(1, wire.field(2, wire.search("sensor", 30))) * 100
        for _ in range(20):
            w = stack.enter_context(wire.Connection(s.grpc, s.key))
            w.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            w.open(wire.KNOWLEDGE + "BatchSearch")
            w.send(wire.message(batch), end=True)  # and never read
        time.sleep(0.5)
        deadline = time.monotonic() + 20
        a = wire.Answer()
        while a.code != "OK" and time.monotonic() < deadline:
            a = wire.call(s.grpc, s.key, wire.KNOWLEDGE + "Search", wire.search("sensor", 1))
        c.that("those who do not read are not waited for", a.code == "OK", a)
    answers(c, s, "after slow readers")


def loading(c: Checks, s: Server) -> None:
    """Something to find."""
    rows = "".join(f'{{"id":"w{i}","text":"A sensor number {i} waits for the worker slot of the pool.","title":"Sensor {i}"}}\n' for i in range(300))
    rc, d, e = s.cli("ingest", "-", stdin=rows)
    c.that("300 items", rc == 0 and d[0]["inserted"] == 300, (rc, d, e))


def ending(c: Checks, s: Server) -> None:
    """Still the same process, whole, and it ends when asked."""
    page = metrics(s)
    faults = {n: v for n, v in page.items() if n.startswith("airlore_calls_total") and ("INTERNAL" in n or "DATA_LOSS" in n) and v}
    c.that("no call ended with INTERNAL", not faults, faults)
    rc, d, e = s.cli("cluster", "verify")
    c.that("verify is green", rc == 0, (rc, d, e))
    c.alive(s)
    c.that("SIGTERM: exit 0", s.stop() == 0, s.log_tail())


if __name__ == "__main__":
    BIN, ONLY = arguments()
    sys.exit(run_parts((loading, rubbish, mutated_messages, wrong_protocol, half_open, ending), Server(BIN), ONLY))
