"""Search, ask, ingest and items against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from conftest import Server

import airlore
from airlore import Client, NewItem, Query
from airlore._convert import UTC

SENSOR = "# Sensors\n\nUse mode reschedule to free the worker slot while a sensor waits.\n"
POOL = "# Pools\n\nA pool limits how many tasks run at once against a database.\n"
KOREAN = "# 센서\n\n센서가 기다리는 동안 워커 슬롯을 비우려면 reschedule 모드를 사용하세요.\n"


def docs(prefix: str, n: int) -> Iterator[NewItem]:
    for i in range(n):
        yield NewItem(f"{prefix}/{i:05d}", text=f"# Note {i}\n\nThe {prefix} runbook number {i} describes step {i * 7}.\n")


@pytest.fixture(scope="module", autouse=True)
def _loaded(server: Server) -> None:
    with server.client() as c:
        summary = c.ingest_all(
            [
                NewItem("kb/sensor.md", text=SENSOR, title="Sensors", tags=["sensors"], metadata={"owner": "data"}, version="3"),
                {"id": "kb/pool.md", "text": POOL, "url": "https://example.org/pool"},
                {"id": "kb/ko.md", "text": KOREAN},
            ]
        )
        assert (summary.inserted, summary.failed) == (3, 0)
        assert summary.token


def test_search_finds_the_document_with_its_facts(client: Client) -> None:
    found = client.search("free the worker slot", k=3)
    hit = found[0]
    assert hit.id == "kb/sensor.md"
    assert hit.title == "Sensors"
    assert hit.scope == "team"
    assert hit.space == "teams/default"
    assert hit.version == "3"
    assert hit.metadata["owner"] == "data"
    assert "sensors" in hit.tags
    assert hit.update_time is not None
    assert hit.update_time.tzinfo is not None
    assert {hit.snippet[a:b].lower() for a, b in hit.highlights} >= {"free", "worker", "slot"}
    assert 0 <= hit.relevance <= 1
    assert found.relevance == hit.relevance
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_search_highlights_are_characters_in_korean(client: Client) -> None:
    hit = client.search("워커 슬롯 비우기", k=1)[0]
    assert hit.id == "kb/ko.md"
    assert "슬롯" in hit.snippet
    assert any("워커" in hit.snippet[a:b] or "슬롯" in hit.snippet[a:b] for a, b in hit.highlights)


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_search_modes(client: Client, mode: str) -> None:
    assert client.search("worker slot sensor", k=1, mode=mode)[0].id == "kb/sensor.md"


def test_search_explains(client: Client) -> None:
    e = client.search("worker slot", k=1, explain=True)[0].explain
    assert e is not None
    assert e.text_score is not None
    assert e.text_score > 0
    assert e.vector_score is not None
    assert {t.term for t in e.terms} >= {"worker", "slot"}
    assert e.vector_weight == pytest.approx(0.4)


def test_search_filters_and_limits(client: Client) -> None:
    assert [h.id for h in client.search("pool", filter='id = "kb/pool.md"')] == ["kb/pool.md"]
    assert len(client.search("pool", filter='id = "no such"')) == 0
    assert len(client.search("a pool of tasks", k=1)) == 1
    assert len(client.search("sourdough bread recipe", min_score=0.99)) == 0
    assert client.search("pool", k=1, filter='id = "kb/pool.md"', include_text=True)[0].text.strip()
    assert client.search("pool", k=1, snippet_bytes=0)[0].snippet == ""


def test_query_objects_and_batches(client: Client) -> None:
    results = client.batch_search([Query("worker slot", k=1, id="a"), Query("x", k=0, id="b"), Query("limits tasks", k=2, id="c")])
    assert [r.id for r in results] == ["a", "b", "c"]
    assert results[0].get()[0].id == "kb/sensor.md"
    assert results[1].problem is not None
    assert results[1].problem.reason == "K_OUT_OF_RANGE"
    with pytest.raises(airlore.InvalidArgument) as e:
        results[1].get()
    assert e.value.reason == "K_OUT_OF_RANGE"
    assert results[2].get()[0].id == "kb/pool.md"


def test_batches_larger_than_a_call_are_cut(client: Client) -> None:
    results = client.batch_search(["worker slot"] * 300, k=1)
    assert len(results) == 300
    assert {r.get()[0].id for r in results} == {"kb/sensor.md"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"k": 0}, "K_OUT_OF_RANGE"),
        ({"k": 1_000_000}, "K_OUT_OF_RANGE"),
        ({"filter": "kind = "}, "BAD_FILTER"),
        ({"filter": 'nosuch = "x"'}, "BAD_FILTER"),
        ({"vector": [1.0, 2.0]}, "DIMENSION_MISMATCH"),
        ({"vector": [float("nan")] * 256}, "NOT_FINITE"),
        ({"after": "no token!"}, "BAD_TOKEN"),
        ({"mode": "psychic"}, "BAD_ENUM"),
        ({"nonsense": 1}, "BAD_FORMAT"),
        ({"k": -1}, "BAD_FORMAT"),
        ({"k": "many"}, "BAD_FORMAT"),
    ],
)
def test_bad_searches_have_reasons(client: Client, options: dict[str, object], reason: str) -> None:
    with pytest.raises(airlore.InvalidArgument) as e:
        client.search("pool", **options)
    assert e.value.reason == reason
    assert reason in str(e.value)


def test_empty_query_is_refused(client: Client) -> None:
    with pytest.raises(airlore.InvalidArgument) as e:
        client.search("")
    assert e.value.reason == "QUERY_EMPTY"
    assert e.value.request_id


def test_ask_answers_with_sources(client: Client) -> None:
    answer = client.ask("How do I free the worker slot while a sensor waits?")
    assert not answer.abstained
    assert "reschedule" in answer.answer
    assert answer.sources[0].id == "kb/sensor.md"
    assert answer.sources[0].n == 1
    assert answer.sentences
    assert all(s.sources for s in answer.sentences)
    assert answer.model == "extractive"


def test_ask_abstains(client: Client) -> None:
    answer = client.ask("Which year did the Berlin Wall fall?")
    assert answer.abstained
    assert answer.answer


def test_ask_stream_gives_the_same_piece_by_piece(client: Client) -> None:
    question = "How do I free the worker slot while a sensor waits?"
    pieces = list(client.ask_stream(question))
    assert pieces[0].sources is not None
    assert pieces[-1].end is not None
    assert [p.sentence for p in pieces[1:-1]] == list(pieces[-1].end.sentences)
    assert pieces[-1].end.answer == client.ask(question).answer


def test_ask_stream_left_early_does_no_harm(client: Client) -> None:
    stream = client.ask_stream("How do I free the worker slot while a sensor waits?")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert client.whoami().team


def test_an_llm_that_is_not_there(client: Client) -> None:
    with pytest.raises(airlore.FailedPrecondition) as e:
        client.ask("anything about pools?", mode="generative")
    assert e.value.reason == "NOT_CONFIGURED"


def test_ingest_outcomes(client: Client) -> None:
    rows = [NewItem("out/a.md", text="# A\n\nfirst text about apples")]
    assert [r.outcome for r in client.ingest(rows)] == ["inserted"]
    assert [r.outcome for r in client.ingest(rows)] == ["skipped"]
    assert [r.outcome for r in client.ingest(rows, force=True)] == ["updated"]
    assert [r.outcome for r in client.ingest([NewItem("out/a.md", text="# A\n\nnow about pears")])] == ["updated"]
    assert client.ingest_all([NewItem("out/dry.md", text="never stored")], dry_run=True).inserted == 1
    with pytest.raises(airlore.NotFound):
        client.get("out/dry.md")


def test_ingest_reports_bad_items_and_takes_the_rest(client: Client) -> None:
    rows = [
        NewItem("bad/1", text="fine text number one"),
        NewItem("", text="no id"),
        NewItem("bad/2", text="its vector is of another world", vector=[1.0, 2.0]),
        NewItem("bad/3", raw=b"\x00\x01\x02\xff\xfe" * 100, media_type="text/plain"),
        NewItem("bad/4", text="fine text number four"),
    ]
    summary = client.ingest_all(rows)
    assert (summary.inserted, summary.failed) == (2, 3)
    reasons = dict(summary.problems)
    assert set(reasons) == {"", "bad/2", "bad/3"}
    assert all(p.reason.isupper() and p.code and p.message for p in reasons.values())
    assert "vector" in reasons["bad/2"].message


def test_ingest_raw_bytes_and_times(client: Client) -> None:
    at = datetime(2024, 5, 17, 8, 30, tzinfo=UTC)
    client.ingest_all([NewItem("raw/page.html", raw=b"<h1>Kettles</h1><p>Boil the kettle twice.</p>", create_time=at)])
    item = client.get("raw/page.html")
    assert "Boil the kettle" in item.text
    assert "<p>" not in item.text
    assert item.create_time == at


def test_ingest_sees_only_what_the_server_can_take(client: Client) -> None:
    """The iterable is never read further ahead than the window and the message being made."""
    taken = 0
    answered = 0
    ahead = 0

    def count() -> Iterator[NewItem]:
        nonlocal taken
        for item in docs("pressure", 2000):
            taken += 1
            yield item

    with client.ingest(count(), batch_size=16) as stream:
        for _ in stream:
            answered += 1
            ahead = max(ahead, taken - answered)
    assert answered == 2000
    assert stream.summary is not None
    assert stream.summary.inserted == 2000
    assert 0 < ahead <= stream.window + 2 * 16


def test_ingest_waits_for_a_slow_reader(client: Client) -> None:
    """Nobody reads results: the iterable is left alone after about one window."""
    taken = 0
    stalled = threading.Event()

    def count() -> Iterator[NewItem]:
        nonlocal taken
        for item in docs("slow", 5000):
            taken += 1
            yield item

    with client.ingest(count(), batch_size=16) as stream:
        before = -1
        while taken != before:  # until it has stood still for a while
            before = taken
            stalled.wait(0.5)
        assert 0 < taken <= stream.window + 2 * 16
        assert sum(1 for _ in stream) == 5000


def test_ingest_one_by_one_can_answer_before_the_next_item(client: Client) -> None:
    """With messages of one item, a producer may wait for the answer to its last item."""
    seen = threading.Semaphore(1)

    def lockstep() -> Iterator[NewItem]:
        for item in docs("lock", 5):
            assert seen.acquire(timeout=30)
            yield item

    for result in client.ingest(lockstep(), batch_size=1):
        assert result.outcome == "inserted"
        seen.release()


def test_an_error_in_the_iterable_reaches_the_caller(client: Client) -> None:
    def broken() -> Iterator[NewItem]:
        yield from docs("broken", 3)
        raise RuntimeError("the source fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        client.ingest_all(broken())


@pytest.mark.parametrize(
    "item",
    [{"text": "no id"}, {"id": "x", "colour": "red"}, NewItem("x", text="a", raw=b"b"), NewItem("x", text=5)],  # type: ignore[arg-type]
)
def test_items_that_make_no_message_are_refused_here(client: Client, item: NewItem) -> None:
    with pytest.raises(airlore.InvalidArgument):
        client.ingest_all([item])


def test_ingest_left_early_keeps_what_was_answered(client: Client) -> None:
    with client.ingest(docs("early", 500), batch_size=1) as stream:
        first = next(stream)
    assert client.get(first.id).id == first.id


def test_delete_missing(client: Client) -> None:
    rows = list(docs("mirror", 3))
    assert client.ingest_all(rows, source="mirror", delete_missing=True).inserted == 3
    again = client.ingest_all(rows[:1], present=[rows[1].id], source="mirror", delete_missing=True)
    assert (again.skipped, again.deleted) == (1, 1)
    assert {i.id for i in client.list(filter='source = "mirror"')} == {rows[0].id, rows[1].id}


def test_read_your_writes(client: Client) -> None:
    for n in range(5):
        summary = client.ingest_all([NewItem("ryw/a", text=f"the walrus counted {n} oysters number{n}")])
        hits = client.search(f"number{n}", k=1, mode="text", after=summary.token)
        assert [h.id for h in hits] == ["ryw/a"]
        assert f"number{n}" in client.get("ryw/a", after=summary.token).text
    token = client.delete("ryw/a")
    assert token
    assert all(h.id != "ryw/a" for h in client.search("walrus oysters", after=token))


def test_get_views(client: Client) -> None:
    item = client.get("kb/sensor.md")
    assert "reschedule" in item.text
    assert item.chunk_count == len(item.chunks) == 1
    assert item.owner.team == "default"
    basic = client.get("kb/sensor.md", view="basic")
    assert basic.text == ""
    vectors = client.get("kb/sensor.md", view="full_with_vectors").chunks[0].vector
    assert len(vectors) == client.server_info().dimension


def test_list_pages(client: Client) -> None:
    client.ingest_all(docs("listed", 25))
    ids = [i.id for i in client.list(filter='id >= "listed/" AND id < "listed0"', page_size=4)]
    assert sorted(ids) == [d.id for d in docs("listed", 25)]


def test_delete(client: Client) -> None:
    client.ingest_all(docs("gone", 1))
    assert client.delete("gone/00000")
    with pytest.raises(airlore.NotFound) as e:
        client.get("gone/00000")
    assert e.value.reason == "ITEM_NOT_FOUND"
    with pytest.raises(airlore.NotFound):
        client.delete("gone/00000")
    assert client.delete("gone/00000", allow_missing=True) == ""


def test_a_named_write_is_done_once(client: Client) -> None:
    client.ingest_all(docs("named", 2))
    token = client.delete("named/00000", write_id="named-1")
    client.ingest_all(docs("named", 1))
    assert client.delete("named/00000", write_id="named-1") == token
    assert client.get("named/00000").id == "named/00000"
    with pytest.raises(airlore.AlreadyExists) as e:
        client.delete("named/00001", write_id="named-1")
    assert e.value.reason == "ID_REUSED"


def test_whole_items_in_a_list(client: Client) -> None:
    client.ingest_all([NewItem(f"whole/{n}.md", text=f"# T\n\nthe otter number {n}\n") for n in range(5)])
    client.ingest_all([NewItem("whole/0.md", text="# T\n\nthe otter number 0 again\n")])
    items = {i.id: i for i in client.list(filter='id = "whole/*"', view="full", page_size=2)}
    assert len(items) == 5
    assert "otter number 3" in items["whole/3.md"].text
    assert items["whole/3.md"].chunks
    assert {i.media_type for i in items.values()} == {"text/markdown"}
    assert (items["whole/0.md"].revision, items["whole/1.md"].revision) == (2, 1)
    assert not next(client.list(filter='id = "whole/*"')).text


def test_delete_matching_in_two_steps(client: Client) -> None:
    client.ingest_all(docs("many", 6), source="many")
    preview = client.delete_matching('source = "many"')
    assert (preview.count, preview.deleted) == (6, False)
    assert preview.digest
    assert set(preview.sample_ids) <= {d.id for d in docs("many", 6)}
    client.ingest_all([NewItem("many/more", text="one more of them")], source="many")
    with pytest.raises(airlore.FailedPrecondition) as e:
        client.delete_matching('source = "many"', confirm=preview.digest)
    assert e.value.reason == "PREVIEW_STALE"
    preview = client.delete_matching('source = "many"')
    assert client.delete_matching('source = "many"', confirm=preview.digest).count == 7
    assert list(client.list(filter='source = "many"')) == []


def test_promote_and_withdraw(client: Client) -> None:
    client.ingest_all([NewItem("share/fix.md", text="# Fix\n\nRaise the pool. password = hunter2hunter2\n")])
    preview = client.promote_preview("share/fix.md")
    assert not preview.promoted
    assert preview.digest
    assert preview.item.scope == "community"
    assert "hunter2" not in preview.item.text
    with pytest.raises(airlore.FailedPrecondition) as e:
        client.promote_confirm("share/fix.md", "0" * 64)
    assert e.value.reason == "PREVIEW_STALE"
    done = client.promote_confirm("share/fix.md", preview.digest)
    assert done.promoted
    shared = done.item.id
    assert client.get(shared, space="community", after=done.token).scope == "community"
    assert client.get("share/fix.md").promoted_id == shared
    token = client.withdraw("share/fix.md")
    with pytest.raises(airlore.NotFound):
        client.get(shared, space="community", after=token)
    assert client.get("share/fix.md").scope == "team"
