"""What goes in and comes out, as plain frozen dataclasses. Times are aware datetimes in UTC, None when not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class NewItem:
    """One document or other item to store. Either text or raw (the bytes of a file)."""

    id: str
    text: str | None = None
    raw: bytes | None = None
    title: str = ""
    kind: str = ""
    url: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""
    version: str = ""
    content_checksum: str = ""
    vector: Sequence[float] = ()
    embedder_id: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True)
class Query:
    """One search. k is 1 to 1000; mode "hybrid", "vector" or "text"; after is a read-your-writes token."""

    text: str = ""
    k: int | None = None
    mode: str = ""
    filter: str = ""
    vector: Sequence[float] = ()
    explain: bool = False
    min_score: float | None = None
    after: str = ""
    allow_partial: bool = False
    exact: bool = False
    all_chunks: bool = False
    include_text: bool = False
    fusion: str = ""
    vector_weight: float | None = None
    scopes: Sequence[str] = ()
    snippet_bytes: int | None = None
    text_k: int | None = None
    vector_k: int | None = None
    ef: int | None = None
    embedder_id: str = ""
    exact_statistics: bool = False
    id: str = ""  # in batches: the caller's own, comes back with the result


@dataclass(frozen=True)
class Problem:
    """Why one item or query of a call failed, or a shard did not answer."""

    code: int
    reason: str
    message: str


@dataclass(frozen=True)
class Owner:
    """Who owns an item; of a community item of another team only the pseudonym may be known."""

    team: str
    deployment: str
    pseudonym: str


@dataclass(frozen=True)
class TermScore:
    """One word of a query in the text leg."""

    term: str
    idf: float
    tf: float
    weight: float


@dataclass(frozen=True)
class Explain:
    """How the score of a hit came about. Ranks from 1; 0 when the leg did not bring the hit; scores None without the leg."""

    fused: float
    text_score: float | None
    text_rank: int
    terms: tuple[TermScore, ...]
    vector_score: float | None
    vector_rank: int
    text_max: float
    vector_max: float
    vector_weight: float


@dataclass(frozen=True)
class Hit:
    """One found item. highlights are (start, end) in characters of snippet."""

    id: str
    chunk: int
    score: float
    relevance: float
    kind: str
    title: str
    snippet: str
    highlights: tuple[tuple[int, int], ...]
    scope: str
    owner: Owner
    url: str
    version: str
    tags: tuple[str, ...]
    metadata: dict[str, str]
    heading_path: tuple[str, ...]
    text: str
    space: str
    source: str
    airflow: str
    update_time: datetime | None
    explain: Explain | None


@dataclass(frozen=True)
class SearchResult:
    """The hits of a search, best first; iterates over them."""

    hits: tuple[Hit, ...]
    relevance: float
    took_us: int
    token: str
    missing_shards: tuple[tuple[int, Problem], ...] = ()

    def __iter__(self) -> Iterator[Hit]:
        """The hits."""
        return iter(self.hits)

    def __len__(self) -> int:
        """Number of hits."""
        return len(self.hits)

    def __getitem__(self, n: int) -> Hit:
        """A hit by its place from 0."""
        return self.hits[n]


@dataclass(frozen=True)
class BatchResult:
    """What came of one search of a batch: a result or a problem."""

    id: str
    result: SearchResult | None
    problem: Problem | None

    def get(self) -> SearchResult:
        """The result; raises the exception for the problem when there is none."""
        if self.result is None:
            from .errors import make

            p = self.problem or Problem(13, "INTERNAL", "neither an answer nor an error")
            raise make(p.code, p.reason, p.message)
        return self.result


@dataclass(frozen=True)
class Source:
    """A source of an answer; n is the number that sentences refer to."""

    n: int
    id: str
    title: str
    url: str
    version: str
    scope: str
    snippet: str
    owner: Owner
    chunk: int
    relevance: float
    heading_path: tuple[str, ...]
    kind: str
    space: str


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer with the numbers of its sources."""

    text: str
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """An answer with its sources, or, when abstained, a sentence that says that the knowledge does not answer."""

    answer: str
    abstained: bool
    relevance: float
    sources: tuple[Source, ...]
    sentences: tuple[Sentence, ...]
    model: str
    took_us: int
    missing_shards: tuple[tuple[int, Problem], ...] = ()


@dataclass(frozen=True)
class AnswerPiece:
    """One piece of a streamed answer; exactly one field is set: sources first, then sentences, then the whole answer."""

    sources: tuple[Source, ...] | None = None
    sentence: Sentence | None = None
    end: Answer | None = None


@dataclass(frozen=True)
class IngestResult:
    """Answer to one item: outcome "inserted", "updated", "skipped", "failed" or "deleted"."""

    sequence: int
    id: str
    outcome: str
    problem: Problem | None
    chunks: int
    redactions: int
    token: str


@dataclass(frozen=True)
class IngestSummary:
    """Counts of a whole ingest; problems holds the failed items, at most as many as asked for."""

    inserted: int
    updated: int
    skipped: int
    failed: int
    deleted: int
    chunks: int
    bytes: int
    token: str
    took_us: int
    problems: tuple[tuple[str, Problem], ...] = ()


@dataclass(frozen=True)
class Chunk:
    """One chunk of an item, the unit of retrieval; start and end in UTF-8 bytes of the item's text."""

    index: int
    text: str
    heading_path: tuple[str, ...]
    start: int
    end: int
    vector: tuple[float, ...]


@dataclass(frozen=True)
class Item:
    """A stored item; text and chunks only in the views that have them."""

    id: str
    space: str
    scope: str
    owner: Owner
    title: str
    kind: str
    url: str
    tags: tuple[str, ...]
    metadata: dict[str, str]
    media_type: str
    version: str
    source: str
    content_checksum: str
    create_time: datetime | None
    update_time: datetime | None
    language: str
    author: str
    topics: tuple[str, ...]
    operators: tuple[str, ...]
    airflow: str
    headings: tuple[str, ...]
    links: tuple[str, ...]
    quality: float
    text: str
    chunk_count: int
    chunks: tuple[Chunk, ...]
    redactions: int
    promoted_id: str
    revision: int


@dataclass(frozen=True)
class Redaction:
    """One secret or private fact that promotion replaces."""

    kind: str
    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
class Promotion:
    """A preview (promoted false, with a digest to confirm with) or a promotion that was made."""

    item: Item
    redactions: tuple[Redaction, ...]
    digest: str
    promoted: bool
    token: str


@dataclass(frozen=True)
class DeletePreview:
    """What a delete by filter would take (deleted false, with a digest to confirm with), or took."""

    count: int
    sample_ids: tuple[str, ...]
    digest: str
    deleted: bool
    token: str


@dataclass(frozen=True)
class Identity:
    """Who a key is and what it may do; roles are "reader", "contributor", "reviewer", "admin"."""

    key: str
    team: str
    deployment: str
    roles: tuple[str, ...]
    readable_teams: tuple[str, ...]
    default_space: str
    expire_time: datetime | None
    server_admin: bool
    by_certificate: bool = False


@dataclass(frozen=True)
class ServerInfo:
    """What a server is."""

    version: str
    commit: str
    role: str
    server_name: str
    embedder_id: str
    dimension: int
    analyzer_version: int
    store_format_version: int
    limits: dict[str, int]
    services: tuple[str, ...]
    llm_model: str
    start_time: datetime | None
    reembed_due: bool


@dataclass(frozen=True)
class ClusterStatus:
    """How the server or cluster is: health "green", "yellow" or "red"."""

    health: str
    problems: tuple[str, ...]
    leader: str
    nodes: int
    nodes_alive: int
    shards: int
    shards_in_sync: int
    items: int
    chunks: int
    disk_used_bytes: int
    jobs_queued: int
    jobs_running: int


@dataclass(frozen=True)
class Team:
    """A team."""

    name: str
    id: str
    display_name: str
    named_in_community: bool
    create_time: datetime | None
    deployment_count: int
    item_count: int
    pseudonym: str
    etag: str


@dataclass(frozen=True)
class Deployment:
    """A deployment of a team."""

    name: str
    team: str
    id: str
    display_name: str
    airflow_url: str
    airflow: str
    create_time: datetime | None
    last_report_time: datetime | None
    item_count: int
    labels: dict[str, str]
    etag: str


@dataclass(frozen=True)
class Key:
    """A key, without its secret."""

    name: str
    id: str
    display_name: str
    deployment: str
    roles: tuple[str, ...]
    readable_teams: tuple[str, ...]
    create_time: datetime | None
    expire_time: datetime | None
    revoke_time: datetime | None
    certificate_subject: str = ""
    certificate_sha256: str = ""


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; the secret is shown this once."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        """Without the secret, so that it does not get into logs."""
        return f"NewKey({self.key!r})"


@dataclass(frozen=True)
class NewDeployment:
    """A deployment that was just made, with its key when one was asked for."""

    deployment: Deployment
    key: NewKey | None


@dataclass(frozen=True)
class Job:
    """A long-running job; state "queued", "running", "cancelling", "succeeded", "failed" or "cancelled"."""

    name: str
    job_class: str
    type: str
    state: str
    done: int
    total: int
    unit: str
    message: str
    team: str
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    attempt: int
    problem: Problem | None
    result: dict[str, str]

    @property
    def is_over(self) -> bool:
        """It has ended, one way or the other."""
        return self.state in {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True)
class VerifyFinding:
    """One thing that does not agree."""

    shard: int
    node: str
    what: str
    reason: str
    message: str
    item_id: str
    repaired: bool


@dataclass(frozen=True)
class VerifyReport:
    """The end of a verify job and what it found."""

    job: Job
    findings: tuple[VerifyFinding, ...]

    @property
    def is_clean(self) -> bool:
        """It ran to its end and found nothing that is still wrong."""
        return self.job.state == "succeeded" and all(f.repaired for f in self.findings)
