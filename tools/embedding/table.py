"""The binary file of the static embedding table; the format is described in README.md."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAGIC = b"ALEMB001"
ALIGN = 64
_FIXED = struct.Struct("<8sIIIIQQQQQ32s32s")

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Table:
    """One static embedding table: row r is `rows[r] * scales[r]`, for the piece `pieces[r]`."""

    embedder_id: str
    pieces: list[bytes]
    rows: I8
    scales: F32

    def dense(self) -> F32:
        """Return the rows as fp32."""
        return self.rows.astype(np.float32) * self.scales[:, None]


def quantise(rows: F32) -> tuple[I8, F32]:
    """Quantise rows to int8 with one fp32 scale a row, max|row| / 127 (0 for an empty row)."""
    scales = (np.abs(rows).max(axis=1) / 127.0).astype(np.float32)
    divisor = np.where(scales > 0, scales, 1).astype(np.float32)
    quantised = np.rint(rows / divisor[:, None]).clip(-127, 127).astype(np.int8)
    return quantised, scales


def _aligned(size: int) -> int:
    """Round a byte count up to the section alignment."""
    return (size + ALIGN - 1) // ALIGN * ALIGN


def encode(table: Table) -> bytes:
    """Return the bytes of the file."""
    n_rows, dim = table.rows.shape
    if table.pieces != sorted(set(table.pieces)) or len(table.pieces) != n_rows:
        raise ValueError("pieces must be unique, sorted by bytes, one a row")
    lengths = np.array([len(p) for p in table.pieces], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype("<u4")
    vocab = b"".join(table.pieces)
    sections = (
        table.scales.astype("<f4").tobytes(),
        table.rows.astype(np.int8).tobytes(),
        offsets.tobytes(),
        vocab,
    )
    header_bytes = _aligned(_FIXED.size)
    starts, end = [], header_bytes
    for section in sections:
        starts.append(_aligned(end))
        end = starts[-1] + len(section)
    file_bytes = _aligned(end)
    body = bytearray(file_bytes - header_bytes)
    for start, section in zip(starts, sections, strict=True):
        body[start - header_bytes : start - header_bytes + len(section)] = section
    name = table.embedder_id.encode("ascii")
    if len(name) > 31:
        raise ValueError("embedder_id is longer than 31 bytes")
    head = _FIXED.pack(
        MAGIC, header_bytes, dim, n_rows, len(vocab), *starts, file_bytes, name,
        hashlib.sha256(body).digest(),
    )  # fmt: skip
    return head.ljust(header_bytes, b"\0") + bytes(body)


def write(path: Path, table: Table) -> str:
    """Write the file in one step and return its SHA-256."""
    data = encode(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> Table:
    """Read and check a file; ValueError says what is wrong with it."""
    data = path.read_bytes()
    if len(data) < _FIXED.size or data[:8] != MAGIC:
        raise ValueError(f"{path}: no embedding table")
    (_, header, dim, n_rows, n_vocab, o_scales, o_rows, o_offsets, o_vocab, size, name, digest) = (
        _FIXED.unpack_from(data)
    )
    if size != len(data) or hashlib.sha256(data[header:]).digest() != digest:
        raise ValueError(f"{path}: truncated or damaged")
    scales = np.frombuffer(data, "<f4", n_rows, o_scales)
    rows = np.frombuffer(data, np.int8, n_rows * dim, o_rows).reshape(n_rows, dim)
    ends = np.frombuffer(data, "<u4", n_rows + 1, o_offsets)
    vocab = data[o_vocab : o_vocab + n_vocab]
    pieces = [vocab[ends[i] : ends[i + 1]] for i in range(n_rows)]
    return Table(name.rstrip(b"\0").decode("ascii"), pieces, rows, scales)


def embed(dense: F32, rows: list[int]) -> F32:
    """Return the unit vector of a text given by its row numbers; zeros for an empty text."""
    if not rows:
        return np.zeros(dense.shape[1], dtype=np.float32)
    total = dense[rows].astype(np.float64).sum(axis=0)
    norm = float(np.linalg.norm(total))
    return (total / norm if norm > 0 else total).astype(np.float32)
