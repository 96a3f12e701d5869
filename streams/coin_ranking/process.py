"""The desk's process: reads `bars` of all partitions, writes rankings and its state, each minute once.

The protocol: 1 read the newest whole snapshot and the newest minute that is out; 2 read on from the snapshot, silently
up to that minute; 3 poll; 4 release minutes that every awaited input has sealed; 5 write their rankings, the newest
minute, and a snapshot where one is due, in one transaction. A second process of the same name fences the first one.
Which inputs are awaited changes only in a transaction that holds a snapshot, so that a restart, which may read the
partitions in another order, releases the same minutes from the same bars.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from detectors.coin_features.state import BAR
from detectors.ranking import model as ranking_model
from detectors.regime import model as regime_model
from streams.coin_ranking import minute_buffer, state_records
from streams.coin_ranking.minute_buffer import Bar, BarBuffer, Source
from streams.coin_ranking.ranking import MINUTE_NS, CoinRanking, Question
from streams.coin_ranking.state_records import Position, ReleasedMinute
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import canaries, frames, messages, topics
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import control_rows, generations
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka, transactions
from tapewatch.runtime.idling import IdleDetector
from tapewatch.runtime.monitoring import Monitor, counters, gauge
from tapewatch.runtime.monitoring.metric import PARTITIONS
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary

log = logs.get("desk")

TRANSACTION_TIMEOUT_MS = 60_000
MINUTES_A_TRANSACTION = 60
_COLUMNS = ("high", "low", "close", "volume", "trades", "buys", "sells")


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. feeds : only these, empty for all; name : of this desk; silent_s : after so long without a word an
    input that holds others back is left out; snapshot_s : between snapshots
    """

    question: Question
    feeds: tuple[str, ...] = ()
    name: str = "coins"
    silent_s: float = 120.0
    snapshot_s: float = 600.0


@dataclass(slots=True)
class Totals:
    """What this process has done."""

    bars: int = 0
    minutes: int = 0
    rankings: int = 0
    late: int = 0
    refused: int = 0
    snapshots: int = 0
    coins: int = 0


COUNTS = counters(
    "desk",
    bars="Minute bars taken.",
    minutes="Minutes released.",
    rankings="Rankings written.",
    late="Bars that came after their minute was released.",
    refused="Records that could not be read.",
    snapshots="Snapshots written.",
)
COINS = gauge("tapewatch_desk_coins", "Coins that the desk knows.")


class CoinRankingProcess:
    """One desk."""

    def __init__(self, settings: Settings, options: Options, clock: Clock = WALL) -> None:
        self._settings, self._options, self._clock = settings, options, clock
        self._registry = Registry(settings)
        self._desk, self._waiting = self._empty_desk(), BarBuffer(())
        self._offsets: dict[int, int] = {}
        self._out = -1
        self._heard: dict[Source, tuple[int, int]] = {}
        self._snapshot_due = 0
        self.totals = Totals()
        self.monitor = Monitor("desk", settings)
        self.monitor.show_counts(COUNTS | {"coins": COINS}, self.totals)
        self.monitor.show(PARTITIONS, lambda: {(): len(self._offsets)})

    def run(self, stop: threading.Event, until_idle: float = 0.0) -> None:
        """Work until `stop` is set, or nothing came for `until_idle` seconds. Any failed transaction ends the process:
        the next start goes on from what is committed.
        """
        kafka.create_topics(self._settings, topics.shared_topics(self._settings.topics))
        group = f"tapewatch-desk-{self._options.name}"
        # Before anything is read: from here on no other process of this name can commit.
        producer = transactions.fenced(transactions.make_producer(self._settings, group, TRANSACTION_TIMEOUT_MS))
        self._recover()
        told = self.monitor.client("reader")
        idling = IdleDetector(until_idle or None, self._clock)
        consumer = kafka.consumer(self._settings, group, told, **idling.properties)
        try:
            consumer.assign([TopicPartition(topics.BARS, *place) for place in self._offsets.items()])
            self.monitor.ready()
            self._work(consumer, producer, stop, idling)
        finally:
            consumer.close()
            self._registry.close()

    def _work(self, consumer: Consumer, producer: Producer, stop: threading.Event, idling: IdleDetector) -> None:
        while not stop.is_set():
            self.monitor.beat()
            batch = idling.read(consumer.consume(500, timeout=0.1))
            for message in batch:
                self._feed(message)
            if batch:
                self._registry.stale = True
            if not self._step(producer) and idling.is_over([(topics.BARS, each) for each in self._offsets]):
                return

    def _empty_desk(self) -> CoinRanking:
        return CoinRanking(ranking_model.shipped(), regime_model.shipped(), self._options.question, self._currency)

    def _currency(self, name: str) -> str:
        known = self._registry.known(name)
        return known.currency if known else ""

    def _recover(self) -> None:
        """State and positions as the newest snapshot has them."""
        kept: dict[bytes, bytes] = {}
        kafka.read_all(self._settings, topics.DESK_STATE, _into(kept, self._options.name))
        self._registry.refresh()
        self._desk = self._empty_desk()
        partitions = kafka.existing_topics(kafka.admin(self._settings))[topics.BARS]
        self._offsets = dict.fromkeys(range(partitions), 0)
        self._waiting = BarBuffer(self._expected())
        if state_records.RELEASED in kept:
            self._out = msgspec.json.decode(kept[state_records.RELEASED], type=ReleasedMinute).minute
        if state_records.POSITION in kept:
            position = msgspec.json.decode(kept[state_records.POSITION], type=Position)
            self._check(position)
            self._waiting = minute_buffer.restored(position.waiting)
            self._offsets |= position.offsets
            for key, value in kept.items():
                if state_records.coin_name(key):
                    self._desk.restore(state_records.coin_name(key), *state_records.unpacked(value, position.horizon))
        self._snapshot_due = self._clock.elapsed() + int(self._options.snapshot_s * NANOS)

    def _check(self, position: Position) -> None:
        """What was asked before must be what is asked now: what is pending was entered for it."""
        asked = (self._options.question.target, self._options.question.stop, self._desk.asked.horizon)
        if asked != (position.question.target, position.question.stop, position.horizon):
            raise TapewatchError(
                f"the desk {self._options.name} was asked {position.question.target:+.2%} before "
                f"{position.question.stop:+.2%} within {position.horizon} minutes until now",
                "Ask the same, or give the new desk a --name of its own.",
            )

    def _expected(self) -> list[Source]:
        """Partitions of market topics that hold something and are not closed: their engine will seal their seconds."""
        standing, reader = generations.read(self._settings), kafka.consumer(self._settings)
        try:
            found = []
            for name, partitions in control_rows.market_partitions(self._settings).items():
                feed = topics.feed_of(name)
                if self._wanted(feed) and standing.successor(name) is None:
                    found += [(feed, each) for each in partitions if kafka.watermarks(reader, name, each)[1] > 0]
            return found
        finally:
            reader.close()

    def _wanted(self, feed: str) -> bool:
        first = generations.named(feed)
        names = {feed, first[0]} if first else {feed}
        return bool(names & set(self._options.feeds)) if self._options.feeds else feed != canaries.FEED

    def _feed(self, message: Message) -> None:
        """Take a record of `bars` in."""
        if message.error():
            log.warning("consumer", error=str(message.error()))
            return
        partition, offset = message.partition(), message.offset()
        self._offsets[partition] = offset + 1
        headers = dict(message.headers() or ())
        try:
            source = (headers["feed"].decode(), int(headers["partition"]))
            if not self._wanted(source[0]):
                return
            batch = frames.read_stream(message.value() or b"")
            minutes = batch.column("ts").cast("int64").to_numpy() // MINUTE_NS - 1
            if headers["type"] == b"sealed-minutes":
                self._seal(source, int(minutes.max()))
            else:
                self._bars(source, batch, minutes, (partition, offset))
        except (KeyError, ValueError, ContractError) as error:
            self.totals.refused += 1
            log.warning("no bars", partition=partition, offset=offset, error=str(error))

    def _seal(self, source: Source, minute: int) -> None:
        self._waiting.seal(source, minute)
        self._heard[source] = (minute, self._clock.elapsed())

    def _bars(self, source: Source, batch: Any, minutes: npt.NDArray[np.int64], at: tuple[int, int]) -> None:
        """The rows of an Arrow batch."""
        values = np.zeros((batch.num_rows, BAR))
        for place, name in enumerate(_COLUMNS):
            if name in batch.schema.names:
                values[:, place] = batch.column(name).to_numpy()
        names = batch.column("instrument").to_pylist()
        for name, minute, row in zip(names, minutes.tolist(), values, strict=True):
            if row[2] > 0.0 and not is_canary(self._settings.notify.canaries, name):
                self._waiting.add(source, minute, Bar(name, row, at))
        self.totals.bars += len(names)

    def _step(self, producer: Producer) -> bool:
        """Release what is ready; whether there was anything. What is out already is lived through again, silently, by
        the inputs that were awaited then.
        """
        again = self._waiting.released < self._out
        changed = False if again else self._change_inputs()
        until = min(self._waiting.ready(), self._out) if again else self._waiting.ready()
        minutes = list(self._waiting.release(until, MINUTES_A_TRANSACTION))
        rankings = []
        for minute, bars in minutes:
            self._desk.add(minute, bars)
            if minute > self._out:
                rankings.append((minute, self._desk.ranking(minute)))
        due = self._clock.elapsed() >= self._snapshot_due
        if rankings or changed or due:
            self._write(producer, rankings, changed or due)
        self.totals.minutes += len(minutes)
        self.totals.late, self.totals.coins = self._waiting.late, len(self._desk.coins)
        return bool(minutes)

    def _change_inputs(self) -> bool:
        """Await new inputs, leave silent ones out; whether anything changed."""
        joined = self._waiting.join()
        now = self._clock.elapsed()
        silent = []
        for source in self._waiting.behind():
            _, heard = self._heard.setdefault(source, (-1, now))
            if now - heard > self._options.silent_s * NANOS:
                self._waiting.leave_out(source)
                silent.append(source)
        for what, sources in (("input joined", joined), ("silent input left out", silent)):
            for feed, partition in sources:
                log.info(what, feed=feed, partition=partition, released=self._waiting.released)
        return bool(joined or silent)

    def _write(self, producer: Producer, rankings: list[tuple[int, messages.Ranking]], snapshot: bool) -> None:
        """One transaction: rankings, the newest minute, and a snapshot where it is wanted."""
        transactions.begin(producer)
        try:
            headers = [("type", b"ranking"), ("version", b"1")]
            for _, ranking in rankings:
                value = messages.encode(ranking)
                kafka.enqueue(producer, topics.RANKINGS, value, ranking.name.encode(), headers, 0)
            if rankings:
                self._out = rankings[-1][0]
                self._keep(producer, state_records.RELEASED, msgspec.json.encode(ReleasedMinute(self._out)))
            if snapshot:
                for key, value in state_records.records(self._desk, self._position()):
                    self._keep(producer, key, value)
            transactions.commit(producer, patience_s=TRANSACTION_TIMEOUT_MS / 1000)
        except KafkaException as error:
            raise TapewatchError(
                f"the desk's transaction failed: {error}", "Start it again: it goes on from what is committed."
            ) from error
        self.totals.rankings += len(rankings)
        if snapshot:
            self.totals.snapshots += 1
            self._snapshot_due = self._clock.elapsed() + int(self._options.snapshot_s * NANOS)

    def _keep(self, producer: Producer, key: bytes, value: bytes) -> None:
        kafka.enqueue(producer, topics.DESK_STATE, value, self._options.name.encode() + b"/" + key, [], 0)

    def _position(self) -> Position:
        offsets = self._offsets | self._waiting.needed()
        return Position(
            offsets, self._waiting.stored(), self._options.question, self._desk.asked.horizon, len(self._desk.coins)
        )


def _into(kept: dict[bytes, bytes], name: str) -> Callable[[Message], None]:
    """Keep the newest value of each key of the desk of that name."""
    own = name.encode() + b"/"

    def keep(message: Message) -> None:
        key = message.key() or b""
        if key.startswith(own) and message.value():
            kept[key.removeprefix(own)] = message.value()

    return keep
