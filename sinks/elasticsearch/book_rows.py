"""Order books as documents: the best five levels of a feed's first book of each instrument in each stretch of time."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from sinks.elasticsearch import mappings
from sinks.elasticsearch.documents import base
from sinks.elasticsearch.item import Item, action, daily, encode
from tapewatch import checks, topics
from tapewatch.admission import Admission, AdmittedFrame, InstrumentProvider
from tapewatch.clock import NANOS
from tapewatch.errors import ContractError
from tapewatch.frames import MAX_FRAME_BYTES, Headers
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.rows import RowType

BEST = 5
_REMEMBERED = 100_000
Origin = tuple[str, int, int]


class BookRows:
    """Turns books into items; which book is the first of its stretch is a function of the log.

    every_s : length of a stretch, s
    """

    def __init__(self, prefix: str, every_s: int, registry: InstrumentProvider) -> None:
        self._prefix, self._every = prefix, every_s * NANOS
        self._registry = registry
        self._admissions: dict[tuple[str, int], Admission] = {}
        self._last: dict[tuple[str, str], int] = {}

    def items(self, origin: Origin, value: bytes | None, headers: Headers, appended_ns: int) -> Iterator[Item]:
        """The documents of a record, by the rows that the engine accepts too; what it refuses it buries itself."""
        if dict(headers).get("type") != RowType.BOOK.label.encode() or len(value or b"") > MAX_FRAME_BYTES:
            return
        admission = self._admissions.get(origin[:2])
        if admission is None:
            admission = self._admissions[origin[:2]] = Admission(self._registry, *origin[:2])
        try:
            admitted = admission.admit(value, headers, appended_ns)
        except ContractError:
            return
        if admitted is not None:
            yield from self._firsts(origin, admitted)

    def _firsts(self, origin: Origin, admitted: AdmittedFrame) -> Iterator[Item]:
        """Items of the rows that begin a stretch."""
        view = admitted.view
        names, codes, stamps = view.names(), view.column("instrument").tolist(), view.column("ts_recv")
        stretches, topic = (stamps // self._every).tolist(), origin[0]
        feed = topics.feed_of(topic)
        for row in np.flatnonzero(admitted.reasons == checks.Reason.ACCEPTED).tolist():
            instrument, stretch = names[codes[row]], stretches[row]
            if self._last.get((topic, instrument)) == stretch:
                continue
            if len(self._last) >= _REMEMBERED:
                self._last.clear()
            self._last[topic, instrument] = stretch
            levels = {name: view.column(name)[row, :BEST] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")}
            document = base("metric", mappings.BOOKS, to_rfc3339(int(stamps[row])), instrument)
            document["tapewatch"]["book"] = _book(levels)
            source = encode(document)
            # Whoever reads the log again from a later place takes a later book for the first: it comes too late.
            index = daily(self._prefix, mappings.BOOKS, document["@timestamp"])
            line = action(index, f"{feed}-{instrument}-{stretch}", create=True)
            yield Item(mappings.BOOKS, line, source, origin, source)


def _book(levels: dict[str, Any]) -> dict[str, Any]:
    """Levels that are there, best first, and what follows from them; imbalance -1 (all ask) to 1 (all bid)."""
    said = {name: values[~np.isnan(values)].tolist() for name, values in levels.items()}
    bids, asks = sum(said["bid_qty"]), sum(said["ask_qty"])
    if bids + asks > 0:
        said["imbalance"] = (bids - asks) / (bids + asks)
    if said["bid_price"]:
        said["best_bid"] = said["bid_price"][0]
    if said["ask_price"]:
        said["best_ask"] = said["ask_price"][0]
    if said["bid_price"] and said["ask_price"]:
        said["mid"] = (said["best_bid"] + said["best_ask"]) / 2
        said["spread"] = said["best_ask"] - said["best_bid"]
    return said
