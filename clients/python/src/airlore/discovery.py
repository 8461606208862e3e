"""Finding the server that this user started on this machine, and its admin key, as the command line does.

A server writes ${XDG_STATE_HOME:-$HOME/.local/state}/airlore/server.json: {"grpc","http","data","pid","started"}. It counts only
when file and folder belong to this user, nobody else can write them, and the process lives. The key is the one line of
DATA/admin.key, a file that only this user may read.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .errors import FailedPrecondition

FILE_BYTES_MAX = 65536


class DiscoveryError(FailedPrecondition):
    """No server was named and none of this user was found, or what was found is not to be trusted."""


@dataclass(frozen=True)
class Found:
    """A server of this user."""

    server: str
    key: str  # empty: could not be read; why is in key_problem
    key_problem: str
    data: str


def runtime_path() -> Path:
    """Where a server of this user says where it listens."""
    state, home = os.environ.get("XDG_STATE_HOME", ""), os.environ.get("HOME", "")
    if state.startswith("/"):
        return Path(state) / "airlore" / "server.json"
    if home.startswith("/"):
        return Path(home) / ".local" / "state" / "airlore" / "server.json"
    raise DiscoveryError("runtime file: neither XDG_STATE_HOME nor HOME is set")


def _check_owner(path: Path, st: os.stat_result) -> None:
    if st.st_uid != os.geteuid():
        raise DiscoveryError(f"'{path}': belongs to another user (uid {st.st_uid})")
    if st.st_mode & 0o022:
        raise DiscoveryError(f"'{path}': others can write it (mode {stat.S_IMODE(st.st_mode):03o})")


def _read_own(path: Path, *, private: bool = False) -> str:
    """A small file of this user; private: nobody else may read it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        raise DiscoveryError(f"'{path}': {e.strerror}") from e
    try:
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode):
            raise DiscoveryError(f"'{path}': not a file")
        _check_owner(path, st)
        if private and st.st_mode & 0o077:
            raise DiscoveryError(f"'{path}': others can read it (mode {stat.S_IMODE(st.st_mode):03o})")
        data = os.read(fd, FILE_BYTES_MAX + 1)
    finally:
        os.close(fd)
    if len(data) > FILE_BYTES_MAX:
        raise DiscoveryError(f"'{path}': too large")
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise DiscoveryError(f"'{path}': not text") from e


def _read_key(data: str) -> str:
    path = Path(data) / "admin.key"
    key = _read_own(path, private=True).strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise DiscoveryError(f"'{path}': not one line with a key")
    return key


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def discover(path: Path | None = None) -> Found | None:
    """The server of this user; None when there is no runtime file. DiscoveryError when there is one and it cannot be used."""
    path = path or runtime_path()
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    folder = path.parent.lstat()
    if not stat.S_ISDIR(folder.st_mode):
        raise DiscoveryError(f"'{path.parent}': not a folder")
    _check_owner(path.parent, folder)
    try:
        doc = json.loads(_read_own(path))
    except ValueError as e:
        raise DiscoveryError(f"'{path}': {e}") from e
    fields = doc if isinstance(doc, dict) else {}
    server, data, pid = fields.get("grpc"), fields.get("data"), fields.get("pid")
    if not isinstance(server, str) or not server or not isinstance(pid, int) or not 0 < pid < 2**31:
        raise DiscoveryError(f"'{path}': lacks the server's address or process")
    if _is_gone(pid):
        raise DiscoveryError(f"'{path}': its server (process {pid}) is gone")
    if not isinstance(data, str) or not data.startswith("/"):
        return Found(server, "", f"'{path}': lacks the data folder", "")
    try:
        return Found(server, _read_key(data), "", data)
    except DiscoveryError as e:
        return Found(server, "", e.message, data)


def resolve(server: str | None, key: str | None, *, by_certificate: bool = False) -> tuple[str, str]:
    """Server and key from arguments, then the environment, then the runtime file; key "" when there is none.

    by_certificate: a client certificate says who calls; the key that lies about on this machine is left alone.
    """
    server = server or os.environ.get("AIRLORE_SERVER") or None
    key = key or os.environ.get("AIRLORE_KEY") or None
    if server and (key or by_certificate):
        return server, key or ""
    try:
        found = discover()
    except DiscoveryError:
        if server:
            return server, key or ""  # the server will say that a key is missing
        raise
    if server:
        same = found is not None and found.server == server
        return server, key or (found.key if found and same else "")
    if found is None:
        raise DiscoveryError("no server given and none of this user found on this machine; set AIRLORE_SERVER and AIRLORE_KEY")
    if by_certificate:
        return found.server, key or ""
    if not key and not found.key:
        raise DiscoveryError(f"no key: {found.key_problem}")
    return found.server, key or found.key
