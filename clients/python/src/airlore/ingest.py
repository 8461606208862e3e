"""A stream of items to the server and of results back.

Items are taken from the caller's iterable only as fast as the server answers: at most `window` items (what the server says, in
whole messages) are unanswered, and gRPC's own flow control stops the writer when the reader is slow. So neither side ever holds
more than that, however long the iterable is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import grpc

from . import _convert as convert
from ._proto.v1 import knowledge_pb2 as knowledge
from ._rpc import KNOWLEDGE, Connection
from .errors import Internal, from_rpc
from .types import IngestResult, IngestSummary, NewItem

ItemLike = NewItem | Mapping[str, Any]
BATCH_ITEMS_MAX = 256
BATCH_BYTES = 1 << 20
PRESENT_IDS = 1000


class IngestStream:
    """An ingest under way: iterate over it for the results, then read `summary`.

    Results come in any order; the items of one message together. An item whose result has come is durable. Leaving early
    (close, or the end of a `with` block) cancels the rest.
    Thread: confined to one thread; the iterable is run on another one.
    """

    def __init__(
        self,
        connection: Connection,
        options: knowledge.IngestOptions,
        items: Iterable[ItemLike],
        *,
        present: Iterable[str] = (),
        batch_size: int = 32,
        complete: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Open it and wait for the server's agreement."""
        self.summary: IngestSummary | None = None
        self.space = ""
        self.window = 1
        self.max_item_bytes = 0
        self.embedder_id = ""
        self._items = items
        self._present = present
        self._batch_size = max(1, min(batch_size, BATCH_ITEMS_MAX))
        self._complete = complete
        self._options = options
        self._cond = threading.Condition()
        self._unanswered = 0  # guarded by _cond
        self._started = False  # guarded by _cond
        self._over = False  # guarded by _cond
        self._failure: BaseException | None = None  # guarded by _cond
        self._ready: deque[IngestResult] = deque()
        method = connection.method(KNOWLEDGE, "Ingest", "stream_stream")
        self._call = method(self._requests(), timeout=timeout, metadata=connection.metadata, wait_for_ready=False)
        self._call.add_callback(self._end)
        first = self._next_message()
        if first is None or first.WhichOneof("message") != "started":
            self.close()
            raise Internal("ingest: the server did not begin with 'started'")
        self._take_started(first.started)

    # ---------------------------------------------------------------- on the thread that gRPC writes with

    def _requests(self) -> Iterator[knowledge.IngestRequest]:
        """What the client sends; an exception of the caller's iterable is kept for the reader and cancels the call."""
        try:
            yield knowledge.IngestRequest(options=self._options)
            if not self._wait_for(0):
                return
            yield from self._batches()
            yield from self._present_ids()
            if self._complete:
                yield knowledge.IngestRequest(finish=knowledge.IngestFinish())
        except Exception as e:  # given to the caller
            with self._cond:
                self._failure = e
            self._call.cancel()

    def _batches(self) -> Iterator[knowledge.IngestRequest]:
        batch: list[knowledge.IngestItem] = []
        size = 0
        for sequence, given in enumerate(self._items, 1):
            item = convert.new_item(given, sequence)
            n = convert.size(item)
            if batch and (size + n > BATCH_BYTES or len(batch) >= min(self._batch_size, self.window)):
                if not self._wait_for(len(batch)):
                    return
                yield self._message(batch)
                batch, size = [], 0
            batch.append(item)
            size += n
            if len(batch) >= min(self._batch_size, self.window):
                if not self._wait_for(len(batch)):
                    return
                yield self._message(batch)
                batch, size = [], 0
        if batch and self._wait_for(len(batch)):
            yield self._message(batch)

    @staticmethod
    def _message(batch: list[knowledge.IngestItem]) -> knowledge.IngestRequest:
        if len(batch) == 1:
            return knowledge.IngestRequest(item=batch[0])
        return knowledge.IngestRequest(batch=knowledge.IngestItemBatch(items=batch))

    def _present_ids(self) -> Iterator[knowledge.IngestRequest]:
        ids: list[str] = []
        for one in self._present:
            ids.append(one)
            if len(ids) == PRESENT_IDS:
                yield knowledge.IngestRequest(present=convert.build(knowledge.IngestPresent, ids=ids))
                ids = []
        if ids:
            yield knowledge.IngestRequest(present=convert.build(knowledge.IngestPresent, ids=ids))

    def _wait_for(self, n: int) -> bool:
        """Wait until n more items may be unanswered; False when the stream is over."""
        with self._cond:
            self._cond.wait_for(
                lambda: self._over or (self._started and (n == 0 or self._unanswered == 0 or self._unanswered + n <= self.window))
            )
            self._unanswered += n
            return not self._over

    def _end(self) -> None:
        with self._cond:
            self._over = True
            self._cond.notify_all()

    # ---------------------------------------------------------------- on the caller's thread

    def _take_started(self, started: knowledge.IngestStarted) -> None:
        self.space = started.space
        self.max_item_bytes = started.max_item_bytes
        self.embedder_id = started.embedder_id
        with self._cond:
            self.window = max(1, started.window)
            self._started = True
            self._cond.notify_all()

    def _next_message(self) -> Any:
        """The next message of the server, None at the end."""
        try:
            return next(self._call, None)
        except grpc.RpcError as e:
            with self._cond:
                failure = self._failure
            if failure is not None:
                raise failure from None
            raise from_rpc(e) from e

    def _take(self, results: list[knowledge.IngestResult]) -> None:
        answered = sum(1 for r in results if r.outcome != knowledge.INGEST_OUTCOME_DELETED)
        with self._cond:
            self._unanswered = max(0, self._unanswered - answered)
            self._cond.notify_all()
        self._ready.extend(convert.ingest_result(r) for r in results)

    def __iter__(self) -> Iterator[IngestResult]:
        """Itself."""
        return self

    def __next__(self) -> IngestResult:
        """The next result; waits for it."""
        while not self._ready:
            message = self._next_message()
            if message is None:
                raise StopIteration
            kind = message.WhichOneof("message")
            if kind == "result":
                self._take([message.result])
            elif kind == "results":
                self._take(list(message.results.results))
            elif kind == "summary":
                self.summary = convert.ingest_summary(message.summary)
        return self._ready.popleft()

    def close(self) -> None:
        """Cancel what is not done; harmless at the end. What was answered stays stored."""
        self._call.cancel()
        self._end()

    def __enter__(self) -> IngestStream:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()
