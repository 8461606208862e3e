"""The connection: channel, credentials, deadlines, retries. The methods are named here by hand, with no generated stubs: those
of a newer generator refuse older runtimes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from ._proto.v1 import admin_pb2, knowledge_pb2
from .errors import AirloreError, InvalidArgument, OutcomeUnknown, from_rpc

M = TypeVar("M", bound=Message)

KNOWLEDGE = "airlore.v1.KnowledgeService"
ADMIN = "airlore.v1.AdminService"
MESSAGE_BYTES_MAX = 20 << 20  # so that the largest item fits
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
MODULES: dict[str, Any] = {KNOWLEDGE: knowledge_pb2, ADMIN: admin_pb2}


def read_pem(given: str | bytes | None, what: str) -> bytes | None:
    """PEM text as it is, or the content of the file named."""
    if given is None:
        return None
    if isinstance(given, bytes):
        return given
    if given.lstrip().startswith("-----BEGIN"):
        return given.encode()
    try:
        with open(given, "rb") as file:
            return file.read()
    except OSError as e:
        raise InvalidArgument(f"{what}: '{given}': {e.strerror}", "BAD_FORMAT") from e


def check_key(key: str) -> None:
    """A key goes into a header: anything but visible ASCII cannot."""
    if not all("!" <= c <= "~" for c in key):
        raise InvalidArgument("key: holds a character that no key has", "KEY_INVALID")


class Connection:
    """One channel and how to call over it. Any thread."""

    def __init__(
        self,
        server: str,
        key: str,
        *,
        tls: bool = False,
        ca: str | bytes | None = None,
        cert: str | bytes | None = None,
        cert_key: str | bytes | None = None,
        tls_name: str = "",
        timeout: float = 30.0,
        retry: float = 5.0,
    ) -> None:
        """Nothing is sent before the first call."""
        if timeout <= 0 or retry < 0:
            raise InvalidArgument("timeout: must be positive; retry: must not be negative", "OUT_OF_RANGE")
        if (cert is None) != (cert_key is None):
            raise InvalidArgument("cert and cert_key: one needs the other", "FIELDS_CONFLICT")
        check_key(key)
        self.server = server
        self.timeout = timeout
        self.retry = retry
        self.metadata = (("authorization", f"Bearer {key}"),) if key else ()
        self._methods: dict[tuple[str, str, str], Any] = {}
        self._mu = threading.Lock()
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_retries", 0),
        ]
        if tls_name:
            options.append(("grpc.ssl_target_name_override", tls_name))
        if tls or ca is not None or cert is not None or tls_name:
            credentials = grpc.ssl_channel_credentials(
                root_certificates=read_pem(ca, "ca"),
                private_key=read_pem(cert_key, "cert_key"),
                certificate_chain=read_pem(cert, "cert"),
            )
            self._channel = grpc.secure_channel(server, credentials, options=options)
        else:
            self._channel = grpc.insecure_channel(server, options=options)

    def close(self) -> None:
        """End the connection; calls under way end with Cancelled."""
        self._channel.close()

    def method(self, service: str, name: str, kind: str = "unary_unary") -> Any:
        """The callable for a method; kind "unary_unary", "unary_stream" or "stream_stream"."""
        with self._mu:
            found = self._methods.get((service, name, kind))
            if found is None:
                module = MODULES[service]
                found = getattr(self._channel, kind)(
                    f"/{service}/{name}",
                    request_serializer=getattr(module, f"{name}Request").SerializeToString,
                    response_deserializer=getattr(module, f"{name}Response").FromString,
                )
                self._methods[service, name, kind] = found
        return found

    def call(
        self,
        service: str,
        name: str,
        request: Message,
        reply: Callable[[], M],
        *,
        timeout: float | None = None,
        repeatable: bool = True,
        write_id: str = "",
    ) -> M:
        """A unary call. repeatable: it reads, or carries an id that makes a repetition safe. write_id: it is a write."""
        method = self.method(service, name)
        end = time.monotonic() + (timeout or self.timeout)

        def once() -> Any:
            try:
                return method(request, timeout=max(end - time.monotonic(), 0.001), metadata=self.metadata)
            except ValueError as e:  # of a closed channel, or a message that cannot be written
                raise AirloreError(f"client: {e}", "CANCELLED") from e

        result = self.repeat(once, end=end, repeatable=repeatable, write_id=write_id)
        if not isinstance(result, type(reply())):
            raise AirloreError(f"{name}: unexpected answer", "INTERNAL")
        return result

    def repeat(self, once: Callable[[], Any], *, end: float, repeatable: bool, write_id: str = "") -> Any:
        """Call once(), and again while it may help.

        After UNAVAILABLE, and with a write id after OUTCOME_UNKNOWN: with growing pauses while `retry` seconds and the deadline
        allow. After RESOURCE_EXHAUSTED with a time said: after that time, if the deadline allows; what was turned away by the
        rate limit did nothing, so even what is not repeatable comes again.
        """
        give_up = min(end, time.monotonic() + self.retry)
        pause = FIRST_PAUSE_S
        while True:
            try:
                return once()
            except grpc.RpcError as e:
                error = from_rpc(e)
                wait = pause * random.uniform(0.5, 1.0)
                last = give_up
                again = repeatable and (error.code == 14 or (write_id != "" and error.reason == "OUTCOME_UNKNOWN"))
                told = error.retry_after if error.code == 8 else None
                if told is not None and (repeatable or error.reason == "RATE_LIMITED"):
                    again, last = True, end
                    wait = told + random.uniform(0.0, FIRST_PAUSE_S)
                if again and time.monotonic() + wait < last:
                    time.sleep(wait)
                    pause = min(pause * 2, LONGEST_PAUSE_S)
                    continue
                error.write_id = write_id
                if write_id and error.code == 4:
                    raise OutcomeUnknown(
                        f"{error.message}; the write may have happened", "OUTCOME_UNKNOWN", write_id=write_id
                    ) from e
                raise error from e

    def stream(self, service: str, name: str, request: Message, *, timeout: float | None) -> Iterator[Any]:
        """A server's stream. It is opened again after UNAVAILABLE only while nothing has come of it yet."""
        method = self.method(service, name, "unary_stream")
        end = time.monotonic() + (timeout or self.timeout)

        def open_it() -> tuple[Any, Any]:
            call = method(request, timeout=max(end - time.monotonic(), 0.001), metadata=self.metadata)
            return call, next(call, None)

        call, first = self.repeat(open_it, end=end, repeatable=True)
        try:
            while first is not None:
                yield first
                first = next(call, None)
        except grpc.RpcError as e:
            raise from_rpc(e) from e
        finally:
            call.cancel()
