"""Finding the server, losing it, finding it again; deadlines; the messages and the package itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT, Server

import airlore
from airlore import Client, NewItem

HERE = Path(__file__).resolve().parent.parent


def free_address() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def test_discovery_finds_the_server_of_this_user(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", server.env["XDG_STATE_HOME"])
    found = airlore.discover()
    assert found is not None
    assert (found.server, found.key) == (server.address, server.key)
    with Client() as c:
        assert c.server == server.address
        assert c.whoami().server_admin
    with Client(server.address) as c:  # the key belongs to this very server
        assert c.whoami().server_admin


def test_environment_wins_over_the_runtime_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/nonexistent")
    monkeypatch.setenv("AIRLORE_SERVER", server.address)
    monkeypatch.setenv("AIRLORE_KEY", server.key)
    with Client() as c:
        assert c.whoami().server_admin
    monkeypatch.setenv("AIRLORE_KEY", "")  # empty counts as unset
    with Client() as c, pytest.raises(airlore.Unauthenticated):
        c.whoami()


def test_nothing_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(airlore.DiscoveryError, match="AIRLORE_SERVER"):
        Client()


@pytest.mark.parametrize(
    ("content", "mode", "what"),
    [
        ("{", 0o600, "Expecting"),
        ("[]", 0o600, "lacks"),
        (json.dumps({"grpc": "127.0.0.1:1", "data": "/x", "pid": 2**31 - 2}), 0o600, "gone"),
        (json.dumps({"grpc": "127.0.0.1:1", "data": "/x", "pid": os.getpid()}), 0o622, "others can write"),
        (json.dumps({"grpc": "127.0.0.1:1", "data": "/nonexistent", "pid": os.getpid()}), 0o600, "no key"),
        ("x" * 70000, 0o600, "too large"),
    ],
)
def test_runtime_files_not_to_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, mode: int, what: str
) -> None:
    folder = tmp_path / "airlore"
    folder.mkdir(mode=0o700)
    (folder / "server.json").write_text(content)
    (folder / "server.json").chmod(mode)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(airlore.DiscoveryError, match=what):
        Client()


def test_server_away_is_unavailable_after_the_retries() -> None:
    with Client(free_address(), "al_x_y", retry=0.5) as c:
        began = time.monotonic()
        with pytest.raises(airlore.Unavailable) as e:
            c.whoami()
        assert 0.2 < time.monotonic() - began < 10
        assert e.value.is_retryable
        with pytest.raises(airlore.Unavailable):
            c.ingest_all([NewItem("x", text="y")])
        with pytest.raises(airlore.Unavailable):
            list(c.ask_stream("anyone there?"))


def test_a_server_that_never_answers_hits_the_deadline() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(8)
        with Client(f"127.0.0.1:{s.getsockname()[1]}", "al_x_y", timeout=0.5, retry=0) as c:
            with pytest.raises((airlore.DeadlineExceeded, airlore.Unavailable)):
                c.whoami()
            with pytest.raises((airlore.OutcomeUnknown, airlore.Unavailable)) as e:
                c.delete("x", write_id="w1")
            assert e.value.write_id == "w1"


def test_reconnects_after_a_restart(own_server: Server) -> None:
    with own_server.client(retry=60.0, timeout=60.0) as c:
        c.ingest_all([NewItem("keep/1", text="the heron stays through restarts")])
        address = own_server.address
        assert own_server.stop() == 0
        back = threading.Thread(target=own_server.start, args=(address,))
        back.start()
        hits = c.search("heron restarts")  # begun while the server is away
        back.join()
        assert hits[0].id == "keep/1"
        assert c.ingest_all([NewItem("keep/1", text="the heron stays through restarts")]).skipped == 1


def test_kill_during_ingest_loses_nothing_answered(own_server: Server) -> None:
    answered: list[str] = []

    def endless() -> object:
        n = 0
        while True:
            yield NewItem(f"kill/{n:06d}", text=f"item number {n} of many, written while the server may die")
            n += 1

    with own_server.client(retry=0) as c, pytest.raises(airlore.AirloreError) as e:
        for result in c.ingest(endless(), batch_size=8):  # type: ignore[arg-type]
            answered.append(result.id)
            if len(answered) == 100:
                own_server.stop(9)
    assert e.value.code == 14
    assert len(answered) >= 100
    own_server.start()
    with own_server.client() as c:
        stored = {i.id for i in c.list(view="basic", page_size=1000)}
        assert set(answered) <= stored
        assert c.verify(deep=True, timeout=60).is_clean


def test_one_client_many_threads(server: Server) -> None:
    failures: list[BaseException] = []
    with server.client() as c:

        def work(n: int) -> None:
            try:
                token = c.ingest_all([NewItem(f"threads/{n}", text=f"thread number{n} was here")]).token
                assert c.search(f"number{n}", mode="text", k=1, after=token)[0].id == f"threads/{n}"
            except BaseException as e:
                failures.append(e)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert failures == []


def test_a_closed_client_says_so(server: Server) -> None:
    c = server.client()
    c.close()
    with pytest.raises(airlore.AirloreError):
        c.whoami()


def test_bad_options() -> None:
    for options in ({"timeout": 0.0}, {"retry": -1.0}, {"cert": "-----BEGIN x"}, {"ca": "/nonexistent.pem"}):
        with pytest.raises(airlore.InvalidArgument):
            Client("127.0.0.1:1", "al_x_y", **options)  # type: ignore[arg-type]


def test_the_key_is_not_shown(server: Server) -> None:
    with server.client() as c:
        assert server.key not in repr(c)


def test_the_messages_load_without_a_guard() -> None:
    """Modules of a newer protoc name the runtime that they need; ours must not."""
    for path in sorted((HERE / "src" / "airlore" / "_proto" / "v1").glob("*_pb2.py")):
        assert "runtime_version" not in path.read_text(), path


def test_readme_examples(own_server: Server) -> None:
    """What the README shows runs as it stands, from top to bottom."""
    text = (HERE / "README.md").read_text()
    blocks = [b.split("```", 1)[0] for b in text.split("```python\n")[1:]]
    assert len(blocks) >= 4
    env = {**own_server.env, "PYTHONPATH": str(HERE / "src")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], env=env, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "reschedule" in done.stdout
