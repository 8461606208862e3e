"""Between the messages of the contract and the dataclasses of types.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from . import types as t
from ._proto.v1 import admin_pb2 as admin, common_pb2 as common, knowledge_pb2 as knowledge
from .errors import InvalidArgument

R = TypeVar("R")

UTC = timezone(timedelta(0))


def time_of(message: Any, field: str) -> datetime | None:
    """A time of a message, None when absent."""
    if not message.HasField(field):
        return None
    stamp = getattr(message, field)
    return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)


def timestamp(at: datetime) -> Timestamp:
    """A time for a message; it needs a zone."""
    if at.tzinfo is None:
        raise InvalidArgument(f"time '{at}': needs a zone", "BAD_FORMAT")
    stamp = Timestamp()
    stamp.FromDatetime(at.astimezone(UTC).replace(tzinfo=None))
    return stamp


def enum_of(enum: Any, prefix: str, name: str, field: str) -> int:
    """The number of "team" in the enum whose values are PREFIX_TEAM; "" is 0."""
    if not name:
        return 0
    full = f"{prefix}_{name.upper().replace('-', '_')}"
    numbers = dict(enum.items())
    if full not in numbers or numbers[full] == 0:
        known = ", ".join(sorted(word(enum, n, prefix) for n in numbers.values() if n))
        raise InvalidArgument(f"{field} '{name}': not one of {known}", "BAD_ENUM", metadata={"field": field, "value": name})
    return int(numbers[full])


def word(enum: Any, number: int, prefix: str) -> str:
    """The word for a number of an enum: "team" for PREFIX_TEAM; "" for 0; the number for one that is not known here."""
    if number == 0:
        return ""
    try:
        return _after(str(enum.Name(number)), prefix)
    except ValueError:
        return str(number)


def _after(name: str, prefix: str) -> str:
    return name[len(prefix) + 1 :].lower() if name.startswith(prefix + "_") else name.lower()


def visibility(name: str, field: str = "visibility") -> Any:
    """The number of "deployment", "team" or "community"."""
    return enum_of(common.Visibility, "VISIBILITY", name, field)


def scope(number: int) -> str:
    """The word for a visibility."""
    return word(common.Visibility, number, "VISIBILITY")


def build(make: Callable[..., R], **fields: Any) -> R:
    """A message; a value of a wrong type or range is the caller's mistake and no fault of the library."""
    try:
        return make(**fields)
    except (TypeError, ValueError, UnicodeError) as e:
        raise InvalidArgument(f"request: {e}", "BAD_FORMAT") from e


def problem(e: common.Error) -> t.Problem:
    """Why one item or query failed."""
    return t.Problem(e.code, e.reason, e.message)


def missing(shards: Iterable[common.MissingShard]) -> tuple[tuple[int, t.Problem], ...]:
    """Shards that did not answer."""
    return tuple((s.shard, problem(s.error)) for s in shards)


def owner(o: common.Owner) -> t.Owner:
    """Who owns an item."""
    return t.Owner(o.team, o.deployment, o.pseudonym)


# -------------------------------------------------------------------------------------------------------------- search


def search_request(q: t.Query) -> knowledge.SearchRequest:
    """The message for a search."""
    snippet = None
    if q.snippet_bytes is not None:
        snippet = build(knowledge.SnippetOptions, omit=q.snippet_bytes == 0, max_bytes=q.snippet_bytes or None)
    return build(
        knowledge.SearchRequest,
        text=q.text,
        vector=q.vector,
        k=q.k,
        mode=enum_of(knowledge.SearchMode, "SEARCH_MODE", q.mode, "mode"),
        filter=q.filter,
        explain=q.explain,
        min_score=q.min_score,
        after_token=q.after,
        allow_partial=q.allow_partial,
        statistics=knowledge.STATISTICS_EXACT if q.exact_statistics else knowledge.STATISTICS_UNSPECIFIED,
        fusion=enum_of(knowledge.Fusion, "FUSION", q.fusion, "fusion"),
        vector_weight=q.vector_weight,
        include_text=q.include_text,
        snippet=snippet,
        embedder_id=q.embedder_id,
        scopes=[visibility(s, "scopes") for s in q.scopes],
        all_chunks=q.all_chunks,
        text_k=q.text_k,
        vector_k=q.vector_k,
        ef=q.ef,
        exact=q.exact,
    )


def _explain(e: knowledge.Explain) -> t.Explain:
    has_text, has_vector = e.HasField("text"), e.HasField("vector")
    return t.Explain(
        fused=e.fused,
        text_score=e.text.score if has_text else None,
        text_rank=e.text.rank,
        terms=tuple(t.TermScore(s.term, s.idf, s.tf, s.weight) for s in e.text.terms),
        vector_score=e.vector.score if has_vector else None,
        vector_rank=e.vector.rank,
        text_max=e.text_max,
        vector_max=e.vector_max,
        vector_weight=e.vector_weight,
    )


def _in_characters(text: str, ranges: Iterable[common.TextRange]) -> tuple[tuple[int, int], ...]:
    """Offsets into UTF-8 bytes as offsets into characters."""
    data = text.encode()
    return tuple((len(data[: r.start].decode("utf-8", "ignore")), len(data[: r.end].decode("utf-8", "ignore"))) for r in ranges)


def _hit(h: knowledge.Hit) -> t.Hit:
    return t.Hit(
        id=h.id,
        chunk=h.chunk,
        score=h.score,
        relevance=h.relevance,
        kind=h.kind,
        title=h.title,
        snippet=h.snippet,
        highlights=_in_characters(h.snippet, h.highlights),
        scope=scope(h.scope),
        owner=owner(h.owner),
        url=h.url,
        version=h.version,
        tags=tuple(h.tags),
        metadata=dict(h.metadata),
        heading_path=tuple(h.heading_path),
        text=h.text,
        space=h.space,
        source=h.source,
        airflow=h.airflow,
        update_time=time_of(h, "update_time"),
        explain=_explain(h.explain) if h.HasField("explain") else None,
    )


def search_result(r: knowledge.SearchResponse) -> t.SearchResult:
    """The answer of a search."""
    return t.SearchResult(tuple(_hit(h) for h in r.hits), r.relevance, r.took_us, r.token, missing(r.missing_shards))


def batch_result(r: knowledge.BatchSearchResult) -> t.BatchResult:
    """The answer of one search of a batch."""
    if r.WhichOneof("outcome") == "response":
        return t.BatchResult(r.id, search_result(r.response), None)
    return t.BatchResult(r.id, None, problem(r.error))


def sources(rows: Iterable[knowledge.AskSource]) -> tuple[t.Source, ...]:
    """The sources of an answer."""
    return tuple(
        t.Source(
            n=s.n,
            id=s.id,
            title=s.title,
            url=s.url,
            version=s.version,
            scope=scope(s.scope),
            snippet=s.snippet,
            owner=owner(s.owner),
            chunk=s.chunk,
            relevance=s.relevance,
            heading_path=tuple(s.heading_path),
            kind=s.kind,
            space=s.space,
        )
        for s in rows
    )


def sentence(s: knowledge.AskSentence) -> t.Sentence:
    """A sentence of an answer."""
    return t.Sentence(s.text, tuple(s.sources))


def answer(r: knowledge.AskResponse) -> t.Answer:
    """An answer."""
    return t.Answer(
        answer=r.answer,
        abstained=r.abstained,
        relevance=r.relevance,
        sources=sources(r.sources),
        sentences=tuple(sentence(s) for s in r.sentences),
        model=r.model,
        took_us=r.took_us,
        missing_shards=missing(r.missing_shards),
    )


def answer_piece(r: knowledge.AskStreamResponse) -> t.AnswerPiece | None:
    """A piece of a streamed answer; None for one that is not known here."""
    kind = r.WhichOneof("message")
    if kind == "sources":
        return t.AnswerPiece(sources=sources(r.sources.sources))
    if kind == "sentence":
        return t.AnswerPiece(sentence=sentence(r.sentence))
    if kind == "end":
        return t.AnswerPiece(end=answer(r.end))
    return None


# -------------------------------------------------------------------------------------------------------------- items


def new_item(given: t.NewItem | Mapping[str, Any], sequence: int) -> knowledge.IngestItem:
    """The message for an item to store."""
    if not isinstance(given, t.NewItem):
        unknown = sorted(set(given) - set(t.NewItem.__dataclass_fields__))
        if unknown:
            raise InvalidArgument(f"item {sequence}: unknown field '{unknown[0]}'", "BAD_FORMAT", metadata={"field": unknown[0]})
        if "id" not in given:
            raise InvalidArgument(f"item {sequence}: no id", "REQUIRED", metadata={"field": "id"})
        given = t.NewItem(**given)
    if given.text is not None and given.raw is not None:
        raise InvalidArgument(f"item '{given.id}': text and raw exclude each other", "FIELDS_CONFLICT")
    content: dict[str, Any] = {}
    if given.raw is not None:
        content["raw"] = given.raw
    elif given.text is not None:
        content["text"] = given.text
    for name in ("create_time", "update_time"):
        at = getattr(given, name)
        if at is not None:
            content[name] = timestamp(at)
    return build(
        knowledge.IngestItem,
        id=given.id,
        title=given.title,
        kind=given.kind,
        url=given.url,
        tags=given.tags,
        metadata=given.metadata,
        media_type=given.media_type,
        version=given.version,
        content_checksum=given.content_checksum,
        vector=given.vector,
        embedder_id=given.embedder_id,
        sequence=sequence,
        **content,
    )


def ingest_result(r: knowledge.IngestResult) -> t.IngestResult:
    """The answer to one item."""
    return t.IngestResult(
        sequence=r.sequence,
        id=r.id,
        outcome=word(knowledge.IngestOutcome, r.outcome, "INGEST_OUTCOME"),
        problem=problem(r.error) if r.HasField("error") else None,
        chunks=r.chunks,
        redactions=r.redactions,
        token=r.token,
    )


def ingest_summary(s: knowledge.IngestSummary) -> t.IngestSummary:
    """The counts of a stream."""
    return t.IngestSummary(s.inserted, s.updated, s.skipped, s.failed, s.deleted, s.chunks, s.bytes, s.token, s.took_us)


def item(i: knowledge.Item) -> t.Item:
    """A stored item."""
    chunks = tuple(
        t.Chunk(c.index, c.text, tuple(c.heading_path), c.range.start, c.range.end, tuple(c.vector)) for c in i.chunks
    )
    return t.Item(
        id=i.id,
        space=i.space,
        scope=scope(i.scope),
        owner=owner(i.owner),
        title=i.title,
        kind=i.kind,
        url=i.url,
        tags=tuple(i.tags),
        metadata=dict(i.metadata),
        media_type=i.media_type,
        version=i.version,
        source=i.source,
        content_checksum=i.content_checksum,
        create_time=time_of(i, "create_time"),
        update_time=time_of(i, "update_time"),
        language=i.facts.language,
        author=i.facts.author,
        topics=tuple(i.facts.topics),
        operators=tuple(i.facts.operators),
        airflow=i.facts.airflow,
        headings=tuple(i.facts.headings),
        links=tuple(i.facts.links),
        quality=i.facts.quality,
        text=i.text,
        chunk_count=i.chunk_count,
        chunks=chunks,
        redactions=i.redactions,
        promoted_id=i.promoted_id,
        revision=i.revision,
    )


def promotion(r: knowledge.PromoteItemResponse) -> t.Promotion:
    """A preview or a promotion."""
    redactions = tuple(t.Redaction(x.kind, x.range.start, x.range.end, x.replacement) for x in r.redactions)
    return t.Promotion(item(r.item), redactions, r.digest, r.promoted, r.token)


def delete_preview(r: knowledge.DeleteItemsResponse) -> t.DeletePreview:
    """A preview or a deletion by filter."""
    return t.DeletePreview(r.count, tuple(r.sample_ids), r.digest, r.deleted, r.token)


# ------------------------------------------------------------------------------------------------------ administration


def last_part(name: str) -> str:
    """The id in a resource name."""
    return name.rsplit("/", 1)[-1]


def role_numbers(roles: Sequence[str]) -> list[int]:
    """The numbers of "reader", "contributor", "reviewer", "admin"."""
    return [enum_of(admin.Role, "ROLE", r, "roles") for r in roles]


def role_words(roles: Iterable[int]) -> tuple[str, ...]:
    """The words for roles."""
    return tuple(word(admin.Role, r, "ROLE") for r in roles)


def identity(r: admin.WhoAmIResponse) -> t.Identity:
    """Who a key is."""
    return t.Identity(
        r.key,
        r.team,
        r.deployment,
        role_words(r.roles),
        tuple(r.readable_teams),
        r.default_space,
        time_of(r, "expire_time"),
        r.server_admin,
        r.by_certificate,
    )


def server_info(r: admin.GetServerInfoResponse) -> t.ServerInfo:
    """What a server is."""
    return t.ServerInfo(
        version=r.version,
        commit=r.commit,
        role=r.role,
        server_name=r.server_name,
        embedder_id=r.embedder_id,
        dimension=r.dimension,
        analyzer_version=r.analyzer_version,
        store_format_version=r.store_format_version,
        limits=dict(r.limits),
        services=tuple(r.services),
        llm_model=r.llm_model,
        start_time=time_of(r, "start_time"),
        reembed_due=r.reembed_due,
    )


def cluster_status(r: admin.GetClusterStatusResponse) -> t.ClusterStatus:
    """How the server is."""
    return t.ClusterStatus(
        health=word(admin.Health, r.health, "HEALTH"),
        problems=tuple(r.problems),
        leader=r.leader,
        nodes=r.nodes,
        nodes_alive=r.nodes_alive,
        shards=r.shards,
        shards_in_sync=r.shards_in_sync,
        items=r.items,
        chunks=r.chunks,
        disk_used_bytes=r.disk_used_bytes,
        jobs_queued=r.jobs_queued,
        jobs_running=r.jobs_running,
    )


def team(m: admin.Team) -> t.Team:
    """A team."""
    return t.Team(
        name=m.name,
        id=last_part(m.name),
        display_name=m.display_name,
        named_in_community=m.named_in_community,
        create_time=time_of(m, "create_time"),
        deployment_count=m.deployment_count,
        item_count=m.item_count,
        pseudonym=m.pseudonym,
        etag=m.etag,
    )


def deployment(m: admin.Deployment) -> t.Deployment:
    """A deployment."""
    parts = m.name.split("/")
    return t.Deployment(
        name=m.name,
        team=parts[1] if len(parts) > 1 else "",
        id=last_part(m.name),
        display_name=m.display_name,
        airflow_url=m.airflow_url,
        airflow=m.versions.airflow,
        create_time=time_of(m, "create_time"),
        last_report_time=time_of(m, "last_report_time"),
        item_count=m.item_count,
        labels=dict(m.labels),
        etag=m.etag,
    )


def key(m: admin.Key) -> t.Key:
    """A key without its secret."""
    return t.Key(
        name=m.name,
        id=last_part(m.name),
        display_name=m.display_name,
        deployment=m.deployment,
        roles=role_words(m.roles),
        readable_teams=tuple(m.readable_teams),
        create_time=time_of(m, "create_time"),
        expire_time=time_of(m, "expire_time"),
        revoke_time=time_of(m, "revoke_time"),
        certificate_subject=m.certificate_subject,
        certificate_sha256=m.certificate_sha256,
    )


def job(m: common.Job) -> t.Job:
    """A job."""
    return t.Job(
        name=m.name,
        job_class=word(common.JobClass, m.job_class, "JOB_CLASS"),
        type=m.type,
        state=word(common.JobState, m.state, "JOB_STATE"),
        done=m.progress.done,
        total=m.progress.total,
        unit=m.progress.unit,
        message=m.progress.message,
        team=m.team,
        create_time=time_of(m, "create_time"),
        start_time=time_of(m, "start_time"),
        end_time=time_of(m, "end_time"),
        attempt=m.attempt,
        problem=problem(m.error) if m.HasField("error") else None,
        result=dict(m.result),
    )


def finding(m: admin.VerifyFinding) -> t.VerifyFinding:
    """One thing that does not agree."""
    return t.VerifyFinding(m.shard, m.node, m.what, m.reason, m.message, m.item_id, m.repaired)


def size(m: Message) -> int:
    """Bytes of a message on the wire."""
    return int(m.ByteSize())
