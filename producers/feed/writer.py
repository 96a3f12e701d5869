"""The feed writer: frames go to their partition with source, epoch and sequence; each is acknowledged or said lost.

What a producer says on stderr while it runs: rows, frames and bytes a second, and how far it is behind.

A replay's progress on stderr: a bar on a terminal, a line every few seconds elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from producers.feed.encoder import FrameEncoder
from producers.feed.splitter import Splitter
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

MAX_FRAME_ROWS = 1024
"""Rows of one frame at most."""
FLUSH_S = 60.0
"""Longest wait for the last acknowledgements, s."""

HEARTBEAT = "heartbeat"
"""What a record calls a heartbeat's row, whose frame is one of status rows."""

_POLL_EVERY = 64


class RecordProducer(Protocol):
    """What the writer needs of a Kafka producer (confluent_kafka.Producer has it)."""

    def produce(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int,
        headers: Any,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queue a record; BufferError where the queue is full."""
        ...

    def poll(self, timeout: float) -> int:
        """Serve delivery reports, waiting up to `timeout` seconds for the first."""
        ...

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty; how many records are left in it."""
        ...


class FrameRecorder(Protocol):
    """Who writes down what is sent (tapewatch.market_log.sent_record.SentRecord does)."""

    def handed(self, partition: int, sequence: int, label: str, rows: int, value: bytes) -> None:
        """A frame is about to be handed to Kafka."""
        ...

    def acknowledged(self, partition: int, sequence: int) -> None:
        """Kafka has it."""
        ...


@dataclass(slots=True)
class WriterTotals:
    """What was handed to Kafka.

    rows : by row type, heartbeats not among them; bytes : of frames, before compression
    acknowledged : frames that the broker confirmed; waits : times the full send queue made the writer wait
    """

    rows: Counter[str] = field(default_factory=Counter)
    heartbeats: int = 0
    frames: int = 0
    bytes: int = 0
    acknowledged: int = 0
    waits: int = 0


class FeedWriter:
    """Writes one feed's market topic as one source; partitions count their sequences from 0 within the epoch.

    instruments : ids that will be sent, registered before (see `open_feed`)
    watch : given a frame's rows, gives back what to call when they are acknowledged
    record : told of every frame before it is handed over, and when it is acknowledged
    An acknowledgement that fails raises TapewatchError at the next call.
    """

    def __init__(
        self,
        producer: RecordProducer,
        feed: str,
        source: str,
        epoch: int,
        partitions: int,
        instruments: Iterable[str],
        clock: Clock = WALL,
        watch: Callable[[Rows], Callable[[], None]] | None = None,
        record: FrameRecorder | None = None,
    ) -> None:
        self.feed, self.source, self.epoch, self.partitions = feed, source, epoch, partitions
        self.topic = topics.market(feed)
        self.splitter = Splitter(partitions)
        self.sent = WriterTotals()
        self._producer = producer
        self._clock = clock
        self._sequence = [0] * partitions
        self._watch, self._record = watch, record
        self._own: list[dict[str, None]] = [{} for _ in range(partitions)]
        self._encoders: list[FrameEncoder] = []
        self.extend(instruments)
        self._failure = ""
        self._unpolled = 0

    def extend(self, instruments: Iterable[str]) -> None:
        """Know further instruments, registered before."""
        for instrument in instruments:
            self._own[partition_for(instrument, self.partitions)][instrument] = None
        self._encoders = [FrameEncoder(list(names)) for names in self._own]

    def send(self, partition: int, rows: Rows) -> None:
        """Send rows of one type, all of this partition, as frames of at most 1024 rows."""
        for start in range(0, len(rows), MAX_FRAME_ROWS):
            part = rows if len(rows) <= MAX_FRAME_ROWS else rows.take(slice(start, start + MAX_FRAME_ROWS))
            done = self._watch(part) if self._watch is not None else None
            self._produce(
                partition, part.type, part.type.label, len(part), self._encoders[partition].encode(part), done
            )
        self.sent.rows[rows.type.label] += len(rows)

    def heartbeats(self, partition: int, times: npt.NDArray[np.int64]) -> None:
        """Send heartbeats at these times (UTC nanoseconds, at most 1024) as one frame."""
        self._produce(partition, RowType.STATUS, HEARTBEAT, len(times), self._encoders[partition].heartbeats(times))
        self.sent.heartbeats += len(times)

    def poll(self) -> None:
        """Serve acknowledgements; TapewatchError if one failed."""
        self._unpolled = 0
        self._serve(self._producer.poll, 0)
        self._check()

    def flush(self) -> None:
        """Wait until every frame is acknowledged; TapewatchError if that fails or takes over a minute."""
        left = self._serve(self._producer.flush, FLUSH_S)
        self._check()
        if left:
            raise TapewatchError(
                f"{left} frames for {self.topic} were not acknowledged in {FLUSH_S:.0f} s", "Run `tapewatch status`."
            )

    @property
    def unacknowledged(self) -> int:
        """Frames on their way."""
        return self.sent.frames - self.sent.acknowledged

    def _produce(
        self,
        partition: int,
        row_type: RowType,
        label: str,
        rows: int,
        value: bytes,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Queue one frame, waiting while the queue is full: nothing is dropped. label : what a record calls the rows"""
        sequence = self._sequence[partition]
        if self._record is not None:
            self._record.handed(partition, sequence, label, rows, value)
            done = partial(self._recorded, partition, sequence, done)
        on_delivery = self._on_delivery if done is None else self._delivery_of(done)
        headers = FrameHeaders(row_type.label, self.source, self.epoch, sequence, self._clock.now()).to_kafka()
        while True:
            try:
                self._producer.produce(self.topic, value, partition=partition, headers=headers, on_delivery=on_delivery)
                break
            except BufferError:
                self.sent.waits += 1
                self._serve(self._producer.poll, 0.1)
                self._check()
        self._sequence[partition] = sequence + 1
        self.sent.frames += 1
        self.sent.bytes += len(value)
        self._unpolled += 1
        if self._unpolled >= _POLL_EVERY:
            self.poll()

    def _serve(self, serve: Callable[[float], int], seconds: float) -> int:
        """Serve acknowledgements. A client that may not go on, since a record was refused for good, raises that here,
        and upsets the callbacks that come with it.
        """
        try:
            return serve(seconds)
        except (KafkaException, SystemError) as error:
            self._failure = self._failure or str(error.__cause__ or error)
            self._check()
            raise

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is None:
            self.sent.acknowledged += 1
        elif not self._failure:
            self._failure = str(error)

    def _delivery_of(self, done: Callable[[], None]) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            self._on_delivery(error, message)
            if error is None:
                done()

        return delivered

    def _recorded(self, partition: int, sequence: int, done: Callable[[], None] | None) -> None:
        """A frame is acknowledged."""
        if self._record is not None:
            self._record.acknowledged(partition, sequence)
        if done is not None:
            done()

    def _check(self) -> None:
        if self._failure:
            raise TapewatchError(
                f"Kafka did not take a frame for {self.topic}: {self._failure}",
                "Run `tapewatch status`, look at the broker's log, then start the producer again.",
            )


EVERY_S = 5.0
"""Seconds between two lines."""


class Rate:
    """Says every few seconds how a writer gets on."""

    def __init__(self, writer: FeedWriter, clock: Clock = WALL, console: Console | None = None) -> None:
        self._writer = writer
        self._clock = clock
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._at = clock.elapsed()
        self._before = (0, 0, 0)

    def tick(self, newest_ns: int, behind_ns: int = 0) -> None:
        """Say a line if it is time.

        newest_ns : newest ts_recv sent, UTC nanoseconds; behind_ns : how far the clock is ahead of it
        """
        now = self._clock.elapsed()
        seconds = (now - self._at) / NANOS
        if seconds < EVERY_S:
            return
        sent = self._writer.sent
        counts = (sent.rows.total(), sent.frames, sent.bytes)
        rows, frames, size = ((count - before) / seconds for count, before in zip(counts, self._before, strict=True))
        self._at, self._before = now, counts
        behind = f", {behind_ns / NANOS:.1f} s behind" if behind_ns > NANOS else ""
        self.say(
            f"{rows:,.0f} rows/s, {frames:,.0f} frames/s, {size / 1e6:.1f} MB/s, {self._writer.partitions} partitions, "
            f"{self._writer.unacknowledged:,} frames unacknowledged, at {to_rfc3339(newest_ns)[:19]}Z{behind}"
        )

    def say(self, text: str) -> None:
        """Say a line now."""
        self._console.print(f"{self._writer.feed}: {text}", markup=False)


_REFRESH_NS = NANOS // 5


class ReplayProgress:
    """Shows how far a replay has come; give it as `watch`.

    total : rows of the recording where they are known (then the bar has an end and a remaining time), else None
    """

    def __init__(self, total: int | None = None, clock: Clock = WALL, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._clock = clock
        self._rate: Rate | None = None
        self._next = 0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        rates = (TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, *rates, console=self._console, transient=True)
        self._task = self._bar.add_task("replay", total=total, rate="")
        self._begun = clock.elapsed()

    def __enter__(self) -> "ReplayProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def __call__(self, writer: FeedWriter, newest_ns: int) -> None:
        """Take note of a frame."""
        now = self._clock.elapsed()
        if now < self._next:
            return
        self._next = now + _REFRESH_NS
        if not self._console.is_terminal:
            self._rate = self._rate or Rate(writer, self._clock, self._console)
            self._rate.tick(newest_ns)
            return
        rows = writer.sent.rows.total()
        speed = rows / max((now - self._begun) / NANOS, 1e-9)
        text = f"{speed:,.0f} rows/s, at {to_rfc3339(newest_ns)[:19]}Z"
        self._bar.update(self._task, completed=rows, rate=text, description=writer.feed)
