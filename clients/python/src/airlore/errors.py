"""Failures: one exception class for each status code, each with the stable reason of the server.

`code` is the number of the gRPC status, `reason` a name such as "ITEM_NOT_FOUND" (docs/errors.md lists them all; the name of
the code when the failure did not come from the server), `message` is for people, `metadata` has facts for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import grpc

REASON_KEY = "airlore-reason"
DETAILS_KEY = "grpc-status-details-bin"
REQUEST_ID_KEY = "x-request-id"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class AirloreError(Exception):
    """A call, or one item or query of a call, failed."""

    code: ClassVar[int] = 2

    def __init__(
        self,
        message: str,
        reason: str = "",
        *,
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
        write_id: str = "",
    ) -> None:
        """Make one; reason "" stands for the name of the code."""
        self.message = message
        self.reason = reason or CODE_NAMES[self.code]
        self.metadata = dict(metadata or {})
        self.request_id = request_id
        self.write_id = write_id  # of a write: repeating it with the same id is safe
        super().__init__(message)

    def __str__(self) -> str:
        """Message and reason."""
        return f"{self.message} [{self.reason}]"

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server expects room for the same call; None when it did not say."""
        text = self.metadata.get("retry_after_ms", "")
        return int(text) / 1000 if text.isdecimal() and len(text) < 10 else None

    @property
    def is_retryable(self) -> bool:
        """Whether the same call can succeed later without anything else being changed."""
        return self.code in {8, 10, 14}


class Cancelled(AirloreError):
    """The call was cancelled."""

    code = 1


class OutcomeUnknown(AirloreError):
    """A write may or may not have happened; repeating it with the same `write_id` is safe."""

    code = 2


class InvalidArgument(AirloreError, ValueError):
    """Something in the request is wrong; metadata "field" often names it."""

    code = 3


class DeadlineExceeded(AirloreError, TimeoutError):
    """The time-out of the call passed."""

    code = 4


class NotFound(AirloreError, LookupError):
    """There is no such thing in what the key may see."""

    code = 5


class AlreadyExists(AirloreError):
    """The name is taken."""

    code = 6


class PermissionDenied(AirloreError):
    """The key may not do this."""

    code = 7


class ResourceExhausted(AirloreError):
    """A limit, quota or queue is full."""

    code = 8


class FailedPrecondition(AirloreError):
    """The state of the thing does not allow this."""

    code = 9


class Aborted(AirloreError):
    """Something else changed the thing meanwhile; read it again."""

    code = 10


class OutOfRange(AirloreError):
    """A position lies behind the end."""

    code = 11


class NotImplementedYet(AirloreError):
    """The server does not serve this."""

    code = 12


class Internal(AirloreError):
    """A fault of the server, or a reply that cannot be read."""

    code = 13


class Unavailable(AirloreError, ConnectionError):
    """The server cannot be reached, is starting or stopping. A write whose connection broke may have happened."""

    code = 14


class DataLoss(AirloreError):
    """The store is damaged."""

    code = 15


class Unauthenticated(AirloreError):
    """No key, or one that the server does not know, or one that has ended."""

    code = 16


BY_CODE: dict[int, type[AirloreError]] = {
    c.code: c
    for c in (
        Cancelled,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        NotImplementedYet,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated,
    )
}
CODE_NAMES: dict[int, str] = {c.value[0]: c.name for c in grpc.StatusCode}


def make(code: int, reason: str, message: str, *, metadata: Mapping[str, str] | None = None, request_id: str = "") -> AirloreError:
    """The exception for a status; unknown codes are AirloreError itself."""
    kind = BY_CODE.get(code, AirloreError)
    if reason == "OUTCOME_UNKNOWN":
        kind = OutcomeUnknown
    return kind(message, reason, metadata=metadata, request_id=request_id)


def _details(data: bytes) -> tuple[str, dict[str, str]]:
    """Reason and metadata of an encoded google.rpc.Status; empty when it cannot be read."""
    from google.protobuf.message import DecodeError

    from ._proto.v1 import common_pb2

    status = common_pb2.Status()
    info = common_pb2.ErrorInfo()
    try:
        status.ParseFromString(data)
        for detail in status.details:
            if detail.type_url == ERROR_INFO:
                info.ParseFromString(detail.value)
                break
    except DecodeError:
        return "", {}
    return info.reason, dict(info.metadata)


def from_rpc(error: grpc.RpcError) -> AirloreError:
    """The exception for a failed call of grpc."""
    if not isinstance(error, grpc.Call):
        return Internal(str(error))
    trailers: Sequence[tuple[str, str | bytes]] = error.trailing_metadata() or ()
    found: dict[str, str | bytes] = {k: v for k, v in trailers}
    reason = ""
    metadata: dict[str, str] = {}
    details = found.get(DETAILS_KEY)
    if isinstance(details, bytes):
        reason, metadata = _details(details)
    reason = reason or str(found.get(REASON_KEY) or "")
    code = error.code().value[0]
    message = error.details() or CODE_NAMES[code].lower().replace("_", " ")
    return make(code, reason, message, metadata=metadata, request_id=str(found.get(REQUEST_ID_KEY) or ""))
