"""Where a feed's rows go: into Kafka, or onto the screen."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TextIO

from producers.base.collector import RefusedMessage
from producers.base.metrics import FeedMetrics
from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed, read_tail
from producers.feed.refusals import line_letter
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import readable
from tapewatch.contract.frames import encode
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows
from tapewatch.market_log import generations
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class Outlet(Protocol):
    """Takes a feed's rows, reference data and refusals."""

    newest_ns: int
    """Newest ts_recv that lay there when it was opened, UTC nanoseconds; 0 for none."""

    async def open(self, feed: str, instruments: Sequence[Instrument]) -> None:
        """Begin; instruments are registered before it returns."""
        ...

    async def register(self, instruments: Sequence[Instrument]) -> None:
        """Register further instruments."""
        ...

    def write(self, rows: Sequence[Rows]) -> None:
        """Take rows of one type each, in receipt order."""
        ...

    def refuse(self, refused: Iterable[RefusedMessage]) -> None:
        """Keep what gave no row."""
        ...

    def flush(self, now: int, beat: bool) -> None:
        """Send what was taken. now : UTC ns; beat : whether the session is open, which a heartbeat says each second"""
        ...

    def poll(self) -> None:
        """Take note of what has arrived."""
        ...

    @property
    def waiting(self) -> int:
        """Frames on their way."""
        ...

    async def close(self, now: int) -> None:
        """Send everything and wait until it has arrived."""
        ...


class KafkaOutlet:
    """A feed's market topic, its dead letters, and the registry.

    source : header of its frames; metrics : hears of acknowledgements; partitions : of a new topic, 0 takes the setting
    letters : dead letters written
    """

    def __init__(
        self, settings: Settings, source: str, metrics: FeedMetrics, clock: Clock = WALL, partitions: int = 0
    ) -> None:
        self.newest_ns = 0
        self._metrics = metrics
        self.letters = 0
        self._settings, self._source, self._clock, self._partitions = settings, source, clock, partitions
        self._feed = ""
        self._letters: kafka.Deliveries | None = None
        self._live: LiveWriter | None = None

    async def open(self, feed: str, instruments: Sequence[Instrument]) -> None:
        """Create topics, register, and find out how far the log has come."""
        self._feed = feed
        self._live = await asyncio.to_thread(self._opened, instruments)

    def _opened(self, instruments: Sequence[Instrument]) -> LiveWriter:
        settings = self._settings
        feed = self._feed = generations.writable(settings, self._feed)
        count = open_feed(settings, feed, instruments, self._partitions, self._clock)
        tail = read_tail(settings, feed)
        self.newest_ns = tail.newest_ns
        producer = feed_producer(settings, linger_ms=1)
        self._letters = kafka.Deliveries(producer)
        epoch = tail.next_epoch(self._source, self._clock.now())
        ids = [instrument.id for instrument in instruments]
        writer = FeedWriter(producer, feed, self._source, epoch, count, ids, self._clock, self._watch)
        return LiveWriter(writer, tail.newest_ns)

    def _watch(self, rows: Rows) -> Callable[[], None]:
        """What to call when the frame with these rows is acknowledged."""
        received, acknowledged, now = rows.ts_recv, self._metrics.acknowledged, self._clock.now
        return lambda: acknowledged(received, now())

    @property
    def is_open(self) -> bool:
        """Whether `open` has come to its end."""
        return self._live is not None

    @property
    def live(self) -> LiveWriter:
        """The open writer."""
        if self._live is None:
            raise RuntimeError("the outlet is not open")
        return self._live

    async def register(self, instruments: Sequence[Instrument]) -> None:
        """Register further instruments and let frames' dictionaries know them."""
        await asyncio.to_thread(register, self._settings, instruments, self._clock)
        self.live.writer.extend(instrument.id for instrument in instruments)

    def write(self, rows: Sequence[Rows]) -> None:
        """Take rows."""
        for part in rows:
            self.live.add(part)

    def refuse(self, refused: Iterable[RefusedMessage]) -> None:
        """Write dead letters of kind `line`, with source and where they came from."""
        if self._letters is None:
            raise RuntimeError("the outlet is not open")
        for each in refused:
            named = {"source": self._source, "where": each.where, "received": str(each.received)}
            letter = line_letter(self._feed, each.reason, each.where, each.raw, named)
            self._letters.send(letter.topic, letter.value, headers=letter.headers)
            self.letters += 1

    def flush(self, now: int, beat: bool) -> None:
        """Send what waits; with `beat`, or where rows are not closed yet, also the second's heartbeat."""
        if beat or self.live.pending or self.live.owes(now):
            self.live.flush(now)
        else:
            self.poll()

    def poll(self) -> None:
        """Take acknowledgements in; TapewatchError where something was not taken."""
        self.live.writer.poll()
        if self._letters is not None:
            self._letters.check()

    @property
    def waiting(self) -> int:
        """Frames that Kafka has not acknowledged."""
        return self.live.writer.unacknowledged

    async def close(self, now: int) -> None:
        """Send everything, close the last second when it is over, and wait for the acknowledgements."""
        if self._live is None:
            return
        self.flush(now, beat=False)
        if self._live.owes(now + NANOS):
            await asyncio.sleep(1.0 - now % NANOS / NANOS)
            self._live.flush((now // NANOS + 1) * NANOS)
        await asyncio.to_thread(self._live.writer.flush)
        if self._letters is not None:
            await asyncio.to_thread(self._letters.settle)


class ScreenOutlet:
    """Prints rows as JSON lines instead of sending them; refusals go to `errors`."""

    def __init__(self, out: TextIO = sys.stdout, errors: TextIO = sys.stderr) -> None:
        self.newest_ns = 0
        self._out, self._errors = out, errors
        self.rows = 0

    async def open(self, feed: str, instruments: Sequence[Instrument]) -> None:
        """Nothing is registered."""

    async def register(self, instruments: Sequence[Instrument]) -> None:
        """Nothing is registered."""

    def write(self, rows: Sequence[Rows]) -> None:
        """Print each row on a line."""
        for part in rows:
            content = readable.read(encode(part))
            for row in content.rows if content is not None else ():
                print(json.dumps({"type": part.type.label, **row}, ensure_ascii=False), file=self._out)
            self.rows += len(part)

    def refuse(self, refused: Iterable[RefusedMessage]) -> None:
        """Print why, and the beginning of what."""
        for each in refused:
            print(f"refused: {each.reason} ({each.where}): {each.raw[:200]!r}", file=self._errors)

    def flush(self, now: int, beat: bool) -> None:
        """Let the lines go out."""
        self._out.flush()

    def poll(self) -> None:
        """Nothing is on its way."""

    @property
    def waiting(self) -> int:
        """Nothing is on its way."""
        return 0

    async def close(self, now: int) -> None:
        """Let the lines go out."""
        self._out.flush()


class MemoryOutlet:
    """Keeps everything in lists, for tests of connectors without Kafka. waiting : frames said to be on their way"""

    def __init__(self, newest_ns: int = 0) -> None:
        self.newest_ns = newest_ns
        self.waiting = 0
        self.rows: list[Rows] = []
        self.refused: list[RefusedMessage] = []
        self.instruments: dict[str, Instrument] = {}
        self.seconds: set[int] = set()

    async def open(self, feed: str, instruments: Sequence[Instrument]) -> None:
        """Keep the reference data."""
        await self.register(instruments)

    async def register(self, instruments: Sequence[Instrument]) -> None:
        """Keep the reference data."""
        self.instruments |= {instrument.id: instrument for instrument in instruments}

    def write(self, rows: Sequence[Rows]) -> None:
        """Keep them."""
        self.rows += rows

    def refuse(self, refused: Iterable[RefusedMessage]) -> None:
        """Keep them."""
        self.refused += refused

    def flush(self, now: int, beat: bool) -> None:
        """Remember the seconds that had a heartbeat."""
        if beat:
            self.seconds.add(now // NANOS)

    def poll(self) -> None:
        """Nothing is on its way."""

    async def close(self, now: int) -> None:
        """Nothing to do."""
