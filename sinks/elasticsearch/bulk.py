"""Bulk requests in which every item is settled: kept, known in a later revision, or refused for good.

1. The body is cut by bytes. If we die before it is answered, the same records are read and sent again: the ids are the
   same, so nothing doubles.
2. Each item's answer is read. 429, 5xx and what passes by itself is sent again after a growing, jittered wait; a
   version conflict says that the server has that revision or a later one; any other 4xx is final.
3. An answer that is no answer (cut off, of another length) settles nothing: all of it is sent again.

What a run of the sink did.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from sinks.backoff import Backoff
from sinks.elasticsearch.item import Item
from tapewatch import logs
from tapewatch.errors import TapewatchError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


_FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason"
_NDJSON = {"content-type": "application/x-ndjson", "accept": "application/json"}
_CONFLICT, _TOO_LARGE, _UNAUTHORISED = 409, 413, (401, 403)
_PASSING = {"cluster_block_exception", "validation_exception", "unavailable_shards_exception", "index_closed_exception"}
"""4xx errors of an index, not of a document: a write block, too many shards. They pass when somebody mends them."""

_log = logs.get("sink.elasticsearch")


class StoppedError(Exception):
    """The sink is to end before everything is settled."""


@dataclass(slots=True)
class BulkResult:
    """What became of items.

    kept : documents by kind; conflicts : where the server had that revision or a later one; refused : with the reason
    retried : items sent again
    """

    kept: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    refused: list[tuple[Item, str]] = field(default_factory=list)
    retried: int = 0
    requests: int = 0


class Bulk:
    """Sends items until each is settled."""

    def __init__(self, client: Elasticsearch, most_bytes: int, on_trouble: Callable[[str], None]) -> None:
        self._client, self._most = client, most_bytes
        self._on_trouble = on_trouble
        self._backoff = Backoff(0.2, 15.0)

    def send(self, items: Sequence[Item], stop: threading.Event) -> BulkResult:
        """Settle all items. Stopped where `stop` is set while the server does not take them."""
        settled = BulkResult()
        waiting = self._parts(items)
        while waiting:
            part = waiting.pop(0)
            again = self._one_request(part, settled, waiting)
            if again:
                settled.retried += len(again)
                waiting.insert(0, again)
                if len(again) < len(part):
                    self._backoff.reset()
                if stop.wait(self._backoff.wait_s()) or stop.is_set():
                    raise StoppedError
            else:
                self._backoff.reset()
        return settled

    def _parts(self, items: Sequence[Item]) -> list[list[Item]]:
        """Cut into requests of at most `most_bytes`, or of one item."""
        parts: list[list[Item]] = []
        size = self._most
        for item in items:
            size += item.size
            if size > self._most:
                parts.append([])
                size = item.size
            parts[-1].append(item)
        return parts

    def _one_request(self, part: list[Item], settled: BulkResult, waiting: list[list[Item]]) -> list[Item]:
        """Send a part; returns what is to be sent again, and puts halves of what is too large into `waiting`."""
        from elasticsearch import ApiError, TransportError

        body = b"\n".join([line for item in part for line in (item.action, item.source)]) + b"\n"
        settled.requests += 1
        try:
            answer = self._client.perform_request(
                "POST", "/_bulk", params={"filter_path": _FILTER}, headers=_NDJSON, body=body
            )
            items = answer.body["items"]
            if len(items) != len(part):
                raise ValueError(f"{len(items)} answers to {len(part)} items")
        except ApiError as error:
            return self._refused_whole(part, error.meta.status, str(error), settled, waiting)
        except (TransportError, ValueError, KeyError, TypeError) as error:
            self._trouble(str(error) or type(error).__name__)
            return part
        return self._settle(part, items, settled)

    def _refused_whole(
        self, part: list[Item], status: int, problem: str, settled: BulkResult, waiting: list[list[Item]]
    ) -> list[Item]:
        """A request that failed as a whole."""
        if status in _UNAUTHORISED:
            raise TapewatchError(
                f"Elasticsearch refuses the work: {problem}",
                "Check elasticsearch.api_key_file and the key's rights, docs/elasticsearch.md names them.",
            )
        if status == 429 or status >= 500:
            self._trouble(problem)
            return part
        if len(part) > 1:
            # Too large, or one item spoils it: the halves tell.
            waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
        else:
            reason = "oversized" if status == _TOO_LARGE else f"refused_{status}"
            settled.refused.append((part[0], f"{reason}: {problem}"))
        return []

    def _settle(self, part: list[Item], answers: list[dict[str, Any]], settled: BulkResult) -> list[Item]:
        """Read each item's answer; returns those to be sent again."""
        again, problem = [], ""
        for item, answer in zip(part, answers, strict=True):
            (said,) = answer.values()
            status = int(said["status"])
            if status < 300:
                settled.kept[item.kind] = settled.kept.get(item.kind, 0) + 1
                continue
            if status == _CONFLICT:
                settled.conflicts += 1
                continue
            error = said.get("error") or {}
            told = f"{error.get('type', '')}: {error.get('reason', '')}"[:500]
            if status == 429 or status >= 500 or error.get("type") in _PASSING:
                again.append(item)
                problem = told
            else:
                settled.refused.append((item, told))
        if again:
            self._trouble(f"{len(again)} of {len(part)} items: {problem}")
        return again

    def _trouble(self, problem: str) -> None:
        """Say why nothing moves."""
        said = logs.printable(" ".join(problem.split()))[:300]
        _log.warning("waiting to send again", problem=said)
        self._on_trouble(said)


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    documents : kept, by kind of index; conflicts : items of which the server had that revision or a later one
    dead_letters : by reason; retried : items sent again; requests : bulk requests
    seconds : wall time; busy_documents_per_s : documents over the time between the first and the last settled batch
    lag : records not yet read, when last looked at
    """

    documents: dict[str, int]
    conflicts: int
    dead_letters: dict[str, int]
    retried: int
    requests: int
    seconds: float
    busy_documents_per_s: int
    lag: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Now. documents : settled since the start; trouble : why nothing moves, else empty"""

    documents: int
    lag: int
    trouble: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of all lanes together."""

    kept: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    lags: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    conflicts: int = 0
    retried: int = 0
    requests: int = 0
    first_ns: int = 0
    last_ns: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, settled: BulkResult, reasons: list[str], began_ns: int, now_ns: int) -> None:
        """Count a batch whose offsets are kept."""
        with self._guard:
            self.kept.update(settled.kept)
            self.dead.update(reasons)
            self.conflicts += settled.conflicts
            self.retried += settled.retried
            self.requests += settled.requests
            self.first_ns, self.last_ns = self.first_ns or began_ns, now_ns

    def progress(self) -> Progress:
        """Now."""
        trouble = next((text for text in list(self.troubles.values()) if text), "")
        return Progress(self.kept.total(), sum(self.lags.values()), trouble)

    def summary(self, elapsed_ns: int) -> Summary:
        """The counts as plain values."""
        busy = max(self.last_ns - self.first_ns, 1) / 1e9
        return Summary(
            documents=dict(sorted(self.kept.items())),
            conflicts=self.conflicts,
            dead_letters=dict(sorted(self.dead.items())),
            retried=self.retried,
            requests=self.requests,
            seconds=round(elapsed_ns / 1e9, 3),
            busy_documents_per_s=int(self.kept.total() / busy) if self.kept else 0,
            lag=sum(self.lags.values()),
        )
