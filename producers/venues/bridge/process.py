"""The bridge at work: messages in, frames and dead letters out, and the position, in one transaction.

The engine's own checks on rows before they are sent, so that bad ones are refused with the place they are from.
"""

import threading
from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np
from confluent_kafka import KafkaException, Message

from producers.base.state import FencedError, Ledger, Transaction
from producers.columns import rows_of
from producers.venues.bridge.inlet import BATCH, Inlet
from producers.venues.bridge.map import BridgeMap
from producers.venues.bridge.records import Record, UnfitError
from producers.venues.bridge.translate import Batch, RefusedRow, Translator, provisional
from tapewatch import logs
from tapewatch.clock import LATEST_NS, NANOS, WALL, Clock
from tapewatch.contract import frames, topics
from tapewatch.contract.checks import FEED, Reason, check
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import EVERY_INSTRUMENT, Column, Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets
from tapewatch.settings import Settings

_AT_ONCE = 1_024


def screened(batch: Batch) -> tuple[list[Rows], list[RefusedRow]]:
    """The batch's good rows in the order of ts_recv, at most 1,024 together, and what the engine would refuse."""
    order = sorted(range(len(batch.rows)), key=lambda row: batch.rows[row][2])
    good: list[Rows] = []
    refused: list[RefusedRow] = []
    names = tuple(batch.names)
    for start in range(0, len(order), _AT_ONCE):
        part = order[start : start + _AT_ONCE]
        rows = rows_of(batch.type, names, [batch.rows[row] for row in part], batch.optional)
        reasons = _reasons(rows)
        for place in np.flatnonzero(reasons).tolist():
            label = Reason(int(reasons[place])).label
            refused.append(batch.places[part[place]].refused(label, "the row's values"))
        kept = rows.take(reasons == 0) if reasons.any() else rows
        if len(kept):
            good.append(kept)
    return good, refused


def _reasons(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Each row's reason, 0 where it is good; instruments are not looked at."""
    view = frames.Decoder().open(frames.encode(rows))
    reasons = np.empty(view.rows, dtype=np.uint8)
    slots = np.arange(len(view.names()), dtype=np.int32)
    clock = np.full(1, -1, dtype=np.int64)
    check(int(view.type), view.buffer, view.offsets, view.rows, slots, FEED, LATEST_NS, clock, reasons)
    return reasons


log = logs.get("producers.bridge")

POLL_S = 0.02
"""Longest wait for messages before the clock is looked at."""
BACKOFF_CAP_S = 30.0


class BridgeSummary(msgspec.Struct):
    """What a bridge has done: messages taken, rows sent by type, refusals by reason, ids registered, transactions."""

    topic: str
    feed: str
    messages: int = 0
    rows: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    registered: int = 0
    transactions: int = 0
    aborted: int = 0


class Bridge:
    """Brings one topic's messages into one feed, each exactly once, over any end of the process.

    A second bridge of the same feed fences the first.
    """

    def __init__(
        self,
        settings: Settings,
        bridge: BridgeMap,
        topic: str,
        *,
        from_end: bool = False,
        batch: int = BATCH,
        clock: Clock = WALL,
    ) -> None:
        if topic.startswith("market.") and not bridge.input.bootstrap:
            raise TapewatchError(f"{topic} is a market topic of ours", "Name a topic that others write.")
        self._settings, self._map, self._topic, self._from_end, self._clock = settings, bridge, topic, from_end, clock
        self._batch = batch
        self.source = f"bridge-{bridge.feed}"
        self._market = topics.market(bridge.feed)
        self._ledger = Ledger(settings, self.source, feed=bridge.feed, clock=clock)
        self._registry = Registry(settings)
        self._taken: set[str] = set()
        self._appeared: dict[str, Instrument] = {}
        self._translator = Translator(bridge, self._known)
        self._beaten = self._kept = 0
        self.summary = BridgeSummary(topic, bridge.feed)

    def run(self, stop: threading.Event, until_end: bool = False) -> BridgeSummary:
        """Work until `stop` is set, or with `until_end` until everything that lies in the topic has been taken.

        After a failed transaction the work goes on from the committed position. FencedError where another bridge of the
        feed was started; TapewatchError where it cannot begin at all.
        """
        waits = 0
        try:
            while not stop.is_set():
                before = self.summary.transactions
                try:
                    if self._session(stop, until_end):
                        break
                except FencedError:
                    raise
                except (TapewatchError, KafkaException) as error:
                    if not self.summary.transactions:
                        raise
                    self.summary.aborted += 1
                    waits = 0 if self.summary.transactions > before else waits + 1
                    log.warning("begins again", source=self.source, error=str(error))
                    stop.wait(min(0.2 * 2**waits, BACKOFF_CAP_S))
        finally:
            self._registry.close()
            self._ledger.close()
        return self.summary

    def _session(self, stop: threading.Event, until_end: bool) -> bool:
        """Work from the committed position on; True where the work is done, False to begin again."""
        position = self._ledger.position()
        inlet = Inlet(
            self._settings, self._map.input, self._topic, f"tapewatch-{self.source}", self._clock, log, position,
            self._from_end,
            self._batch,
        )  # fmt: skip
        try:
            self._translator.take()
            self._taken.clear()
            self._registry.refresh()
            # Where "now" was, and what is gone, is written down before anything else.
            self._commit(inlet, [], _gaps(inlet.gone, self._newest() or self._clock.now()), [], self._newest())
            while not stop.is_set():
                messages = inlet.poll(POLL_S)
                if messages:
                    self._take(inlet, messages)
                elif self._idle(inlet, until_end):
                    return True
                if inlet.grown():
                    return False
            return True
        finally:
            inlet.close()

    def _take(self, inlet: Inlet, messages: Iterable[Message]) -> None:
        """Translate messages and commit what they gave."""
        self._registry.stale = True
        now, received = self._clock.now(), self._newest()
        for message in messages:
            stamped = message.timestamp()[1] * 1_000_000 if self._map.receipt == "record" else now
            received = max(received, min(stamped if stamped > 0 else now, now))
            origin = (message.topic(), message.partition(), message.offset())
            self._translator.message(origin, message.value(), received)
            self.summary.messages += 1
        batches, refused = self._translator.take()
        rows: list[Rows] = []
        for batch in batches:
            good, bad = screened(batch)
            rows += good
            refused += bad
        self._register()
        until = self._newest() if self._map.receipt == "event" else received
        self._commit(inlet, rows, [], refused, until)

    def _idle(self, inlet: Inlet, until_end: bool) -> bool:
        """Nothing came: the second's heartbeat, where the input has been read to its end. True where that is enough."""
        now = self._clock.now()
        if now // NANOS <= self._beaten and not until_end:
            return False
        if not inlet.at_end():
            self._beaten = now // NANOS
            return False
        self._beaten = now // NANOS
        by_event = self._map.receipt == "event"
        if until_end and by_event:
            now = (self._newest() // NANOS + 1) * NANOS
        if until_end or not by_event:
            self._commit(inlet, [], [], [], now)
        elif self._clock.elapsed() - self._kept > group_offsets.KEPT_AGAIN_NS:
            self._commit(inlet, [], [], [], self._newest())
        return until_end

    def _commit(self, inlet: Inlet, rows: list[Rows], gaps: list[Rows], refused: list[RefusedRow], until: int) -> None:
        with self._ledger.transaction() as one:
            self._fill(one, [*gaps, *rows], refused)
            one.until(until)
            inlet.commit(one)
        self._kept = self._clock.elapsed()
        self.summary.transactions += 1
        for each in rows:
            self.summary.rows[each.type.label] += len(each)
        for bad in refused:
            self.summary.refused[bad.reason] += 1

    def _fill(self, one: Transaction, rows: list[Rows], refused: list[RefusedRow]) -> None:
        for each in rows:
            one.rows(each)
        for bad in refused:
            one.refuse(letter(self._market, self.source, bad))

    def _newest(self) -> int:
        return self._ledger.live.newest_ns if self._ledger.live else 0

    def _known(self, name: str, record: Record) -> bool:
        """Whether rows of an id are taken; one that is new is remembered to be registered."""
        if name in self._taken or name in self._appeared:
            return True
        if (known := self._registry.known(name)) is not None:
            self._appeared[name] = known
            return True
        entry = self._map.instrument
        if not entry.register:
            return False
        if self.summary.registered >= entry.limit:
            raise UnfitError("too_many_instruments", f"{name}: {entry.limit} ids were registered already")
        self._appeared[name] = provisional(entry, self._map.feed, name, record)
        self.summary.registered += 1
        return True

    def _register(self) -> None:
        """Register the ids that appeared, before their first row is sent."""
        if self._appeared:
            self._ledger.register(self._appeared.values())
            self._taken |= self._appeared.keys()
            self._appeared = {}


def letter(market: str, source: str, refused: RefusedRow) -> DeadLetter:
    """The dead letter of a refused message or row: its own bytes, origin and reason. market : the feed's topic"""
    by = dead_letters.PRODUCER
    made = dead_letters.of_record(refused.origin, refused.reason, refused.detail, refused.raw, by)
    headers = [*made.headers, ("source", source.encode())]
    if refused.row >= 0:
        headers.append(("row", str(refused.row).encode()))
    return DeadLetter(topics.dead_letters(market), made.value, headers)


def _gaps(gone: list[str], at: int) -> list[Rows]:
    """A status row for messages that the input no longer has. at : the feed's clock, UTC nanoseconds"""
    if not gone:
        return []
    log.warning("messages are gone from the input", what="; ".join(gone))
    times = np.array([at], dtype=np.int64)
    columns: dict[str, Column] = {
        "instrument": np.zeros(1, np.int32),
        "ts_event": times,
        "ts_recv": times,
        "kind": np.full(1, int(StatusKind.GAP), np.int8),
        "detail": np.array([f"gone from the input: {'; '.join(gone)}"[:500]], dtype=object),
    }
    return [Rows(RowType.STATUS, (EVERY_INSTRUMENT,), columns)]
