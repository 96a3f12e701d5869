"""`tapewatch bench feeds`: processor time of a Binance message from its decoding to Kafka's acknowledgement."""

import asyncio
import gc
import time
from argparse import Namespace
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.engine_run import own_stack
from benchmarks.figures import Figure, Machine, machine, versions
from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.metrics import FeedMetrics
from producers.base.outlet import KafkaOutlet, MemoryOutlet
from producers.base.runner import LiveRun
from producers.base.universe import Choice, Listing
from producers.commands.live import pointed_at
from producers.simulators.binance import BinanceVenue
from producers.simulators.server import SimulatorServer
from producers.venues.binance import source
from producers.venues.binance.decoder import BinanceDecoder
from tapewatch.clock import WALL
from tapewatch.contract.rows import Rows
from tapewatch.settings import Settings

SYMBOLS = 1_000
RATE = 20_000.0
CAPTURE_S = 40.0
WARM_SHARE = 0.3
"""Of the captured messages that are taken before the clock starts: books are in step by then."""
FLUSH_MESSAGES = 160
"""Messages between two flushes: what comes in 8 ms at 20,000 a second."""


class FeedsResult(msgspec.Struct, frozen=True):
    """The JSON document. Figures in microseconds of CPU a message, of the whole process, librdkafka's threads included.

    decode_us : decoding alone; columns_us : and rows as columns; total_us : and frames, until all are acknowledged
    messages_per_core_s : messages a second that one core sustains by total_us
    """

    symbols: int
    messages: int
    rows: dict[str, int]
    flush_messages: int
    decode_us: Figure
    columns_us: Figure
    total_us: Figure
    messages_per_core_s: Figure
    versions: dict[str, str]
    machine: Machine

    def text(self) -> str:
        """For people."""
        return (
            f"{self.messages:,} Binance messages of {self.symbols:,} symbols: {self.total_us.median} us of CPU each "
            f"from decoding to Kafka's acknowledgement ({self.total_us.min} to {self.total_us.max}); decoding alone "
            f"{self.decode_us.median}, to columns {self.columns_us.median}; "
            f"{self.messages_per_core_s.median:,.0f}/s a core"
        )


class MemoryTape:
    """What came in, in order, to be played again."""

    behind = False

    def __init__(self) -> None:
        self.events: list[tuple[DecoderRequest | None, bytes, int]] = []
        self.listings: list[Listing] = []

    def message(self, link: str, data: bytes | str, received: int) -> None:
        """A pushed message."""
        self.events.append((None, data.encode() if isinstance(data, str) else data, received))

    def answer(self, want: DecoderRequest, body: bytes, received: int) -> None:
        """The body of an answer."""
        self.events.append((want, body, received))

    def lost(self, link: str, symbols: Sequence[str], reason: str, received: int) -> None:
        """Nothing breaks here."""

    def opened(self, link: str, symbols: object, received: int) -> None:
        """Books are asked for: the answers are among the events."""

    def note(self, name: str, received: int, want: DecoderRequest | None = None, reason: str = "") -> None:
        """Nothing that Binance's decoder has to know."""

    def follow(self, listings: Sequence[Listing], received: int) -> None:
        """Remember what is followed."""
        self.listings = list(listings)


def bench(settings: Settings, runs: int, say: Callable[[str], None]) -> FeedsResult:
    """Capture a simulated session over the wire, then play it to decoder and Kafka as often as asked."""
    facts = machine()
    say(f"capturing {CAPTURE_S:.0f} s of {SYMBOLS:,} symbols at {RATE:,.0f} messages/s")
    tape = asyncio.run(_captured(settings))
    decode, columns, total = [], [], []
    rows: dict[str, int] = {}
    with own_stack(settings) as own:
        for number in range(runs):
            decode.append(_played(tape, lambda rows: None, take=False))
            columns.append(_played(tape, lambda rows: None, take=True))
            cost, rows = asyncio.run(_sent(tape, own, f"bench-feeds-{number}"))
            total.append(cost)
            say(f"run {number + 1}: decode {decode[-1]:.2f}, to columns {columns[-1]:.2f}, to Kafka {total[-1]:.2f} us")
    return FeedsResult(
        symbols=SYMBOLS,
        messages=len(tape.events) - int(len(tape.events) * WARM_SHARE),
        rows=rows,
        flush_messages=FLUSH_MESSAGES,
        decode_us=Figure.of(decode, 2),
        columns_us=Figure.of(columns, 2),
        total_us=Figure.of(total, 2),
        messages_per_core_s=Figure.of((1e6 / each for each in total), 0),
        versions=versions(("tapewatch", "aiohttp", "confluent-kafka", "msgspec", "numpy", "pyarrow")),
        machine=facts,
    )


async def _captured(settings: Settings) -> MemoryTape:
    """A session of the live connector against the simulator."""
    tape, stop = MemoryTape(), asyncio.Event()
    names = [f"C{number:04}USDT" for number in range(SYMBOLS)]
    venue = BinanceVenue(names, rate=RATE, weight=1_000_000)
    async with SimulatorServer(venue) as server:
        pointed = pointed_at(settings, "binance", server.addresses())
        run = LiveRun(pointed, source.spot(pointed, Namespace(channels="")), _Nowhere(), Choice(), tape=tape)
        asyncio.get_running_loop().call_later(CAPTURE_S, stop.set)
        await run.run(stop)
    return tape


class _Nowhere(MemoryOutlet):
    """Keeps nothing."""

    def write(self, rows: Sequence[Rows]) -> None:
        """Forget them."""


def _decoder(tape: MemoryTape) -> BinanceDecoder:
    decoder = BinanceDecoder(Collector(), futures=False)
    decoder.watch((one.symbol, one.instrument.id) for one in tape.listings)
    return decoder


def _play(
    decoder: BinanceDecoder, events: Sequence[tuple[DecoderRequest | None, bytes, int]], flush: Callable[[int], None]
) -> None:
    for place, (want, data, received) in enumerate(events):
        if want is None:
            decoder.message(data, received)
        else:
            decoder.answer(want, data, received)
        if place % FLUSH_MESSAGES == FLUSH_MESSAGES - 1:
            flush(received)


def _played(tape: MemoryTape, keep: Callable[[list[Rows]], None], *, take: bool) -> float:
    """Microseconds a message of decoding, with or without the rows as columns."""
    decoder = _decoder(tape)
    collector = decoder.collector
    warm = int(len(tape.events) * WARM_SHARE)

    def flush(_received: int) -> None:
        if take:
            keep(collector.take())
        else:
            for records in (collector.trades, collector.quotes, collector.books, collector.statuses):
                records.clear()

    _play(decoder, tape.events[:warm], flush)
    gc.collect()
    begun = time.process_time()
    _play(decoder, tape.events[warm:], flush)
    return (time.process_time() - begun) / (len(tape.events) - warm) * 1e6


async def _sent(tape: MemoryTape, settings: Settings, feed: str) -> tuple[float, dict[str, int]]:
    """Microseconds a message until Kafka has acknowledged all rows, and the rows by type."""
    decoder, metrics = _decoder(tape), FeedMetrics(feed)
    outlet = KafkaOutlet(settings, feed, metrics, WALL)
    await outlet.open(feed, [one.instrument for one in tape.listings])

    def flush(received: int) -> None:
        rows = decoder.collector.take()
        for part in rows:
            metrics.rows(part)
        outlet.write(rows)
        outlet.flush(received, beat=True)

    warm = int(len(tape.events) * WARM_SHARE)
    _play(decoder, tape.events[:warm], flush)
    await outlet.close(tape.events[warm][2])
    gc.collect()
    before = metrics.rows_by_type()
    begun = time.process_time()
    _play(decoder, tape.events[warm:], flush)
    flush(tape.events[-1][2])
    await outlet.close(tape.events[-1][2])
    cost = (time.process_time() - begun) / (len(tape.events) - warm) * 1e6
    after = metrics.rows_by_type()
    return cost, {kind: count - before.get(kind, 0) for kind, count in after.items()}
