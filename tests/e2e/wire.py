"""gRPC over HTTP/2 written by hand, to send what no library would: any bytes, half a call, too slow, too much.

Only what the tests need: literal header fields without Huffman coding or a table, one reader a connection, no flow control beyond a wide
window for what comes back and patience for what goes out.
"""

from __future__ import annotations

import re
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CODES = ("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED "
         "FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED").split()
KNOWLEDGE = "/airlore.v1.KnowledgeService/"


def varint(n: int) -> bytes:
    """A number as protobuf has it."""
    out = bytearray()
    n &= (1 << 64) - 1
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, value: bytes | str | int | float) -> bytes:
    """One protobuf field: a number, a double, or bytes (text, message, packed list)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def floats(values: list[float]) -> bytes:
    """A packed list of floats."""
    return struct.pack(f"<{len(values)}f", *values)


def search(text: str | bytes, k: int | None = None, query_filter: str = "") -> bytes:
    """A SearchRequest."""
    raw = text.encode() if isinstance(text, str) else text
    out = field(1, raw) if raw else b""
    if k is not None:
        out += field(3, k)
    return out + (field(5, query_filter) if query_filter else b"")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def length(n: int, prefix: int, first: int) -> bytes:
    """A number of HPACK."""
    top = (1 << prefix) - 1
    if n < top:
        return bytes([first | n])
    return bytes([first | top]) + varint(n - top)


def literal(name: str, value: str) -> bytes:
    """A header field, named and not remembered."""
    a, b = name.encode(), value.encode("latin-1")
    return b"\x00" + length(len(a), 7, 0) + a + length(len(b), 7, 0) + b


def message(payload: bytes, flag: int = 0) -> bytes:
    """A length-prefixed gRPC message."""
    return bytes([flag]) + struct.pack(">I", len(payload)) + payload


class Answer:
    """How a call ended: code by name, reason and message as sent, the messages of the answer."""

    def __init__(self) -> None:
        self.code = self.reason = self.text = ""
        self.messages: list[bytes] = []
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"{self.code} {self.reason} {self.text[:200]!r} {sum(map(len, self.messages))} bytes {self.seconds:.2f} s"


class Connection:
    """One connection to the gRPC port; a call after the other."""

    def __init__(self, address: str, key: str = "", timeout: float = 30) -> None:
        host, port = address.rsplit(":", 1)
        self.key = key
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = -1
        self.buffer = b""
        self.window = 65535  # of the connection
        self.stream_window = self.initial = 65535
        # no table to remember header fields in, and a window that never fills
        settings = struct.pack(">HIHIHI", 1, 0, 4, 0x7FFFFFFF, 0xFE03, 1)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFF0000)))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def open(self, path: str, headers: dict[str, str] | None = None) -> None:
        """Send the headers of a call."""
        self.stream += 2
        self.stream_window = self.initial
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "test", "te": "trailers", "content-type": "application/grpc"}
        if self.key:
            fields["authorization"] = "Bearer " + self.key
        block = b"".join(literal(n, v) for n, v in {**fields, **(headers or {})}.items())
        kind, first = HEADERS, True
        while block or first:
            part, block = block[:16384], block[16384:]
            self.socket.sendall(frame(kind, 0 if block else END_HEADERS, self.stream, part))
            kind, first = CONTINUATION, False

    def send(self, payload: bytes, end: bool = False) -> None:
        """Send bytes of the call, in frames, as fast as the other side lets us."""
        while payload:
            room = min(16384, self.window, self.stream_window)
            if room <= 0:
                kind, flags, stream, got = self.read_frame()
                self.note(kind, flags, stream, got)
                if stream == self.stream and (kind == RST or (kind == HEADERS and flags & END_STREAM)):
                    self.buffer = frame(kind, flags, stream, got) + self.buffer
                    return
                continue
            part, payload = payload[:room], payload[room:]
            self.window -= len(part)
            self.stream_window -= len(part)
            self.socket.sendall(frame(DATA, END_STREAM if end and not payload else 0, self.stream, part))

    def end(self) -> None:
        """Nothing more comes from here."""
        self.socket.sendall(frame(DATA, END_STREAM, self.stream))

    def read_exactly(self, n: int) -> bytes:
        """So many bytes, or ConnectionError."""
        while len(self.buffer) < n:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise ConnectionError("closed by the server")
            self.buffer += piece
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def read_frame(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream, payload."""
        head = self.read_exactly(9)
        size = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, self.read_exactly(size)

    def note(self, kind: int, flags: int, stream: int, got: bytes) -> None:
        """What every connection has to answer or to remember."""
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, len(got) - 5, 6):
                name, value = struct.unpack(">HI", got[i : i + 6])
                if name == 4:
                    self.stream_window += value - self.initial
                    self.initial = value
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, got))
        elif kind == WINDOW:
            if stream == 0:
                self.window += int.from_bytes(got, "big")
            elif stream == self.stream:
                self.stream_window += int.from_bytes(got, "big")
        elif kind == GOAWAY:
            raise ConnectionError(f"GOAWAY {got[8:]!r}")

    def finish(self) -> Answer:
        """Read the answer of the call to its end."""
        out, body = Answer(), b""
        began = time.monotonic()
        while not out.code:
            kind, flags, stream, got = self.read_frame()
            self.note(kind, flags, stream, got)
            if stream != self.stream:
                continue
            if kind == DATA:
                body += got
            elif kind == HEADERS:
                read_headers(got, out)
            elif kind == RST:
                out.code = f"RST {int.from_bytes(got, 'big')}"
        while len(body) >= 5:
            size = int.from_bytes(body[1:5], "big")
            out.messages.append(body[5 : 5 + size])
            body = body[5 + size :]
        out.seconds = time.monotonic() - began
        return out

    def call(self, path: str, payload: bytes, headers: dict[str, str] | None = None) -> Answer:
        """A unary call."""
        self.open(path, headers)
        self.send(message(payload), end=True)
        return self.finish()


def read_headers(block: bytes, out: Answer) -> None:
    """Status, message and reason of trailers; all fields are literals that nobody compressed."""
    if (m := re.search(rb"\x0bgrpc-status([\x01\x02])(\d\d?)", block)) is not None:
        number = int(m[2][: m[1][0]])
        out.code = CODES[number] if number < len(CODES) else str(number)
    if (m := re.search(rb"\x0cgrpc-message", block)) is not None:
        out.text = block[m.end() :].decode("latin-1")
    if (m := re.search(rb"\x0eairlore-reason([\x01-\x7e])", block)) is not None:
        out.reason = block[m.end() : m.end() + m[1][0]].decode("latin-1")


def call(address: str, key: str, path: str, payload: bytes, timeout: float = 30) -> Answer:
    """A unary call on a connection of its own."""
    with Connection(address, key, timeout) as c:
        return c.call(path, payload)
