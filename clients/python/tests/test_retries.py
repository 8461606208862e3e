"""What the client does when the server says "later" or "who knows": against a server of made-up answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2

import airlore
from airlore import Client
from airlore._proto.v1 import admin_pb2, common_pb2, knowledge_pb2
from airlore.errors import DETAILS_KEY, ERROR_INFO


@dataclass
class Later:
    """One refusal."""

    code: grpc.StatusCode
    reason: str
    retry_after_ms: int = 0

    def end(self, context: grpc.ServicerContext) -> None:
        info = common_pb2.ErrorInfo(reason=self.reason, domain="airlore")
        if self.retry_after_ms:
            info.metadata["retry_after_ms"] = str(self.retry_after_ms)
        detail = any_pb2.Any(type_url=ERROR_INFO, value=info.SerializeToString())
        status = common_pb2.Status(code=self.code.value[0], message="later", details=[detail])
        context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
        context.abort(self.code, "later")


@dataclass
class Fake:
    """Answers each call with the next refusal, then well."""

    address: str = ""
    refusals: list[Later] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)

    def handler(self, request: type, reply: Callable[[], Any]) -> grpc.RpcMethodHandler:
        def answer(message: Any, context: grpc.ServicerContext) -> Any:
            self.seen.append(message)
            if self.refusals:
                self.refusals.pop(0).end(context)
            return reply()

        return grpc.unary_unary_rpc_method_handler(
            answer, request_deserializer=request.FromString, response_serializer=lambda m: m.SerializeToString()
        )


@pytest.fixture
def fake() -> Iterator[Fake]:
    f = Fake()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "airlore.v1.KnowledgeService",
                {
                    "Search": f.handler(knowledge_pb2.SearchRequest, knowledge_pb2.SearchResponse),
                    "DeleteItem": f.handler(
                        knowledge_pb2.DeleteItemRequest, lambda: knowledge_pb2.DeleteItemResponse(deleted=True, token="t")
                    ),
                },
            ),
            grpc.method_handlers_generic_handler(
                "airlore.v1.AdminService",
                {
                    "CreateTeam": f.handler(
                        admin_pb2.CreateTeamRequest,
                        lambda: admin_pb2.CreateTeamResponse(team=admin_pb2.Team(name="teams/x")),
                    )
                },
            ),
        )
    )
    f.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield f
    server.stop(grace=None).wait()


LIMITED = grpc.StatusCode.RESOURCE_EXHAUSTED


def test_waits_as_long_as_it_is_told(fake: Fake) -> None:
    fake.refusals = [Later(LIMITED, "RATE_LIMITED", 20), Later(LIMITED, "QUEUE_FULL", 20)]
    with Client(fake.address, "al_k_s", retry=0) as c:
        c.search("x")
        assert len(fake.seen) == 3


def test_what_the_rate_limit_turned_away_did_nothing(fake: Fake) -> None:
    with Client(fake.address, "al_k_s", retry=0) as c:
        fake.refusals = [Later(LIMITED, "RATE_LIMITED", 10)]
        assert c.create_team("x").id == "x"
        assert len(fake.seen) == 2
        fake.refusals = [Later(LIMITED, "QUEUE_FULL", 10)]  # may have done a part of it
        with pytest.raises(airlore.ResourceExhausted):
            c.create_team("x")
        assert len(fake.seen) == 3


@pytest.mark.parametrize("ms", [3_600_000, 0])
def test_does_not_wait_past_its_deadline_nor_without_being_told(fake: Fake, ms: int) -> None:
    fake.refusals = [Later(LIMITED, "QUOTA_EXCEEDED", ms)]
    with Client(fake.address, "al_k_s", timeout=20.0) as c, pytest.raises(airlore.ResourceExhausted) as e:
        c.search("x")
    assert e.value.retry_after == (ms / 1000 or None)
    assert len(fake.seen) == 1


def test_an_unknown_outcome_is_asked_again_with_the_same_id(fake: Fake) -> None:
    unknown = Later(grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
    fake.refusals = [unknown, unknown]
    with Client(fake.address, "al_k_s", retry=20.0) as c:
        assert c.delete("x") == "t"
        assert len(fake.seen) == 3
        assert len({m.write_id for m in fake.seen}) == 1
        assert fake.seen[0].write_id
    fake.refusals = [unknown] * 5
    with Client(fake.address, "al_k_s", retry=0) as c, pytest.raises(airlore.OutcomeUnknown) as e:
        c.delete("x", write_id="w")
    assert e.value.write_id == "w"
