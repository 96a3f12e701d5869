"""A market with signals and commit records on a real broker, written as the engine would, for the paper broker."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Producer

from producers.feed import open_feed
from tapewatch.clock import NANOS
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Cause, Commit, Signal, encode, stable_id
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Rows, RowType
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

START_NS = 1_700_000_000 * NANOS
ACTIONS = ("buy", "sell", "buy", "sell", "hold", "cancel_buy", "cancel_sell")
STEPS_A_SECOND = 2
TICK = 0.01


def instruments_of(feed: str, partition: int, partitions: int, count: int) -> list[Instrument]:
    """So many instruments of a feed that lie in a partition; every other one may be sold short."""
    names = (f"{feed.upper()}{number}.SIMX" for number in range(1_000_000))
    chosen = [name for name, _ in zip(_in(names, partition, partitions), range(count), strict=False)]
    kinds = ("perpetual", "share")
    return [
        Instrument(name, currency="USD", ticks=(Tick(0.0, TICK),), lot=1.0, kind=kinds[number % 2])
        for number, name in enumerate(chosen)
    ]


def _in(names: Iterator[str], partition: int, partitions: int) -> Iterator[str]:
    return (name for name in names if partition_for(name, partitions) == partition)


@dataclass
class Walk:
    """Quotes and trades of one partition's instruments, which wander by chance, and signals on them."""

    instruments: list[Instrument]
    rng: np.random.Generator
    price: Any = None
    step: int = 0

    def __post_init__(self) -> None:
        self.price = np.linspace(20.0, 80.0, len(self.instruments))

    def frame(self) -> Rows:
        """The next frame: quotes and trades in turns."""
        self.price = np.maximum(5.0, self.price * (1.0 + 0.0008 * self.rng.standard_normal(len(self.price))))
        count = int(self.rng.integers(1, 3 * len(self.price)))
        codes = self.rng.integers(0, len(self.price), count).astype(np.int32)
        spread = self.rng.integers(1, 4, count)
        bid = np.round(np.floor(self.price[codes] / TICK) * TICK, 2)
        qty = self.rng.integers(1, 40, (2, count)) * 100.0
        at = START_NS + (np.sort(self.rng.random(count)) + self.step) * (NANOS / STEPS_A_SECOND)
        times = at.astype(np.int64)
        columns: dict[str, Any] = {"instrument": codes, "ts_event": times, "ts_recv": times}
        self.step += 1
        if self.step % 2:
            more = {
                "bid_price": bid,
                "bid_qty": qty[0],
                "ask_price": np.round(bid + spread * TICK, 2),
                "ask_qty": qty[1],
                "last_price": bid,
                "volume": np.zeros(count),
            }
            return Rows(RowType.QUOTE, [each.id for each in self.instruments], columns | more)
        more = {
            "price": bid,
            "qty": qty[0],
            "aggressor_side": self.rng.choice([-1, 1], count).astype(np.int8),
            "condition": np.zeros(count, dtype=np.int8),
        }
        return Rows(RowType.TRADE, [each.id for each in self.instruments], columns | more)

    def signals(self, cause: Cause) -> list[Signal]:
        """What a policy might say after the newest frame: something for every third instrument."""
        ts = to_rfc3339(START_NS + self.step * NANOS // STEPS_A_SECOND)
        chosen = [each for each in self.instruments if self.rng.random() < 0.3]
        return [
            Signal(
                id=stable_id("walk", each.id, ts), instrument=each.id, ts=ts, policy="walk", model="0" * 16,
                action=str(self.rng.choice(ACTIONS)), q_values={}, advantage=None, cause=cause,  # type: ignore[arg-type]
            )
            for each in chosen
        ]  # fmt: skip


@dataclass
class LoggedFrame:
    """A frame in the log and what it caused."""

    offset: int
    signals: list[Signal]


@dataclass
class PaperLog:
    """Writes a feed step by step: a frame a partition, and after some of them a transaction as the engine's.

    Now and then a transaction is aborted, as that of an engine that dies, and written again.
    """

    settings: Settings
    feed: str
    partitions: int
    instruments: int = 4
    seed: int = 1
    walks: list[Walk] = field(default_factory=list)
    sequence: int = 0

    def __post_init__(self) -> None:
        seeds = np.random.SeedSequence(self.seed).spawn(self.partitions + 1)
        for number in range(self.partitions):
            traded = instruments_of(self.feed, number, self.partitions, self.instruments)
            self.walks.append(Walk(traded, np.random.default_rng(seeds[number])))
        self._rng = np.random.default_rng(seeds[-1])
        open_feed(self.settings, self.feed, [each for walk in self.walks for each in walk.instruments], self.partitions)
        kafka.create_topics(self.settings, topics.paper_topics(self.settings.topics))
        self._counts = kafka.existing_topics(kafka.admin(self.settings))
        self._frames = kafka.producer(self.settings, linger_ms=0)
        self._engine = transactions.make_producer(self.settings, f"engine-of-{self.feed}", linger_ms=0)
        transactions.fenced(self._engine)
        self._waiting: list[list[LoggedFrame]] = [[] for _ in self.walks]
        self._begun = [0] * self.partitions

    @property
    def topic(self) -> str:
        """The market topic."""
        return topics.market(self.feed)

    def ends(self) -> list[int]:
        """Offset after each partition's newest record."""
        reader = kafka.consumer(self.settings)
        try:
            return [kafka.watermarks(reader, self.topic, number)[1] for number in range(self.partitions)]
        finally:
            reader.close()

    def step(self) -> None:
        """A frame in each partition; on average every second time a transaction over what there is."""
        offsets: dict[int, int] = {}
        for number, walk in enumerate(self.walks):
            rows = walk.frame()
            headers: Any = FrameHeaders(rows.type.label, "walk", 1, self.sequence, 0).to_kafka()
            self._frames.produce(
                self.topic, frames.encode(rows), partition=number, headers=headers,
                on_delivery=lambda _, message: offsets.update({message.partition(): message.offset()}),
            )  # fmt: skip
        self.sequence += 1
        if self._frames.flush(30) or len(offsets) != self.partitions:
            raise RuntimeError("the broker did not take a frame in 30 s")
        for number, walk in enumerate(self.walks):
            cause = Cause(self.topic, number, offsets[number])
            self._waiting[number].append(LoggedFrame(offsets[number], walk.signals(cause)))
        if self._rng.random() < 0.5:
            self.commit()

    def commit(self) -> None:
        """One transaction over all frames that have none yet."""
        if self._rng.random() < 0.1:
            self._transaction()
            transactions.abort(self._engine)
        self._transaction()
        transactions.commit(self._engine)
        for number, waiting in enumerate(self._waiting):
            if waiting:
                self._begun[number] = waiting[-1].offset + 1
        self._waiting = [[] for _ in self.walks]

    def _transaction(self) -> None:
        transactions.begin(self._engine)
        for number, waiting in enumerate(self._waiting):
            if not waiting:
                continue
            said = [signal for each in waiting for signal in each.signals]
            for signal in said:
                target = partition_for(signal.instrument, self._counts[topics.SIGNALS])
                _send(self._engine, topics.SIGNALS, encode(signal), signal.instrument, target)
            commit = Commit(
                topic=self.topic, partition=number, first_offset=self._begun[number],
                next_offset=waiting[-1].offset + 1, frames=len(waiting), rows={}, signals=len(said),
            )  # fmt: skip
            _send(self._engine, topics.COMMITS, encode(commit), self.topic, number % self._counts[topics.COMMITS])
        self._engine.flush(30)


def _send(producer: Producer, topic: str, value: bytes, key: str, partition: int) -> None:
    producer.produce(topic, value, key.encode(), partition)
    producer.poll(0)
