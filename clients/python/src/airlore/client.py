"""The client: one method for each thing a server does."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

import grpc

from . import _convert as convert, types as t
from ._proto.v1 import admin_pb2 as admin, knowledge_pb2 as knowledge
from ._rpc import ADMIN, FIRST_PAUSE_S, KNOWLEDGE, LONGEST_PAUSE_S, Connection
from .discovery import resolve
from .errors import Cancelled, DeadlineExceeded, InvalidArgument, Unavailable, from_rpc
from .ingest import IngestStream, ItemLike

BATCH_QUERIES_MAX = 256
PROBLEMS_MAX = 1000


def _pages(fetch: Callable[[str], Any], rows: str) -> Iterator[Any]:
    """All rows of a paged list, page after page as they are wanted."""
    token = ""
    while True:
        reply = fetch(token)
        yield from getattr(reply, rows)
        token = reply.next_page_token
        if not token:
            return


def _team_name(team: str) -> str:
    return team if not team or team.startswith("teams/") else f"teams/{team}"


class Client:
    """A connection to an Airlore server, made when first needed and remade when lost.

    server    "HOST:PORT" or "unix:/path". Default: AIRLORE_SERVER, then the server that this user runs on this machine.
    key       API key. Default: AIRLORE_KEY, then the admin key of that same server.
    tls       use TLS; implied by ca (PEM text or a file's path), cert and cert_key (for mutual TLS), tls_name.
    timeout   seconds of a whole call, retries included; every call can set its own.
    retry     seconds for which calls that may be repeated are repeated, with growing pauses, while the server is away or the
              outcome of a write is unknown. A limit that says when there will be room again is waited for within timeout.

    Every failure is an AirloreError. Any thread may use it.
    """

    def __init__(
        self,
        server: str | None = None,
        key: str | None = None,
        *,
        tls: bool = False,
        ca: str | bytes | None = None,
        cert: str | bytes | None = None,
        cert_key: str | bytes | None = None,
        tls_name: str = "",
        timeout: float = 30.0,
        retry: float = 5.0,
    ) -> None:
        """Find server and key; connects at the first call."""
        found_server, found_key = resolve(server, key, by_certificate=cert is not None)
        self._c = Connection(
            found_server,
            found_key,
            tls=tls,
            ca=ca,
            cert=cert,
            cert_key=cert_key,
            tls_name=tls_name,
            timeout=timeout,
            retry=retry,
        )

    @property
    def server(self) -> str:
        """Where it connects to."""
        return self._c.server

    def close(self) -> None:
        """End the connection."""
        self._c.close()

    def __enter__(self) -> Client:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Without the key."""
        return f"Client({self.server!r})"

    # ---------------------------------------------------------------------------------------------------------- search

    def search(self, query: str | t.Query = "", *, timeout: float | None = None, **options: Any) -> t.SearchResult:
        """Find the best items for a text, a vector or both. options: the fields of Query, such as k=5 or mode="text"."""
        request = convert.search_request(self._query(query, options))
        return convert.search_result(
            self._c.call(KNOWLEDGE, "Search", request, knowledge.SearchResponse, timeout=timeout)
        )

    def batch_search(
        self, queries: Iterable[str | t.Query], *, timeout: float | None = None, **options: Any
    ) -> list[t.BatchResult]:
        """Many searches in calls of at most 256; each has its own outcome, in order. options hold for all given as texts."""
        rows: list[knowledge.BatchSearchQuery] = []
        for q in queries:
            one = self._query(q, options if isinstance(q, str) else {})
            rows.append(convert.build(knowledge.BatchSearchQuery, id=one.id, request=convert.search_request(one)))
        results: list[t.BatchResult] = []
        for at in range(0, len(rows), BATCH_QUERIES_MAX):
            request = knowledge.BatchSearchRequest(queries=rows[at : at + BATCH_QUERIES_MAX])
            reply = self._c.call(KNOWLEDGE, "BatchSearch", request, knowledge.BatchSearchResponse, timeout=timeout)
            results.extend(convert.batch_result(r) for r in reply.results)
        return results

    @staticmethod
    def _query(query: str | t.Query, options: Mapping[str, Any]) -> t.Query:
        try:
            if isinstance(query, t.Query):
                return dataclasses.replace(query, **options)
            return t.Query(text=query, **options)
        except TypeError as e:
            raise InvalidArgument(f"search: {e}", "BAD_FORMAT") from e

    # ------------------------------------------------------------------------------------------------------------- ask

    def ask(self, question: str, *, timeout: float | None = None, **options: Any) -> t.Answer:
        """Answer a question from the stored knowledge, with sources, or abstain.

        options: k, filter, mode ("extractive" or "generative"), min_relevance, max_sentences, after, allow_partial, scopes.
        """
        request = self._ask_request(question, **options)
        return convert.answer(self._c.call(KNOWLEDGE, "Ask", request, knowledge.AskResponse, timeout=timeout))

    def ask_stream(self, question: str, *, timeout: float | None = None, **options: Any) -> Iterator[t.AnswerPiece]:
        """The same piece by piece: the sources, sentence after sentence, at last the whole answer."""
        request = knowledge.AskStreamRequest(request=self._ask_request(question, **options))
        return self._pieces(request, timeout)

    def _pieces(self, request: knowledge.AskStreamRequest, timeout: float | None) -> Iterator[t.AnswerPiece]:
        for message in self._c.stream(KNOWLEDGE, "AskStream", request, timeout=timeout):
            piece = convert.answer_piece(message)
            if piece is not None:
                yield piece

    @staticmethod
    def _ask_request(
        question: str,
        *,
        k: int | None = None,
        filter: str = "",
        mode: str = "",
        min_relevance: float | None = None,
        max_sentences: int | None = None,
        after: str = "",
        allow_partial: bool = False,
        scopes: Sequence[str] = (),
    ) -> knowledge.AskRequest:
        return convert.build(
            knowledge.AskRequest,
            question=question,
            filter=filter,
            k=k,
            mode=convert.enum_of(knowledge.AskMode, "ASK_MODE", mode, "mode"),
            min_relevance=min_relevance,
            max_sentences=max_sentences,
            after_token=after,
            allow_partial=allow_partial,
            scopes=[convert.visibility(s, "scopes") for s in scopes],
        )

    # ---------------------------------------------------------------------------------------------------------- ingest

    def ingest(
        self,
        items: Iterable[ItemLike],
        *,
        visibility: str = "",
        deployment: str = "",
        source: str = "",
        delete_missing: bool = False,
        present: Iterable[str] = (),
        dry_run: bool = False,
        force: bool = False,
        write_id: str = "",
        batch_size: int = 32,
        timeout: float | None = None,
    ) -> IngestStream:
        """Store items; iterate over what this gives for one result each, then read its `summary`.

        items           NewItem or mappings with its fields, taken only as fast as the server stores them.
        visibility      "deployment", "team" or "community". Default: the key's deployment if it has one, else its team.
        deployment      resource name "teams/T/deployments/D" of the owner.
        source          name of where they come from; with delete_missing, what this call does not name as item or in
                        `present` and came from the same source is deleted at the end.
        batch_size      items in a message, 1 to 256; 1 when items come slowly and each shall go out at once.
        timeout         seconds of the whole stream; default: none.
        """
        options = convert.build(
            knowledge.IngestOptions,
            visibility=convert.visibility(visibility),
            deployment=deployment,
            source=source,
            delete_missing=delete_missing,
            write_id_prefix=write_id or uuid.uuid4().hex,
            dry_run=dry_run,
            force=force,
        )
        give_up = time.monotonic() + self._c.retry
        pause = FIRST_PAUSE_S
        while True:  # nothing of items is taken before the server has agreed, so opening may be repeated
            try:
                return IngestStream(
                    self._c, options, items, present=present, batch_size=batch_size, timeout=timeout
                )
            except Unavailable:
                if time.monotonic() + pause > give_up:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)

    def ingest_all(self, items: Iterable[ItemLike], **options: Any) -> t.IngestSummary:
        """The same to the end: the counts, with what failed and why (the first 1000 problems). options: those of ingest."""
        problems: list[tuple[str, t.Problem]] = []
        with self.ingest(items, **options) as stream:
            for result in stream:
                if result.problem is not None and len(problems) < PROBLEMS_MAX:
                    problems.append((result.id, result.problem))
            if stream.summary is None:
                raise Cancelled("ingest: ended without a summary")
            return dataclasses.replace(stream.summary, problems=tuple(problems))

    # ----------------------------------------------------------------------------------------------------------- items

    def get(self, id: str, *, space: str = "", view: str = "", after: str = "", timeout: float | None = None) -> t.Item:
        """One item: own spaces first, then the community. view: "basic", "full" or "full_with_vectors"."""
        request = convert.build(
            knowledge.GetItemRequest, id=id, space=space, view=self._view(view), after_token=after
        )
        return convert.item(self._c.call(KNOWLEDGE, "GetItem", request, knowledge.GetItemResponse, timeout=timeout).item)

    def list(
        self,
        *,
        space: str = "",
        filter: str = "",
        view: str = "",
        page_size: int = 0,
        after: str = "",
        timeout: float | None = None,
    ) -> Iterator[t.Item]:
        """All items that match, in the order of (space, id); pages are fetched as they are wanted."""

        def fetch(token: str) -> knowledge.ListItemsResponse:
            request = convert.build(
                knowledge.ListItemsRequest,
                space=space,
                filter=filter,
                view=self._view(view),
                page_size=page_size,
                page_token=token,
                after_token=after,
            )
            return self._c.call(KNOWLEDGE, "ListItems", request, knowledge.ListItemsResponse, timeout=timeout)

        return (convert.item(i) for i in _pages(fetch, "items"))

    @staticmethod
    def _view(view: str) -> Any:
        return convert.enum_of(knowledge.ItemView, "ITEM_VIEW", view, "view")

    def delete(
        self,
        id: str,
        *,
        space: str = "",
        allow_missing: bool = False,
        write_id: str = "",
        timeout: float | None = None,
    ) -> str:
        """Delete one item; gives the read-your-writes token ("" when nothing was there and allow_missing says it is fine)."""
        write_id = write_id or uuid.uuid4().hex
        request = convert.build(
            knowledge.DeleteItemRequest, id=id, space=space, allow_missing=allow_missing, write_id=write_id
        )
        reply = self._c.call(
            KNOWLEDGE, "DeleteItem", request, knowledge.DeleteItemResponse, timeout=timeout, write_id=write_id
        )
        return reply.token

    def delete_matching(
        self,
        filter: str,
        *,
        space: str = "",
        confirm: str = "",
        write_id: str = "",
        timeout: float | None = None,
    ) -> t.DeletePreview:
        """Delete by filter in two steps: without confirm a preview with a digest, with that digest the deletion."""
        write_id = write_id or uuid.uuid4().hex if confirm else ""
        request = convert.build(
            knowledge.DeleteItemsRequest, filter=filter, space=space, confirm_digest=confirm, write_id=write_id
        )
        return convert.delete_preview(
            self._c.call(KNOWLEDGE, "DeleteItems", request, knowledge.DeleteItemsResponse, timeout=timeout, write_id=write_id)
        )

    def promote_preview(
        self, id: str, *, space: str = "", target: str = "", named: bool | None = None, timeout: float | None = None
    ) -> t.Promotion:
        """What others would see of an item after redaction, and the digest to confirm with. target: "team" or "community"."""
        return self._promote(id, space, target, named, "", "", timeout)

    def promote_confirm(
        self,
        id: str,
        digest: str,
        *,
        space: str = "",
        target: str = "",
        named: bool | None = None,
        write_id: str = "",
        timeout: float | None = None,
    ) -> t.Promotion:
        """Copy an item to the team or the community as previewed; space, target and named as in the preview."""
        if not digest:
            raise InvalidArgument("digest: empty; promote_preview gives one", "REQUIRED", metadata={"field": "confirm_digest"})
        return self._promote(id, space, target, named, digest, write_id or uuid.uuid4().hex, timeout)

    def _promote(
        self, item: str, space: str, target: str, named: bool | None, digest: str, write_id: str, timeout: float | None
    ) -> t.Promotion:
        request = convert.build(
            knowledge.PromoteItemRequest,
            id=item,
            space=space,
            target=convert.visibility(target, "target"),
            confirm_digest=digest,
            named=named,
            write_id=write_id,
        )
        return convert.promotion(
            self._c.call(KNOWLEDGE, "PromoteItem", request, knowledge.PromoteItemResponse, timeout=timeout, write_id=write_id)
        )

    def withdraw(self, id: str, *, space: str = "", write_id: str = "", timeout: float | None = None) -> str:
        """Take a promoted item back everywhere; gives the read-your-writes token."""
        write_id = write_id or uuid.uuid4().hex
        request = convert.build(knowledge.WithdrawItemRequest, id=id, space=space, write_id=write_id)
        return self._c.call(
            KNOWLEDGE, "WithdrawItem", request, knowledge.WithdrawItemResponse, timeout=timeout, write_id=write_id
        ).token

    # ---------------------------------------------------------------------------------------------------- who and what

    def whoami(self, *, timeout: float | None = None) -> t.Identity:
        """Who the key is and what it may do."""
        return convert.identity(
            self._c.call(ADMIN, "WhoAmI", admin.WhoAmIRequest(), admin.WhoAmIResponse, timeout=timeout)
        )

    def server_info(self, *, timeout: float | None = None) -> t.ServerInfo:
        """What the server is."""
        return convert.server_info(
            self._c.call(ADMIN, "GetServerInfo", admin.GetServerInfoRequest(), admin.GetServerInfoResponse, timeout=timeout)
        )

    def status(self, *, timeout: float | None = None) -> t.ClusterStatus:
        """How the server or cluster is."""
        request = admin.GetClusterStatusRequest()
        return convert.cluster_status(
            self._c.call(ADMIN, "GetClusterStatus", request, admin.GetClusterStatusResponse, timeout=timeout)
        )

    # ------------------------------------------------------------------------------------- teams, deployments, keys

    def create_team(self, id: str, *, display_name: str = "", named_in_community: bool = False) -> t.Team:
        """Create a team."""
        request = convert.build(
            admin.CreateTeamRequest,
            team_id=id,
            team=convert.build(admin.Team, display_name=display_name, named_in_community=named_in_community),
        )
        return convert.team(self._c.call(ADMIN, "CreateTeam", request, admin.CreateTeamResponse, repeatable=False).team)

    def get_team(self, team: str) -> t.Team:
        """A team by its id."""
        request = convert.build(admin.GetTeamRequest, name=_team_name(team))
        return convert.team(self._c.call(ADMIN, "GetTeam", request, admin.GetTeamResponse).team)

    def teams(self) -> Iterator[t.Team]:
        """The teams that the key may see, by name."""

        def fetch(token: str) -> admin.ListTeamsResponse:
            return self._c.call(ADMIN, "ListTeams", admin.ListTeamsRequest(page_token=token), admin.ListTeamsResponse)

        return (convert.team(m) for m in _pages(fetch, "teams"))

    def delete_team(self, team: str, *, force: bool = False) -> int:
        """Delete a team; force: with its deployments, keys and items. Gives the number of items deleted."""
        request = convert.build(admin.DeleteTeamRequest, name=_team_name(team), force=force)
        return self._c.call(ADMIN, "DeleteTeam", request, admin.DeleteTeamResponse, repeatable=False).deleted_items

    def create_deployment(
        self,
        id: str,
        *,
        team: str = "",
        display_name: str = "",
        airflow_url: str = "",
        labels: Mapping[str, str] | None = None,
        create_key: bool = False,
    ) -> t.NewDeployment:
        """Create a deployment; create_key: with a contributor's key that is bound to it."""
        request = convert.build(
            admin.CreateDeploymentRequest,
            parent=_team_name(team),
            deployment_id=id,
            deployment=convert.build(
                admin.Deployment, display_name=display_name, airflow_url=airflow_url, labels=dict(labels or {})
            ),
            create_key=create_key,
        )
        r = self._c.call(ADMIN, "CreateDeployment", request, admin.CreateDeploymentResponse, repeatable=False)
        made = t.NewKey(convert.key(r.key), r.secret) if r.secret else None
        return t.NewDeployment(convert.deployment(r.deployment), made)

    def deployments(self, team: str = "") -> Iterator[t.Deployment]:
        """The deployments of a team, or of all readable teams, by name."""

        def fetch(token: str) -> admin.ListDeploymentsResponse:
            request = convert.build(admin.ListDeploymentsRequest, parent=_team_name(team), page_token=token)
            return self._c.call(ADMIN, "ListDeployments", request, admin.ListDeploymentsResponse)

        return (convert.deployment(m) for m in _pages(fetch, "deployments"))

    def delete_deployment(self, name: str, *, force: bool = False) -> int:
        """Delete a deployment by its resource name; gives the number of items deleted."""
        request = convert.build(admin.DeleteDeploymentRequest, name=name, force=force)
        reply = self._c.call(ADMIN, "DeleteDeployment", request, admin.DeleteDeploymentResponse, repeatable=False)
        return reply.deleted_items

    def create_key(
        self,
        roles: Sequence[str],
        *,
        team: str = "",
        deployment: str = "",
        display_name: str = "",
        readable_teams: Sequence[str] = (),
        expire_time: datetime | None = None,
        id: str = "",
        certificate: str = "",
        certificate_subject: str = "",
        certificate_sha256: str = "",
    ) -> t.NewKey:
        """Create a key with roles of "reader", "contributor", "reviewer", "admin"; its secret is shown this once.

        certificate (PEM text), certificate_subject or certificate_sha256: no key, but such client certificates shall count.
        """
        key = convert.build(
            admin.Key,
            display_name=display_name,
            deployment=deployment,
            roles=convert.role_numbers(roles),
            readable_teams=readable_teams,
            expire_time=convert.timestamp(expire_time) if expire_time else None,
            certificate_subject=certificate_subject,
            certificate_sha256=certificate_sha256,
        )
        request = convert.build(
            admin.CreateKeyRequest, parent=_team_name(team), key=key, key_id=id, certificate_pem=certificate
        )
        r = self._c.call(ADMIN, "CreateKey", request, admin.CreateKeyResponse, repeatable=False)
        return t.NewKey(convert.key(r.key), r.secret)

    def keys(self, team: str = "", *, show_ended: bool = False) -> Iterator[t.Key]:
        """The keys of a team, without secrets."""

        def fetch(token: str) -> admin.ListKeysResponse:
            request = convert.build(
                admin.ListKeysRequest, parent=_team_name(team), page_token=token, show_ended=show_ended
            )
            return self._c.call(ADMIN, "ListKeys", request, admin.ListKeysResponse)

        return (convert.key(m) for m in _pages(fetch, "keys"))

    def revoke_key(self, name: str) -> t.Key:
        """Revoke a key for ever, by its resource name or id."""
        request = convert.build(admin.RevokeKeyRequest, name=name)
        return convert.key(self._c.call(ADMIN, "RevokeKey", request, admin.RevokeKeyResponse).key)

    # ------------------------------------------------------------------------------------------------------------ jobs

    def job(self, name: str) -> t.Job:
        """A job by its resource name."""
        request = convert.build(admin.GetJobRequest, name=name)
        return convert.job(self._c.call(ADMIN, "GetJob", request, admin.GetJobResponse).job)

    def jobs(self, *, type: str = "") -> Iterator[t.Job]:
        """Jobs, newest first."""

        def fetch(token: str) -> admin.ListJobsResponse:
            request = convert.build(admin.ListJobsRequest, type=type, page_token=token)
            return self._c.call(ADMIN, "ListJobs", request, admin.ListJobsResponse)

        return (convert.job(m) for m in _pages(fetch, "jobs"))

    def cancel_job(self, name: str) -> t.Job:
        """Ask a job to stop."""
        request = convert.build(admin.CancelJobRequest, name=name)
        return convert.job(self._c.call(ADMIN, "CancelJob", request, admin.CancelJobResponse).job)

    def watch_job(self, name: str, *, timeout: float | None = None) -> Iterator[t.Job]:
        """The job as it is, after each change, and at last as it ended. A watch that breaks is taken up again."""
        end = time.monotonic() + (timeout or self._c.timeout)
        request = convert.build(admin.WatchJobRequest, name=name)
        last: t.Job | None = None
        while last is None or not last.is_over:
            left = end - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(f"job '{name}': not over yet", "DEADLINE", metadata={"job": name})
            try:
                for message in self._c.stream(ADMIN, "WatchJob", request, timeout=left):
                    job = convert.job(message.job)
                    if job != last:
                        last = job
                        yield job
            except Unavailable:
                if last is None:
                    raise
            except grpc.RpcError as e:  # pragma: no cover  (stream translates)
                raise from_rpc(e) from e
            if last is not None and not last.is_over:
                time.sleep(FIRST_PAUSE_S)

    def wait_for_job(self, name: str, *, timeout: float | None = None) -> t.Job:
        """The job when it is over."""
        last: t.Job | None = None
        for job in self.watch_job(name, timeout=timeout):
            last = job
        assert last is not None
        return last

    def verify(
        self, *, shards: Sequence[int] = (), deep: bool = False, repair: bool = False, timeout: float = 3600.0
    ) -> t.VerifyReport:
        """Check that log, store, vectors and postings agree; waits for the end and gives what was found."""
        job_id = f"verify-{uuid.uuid4().hex}"
        request = convert.build(admin.VerifyShardsRequest, shards=shards, deep=deep, repair=repair, job_id=job_id)
        job = self._c.call(ADMIN, "VerifyShards", request, admin.VerifyShardsResponse, write_id=job_id).job
        return t.VerifyReport(self.wait_for_job(job.name, timeout=timeout), tuple(self.verify_findings(job.name)))

    def verify_findings(self, job: str) -> Iterator[t.VerifyFinding]:
        """What a verify job found."""

        def fetch(token: str) -> admin.ListVerifyFindingsResponse:
            request = convert.build(admin.ListVerifyFindingsRequest, job=job, page_token=token)
            return self._c.call(ADMIN, "ListVerifyFindings", request, admin.ListVerifyFindingsResponse)

        return (convert.finding(m) for m in _pages(fetch, "findings"))
