"""Bars of the past as a feed of its own, whose clock is the bars' time; fetched in order of time, exactly once.

The live feed takes only what is news. History goes to another feed, which begins anywhere and goes on where the last
run ended: rows and position are committed together.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import msgspec

from producers.base.answers import HttpError
from producers.base.collector import Collector
from producers.base.state import Ledger, Transaction
from producers.venues.bars import Bar
from producers.venues.stopping import StoppedError, stopped_within, unless_stopped
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

ROWS_A_TRANSACTION = 10_000

Fetch = Callable[[str, int], Coroutine[Any, Any, Sequence[Bar]]]
"""Symbol and begin (UTC ns) -> its whole bars from there on, oldest first."""


class HistoryPosition(msgspec.Struct):
    """How far the feed has come. to : end of its newest bar, UTC nanoseconds"""

    to: int = 0


class HistoryOutput(Protocol):
    """Where history goes."""

    def position(self) -> HistoryPosition:
        """How far it has come."""
        ...

    def write(self, rows: Sequence[Rows], position: HistoryPosition) -> None:
        """Store rows and position together."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


class KafkaHistory:
    """A market topic, with the position in the same transaction."""

    def __init__(self, settings: Settings, source: str, feed: str, fresh: Sequence[Instrument], clock: Clock) -> None:
        registry = Registry(settings)
        self._ledger = Ledger(settings, source, feed=feed, clock=clock, recorded=True)
        self._ledger.position()
        registry.refresh()
        registry.close()
        self._ledger.register(registry.instruments.get(each.id) or each for each in fresh)
        self.topic = topics.market(feed)

    def position(self) -> HistoryPosition:
        """The committed one."""
        kept = self._ledger.position()
        return msgspec.json.decode(kept, type=HistoryPosition) if kept else HistoryPosition()

    def write(self, rows: Sequence[Rows], position: HistoryPosition) -> None:
        """One transaction."""

        def work(transaction: Transaction) -> None:
            for part in rows:
                transaction.rows(part)
            transaction.position(msgspec.json.encode(position))

        self._ledger.write(work)

    def close(self) -> None:
        """Give the clients back."""
        self._ledger.close()


class ScreenHistory:
    """Prints bars as JSON lines instead of storing them."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._position = HistoryPosition()

    def position(self) -> HistoryPosition:
        """Of this run."""
        return self._position

    def write(self, rows: Sequence[Rows], position: HistoryPosition) -> None:
        """Print them."""
        self._position = position
        for part in rows:
            names = [name for name in part.columns if name not in ("instrument", "ts_event", "ts_recv", "ts_open")]
            for row in range(len(part)):
                about = {
                    "instrument": part.instruments[int(part.columns["instrument"][row])],
                    "ts_open": to_rfc3339(int(part.columns["ts_open"][row])),
                }
                values = {name: part.columns[name][row].item() for name in names}
                print(json.dumps({**about, **values}), file=self._out)

    def close(self) -> None:
        """Nothing to give back."""


async def send_history(output: HistoryOutput, ids: Mapping[str, str], fetch: Fetch, since: int, interval_s: int) -> int:
    """Fetch every symbol's bars from `since`, or from where the feed has come to, and store them in order of time.

    ids : instrument ids by the venue's symbol; one that joins later begins where the feed is. Returns how many rows.
    """
    length = interval_s * NANOS
    position = await asyncio.to_thread(output.position)
    found = [
        (bar.opened + length, instrument, bar)
        for symbol, instrument in ids.items()
        for bar in await fetch(symbol, max(since, position.to))
        if bar.opened >= since and bar.opened + length > position.to
    ]
    found.sort(key=lambda each: each[:2])
    start = 0
    while start < len(found):
        stop = min(start + ROWS_A_TRANSACTION, len(found))
        # All bars of one end go together: the position passes them.
        while stop < len(found) and found[stop][0] == found[stop - 1][0]:
            stop += 1
        rows = _rows(found[start:stop], interval_s)
        await asyncio.to_thread(output.write, rows, HistoryPosition(found[stop - 1][0]))
        start = stop
    return len(found)


def _rows(bars: Sequence[tuple[int, str, Bar]], interval_s: int) -> list[Rows]:
    """Bars, received when they ended."""
    collector = Collector()
    for end, instrument, bar in bars:
        values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        collector.bars.append((collector.code(instrument), end, end, bar.opened, interval_s, *values, 0))
    return collector.take()


def configure_history(parser: argparse.ArgumentParser, feed: str) -> None:
    """Add what every history understands."""
    parser.add_argument("--symbols", required=True, metavar="A,B,...", help="whose bars")
    parser.add_argument("--since", type=day_ns, required=True, metavar="YYYY-MM-DD", help="first day, UTC")
    parser.add_argument("--feed", default=feed, help=f"feed to fill (default: {feed})")
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="S", help="look again every so often (default: once)"
    )


def symbols_of(args: argparse.Namespace) -> list[str]:
    """The symbols that were asked for."""
    return [word.strip() for word in args.symbols.split(",") if word.strip()]


def day_ns(text: str) -> int:
    """The begin of a day, UTC nanoseconds."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * NANOS
    except ValueError:
        raise argparse.ArgumentTypeError("a day as YYYY-MM-DD") from None


async def follow_history(
    settings: Settings,
    args: argparse.Namespace,
    source: str,
    fresh: Sequence[Instrument],
    ids: Mapping[str, str],
    fetch: Fetch,
    interval_s: int,
    stop: asyncio.Event,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fetch what is new once, or every `args.every` seconds until stopped; returns a summary.

    A venue that does not answer ends a single run with its error; a run that goes on says it and looks again.
    """

    def opened() -> HistoryOutput:
        return ScreenHistory() if args.dry_run else KafkaHistory(settings, source, args.feed, fresh, WALL)

    async def asked(symbol: str, since: int) -> Sequence[Bar]:
        return await unless_stopped(stop, fetch(symbol, since))

    output = await asyncio.to_thread(opened)
    rows = failures = 0
    try:
        while True:
            try:
                rows += await send_history(output, ids, asked, args.since, interval_s)
            except StoppedError:
                return {"feed": args.feed, "instruments": len(ids), "rows": rows, "failures": failures}
            except HttpError as error:
                failures += 1
                if not args.every:
                    raise TapewatchError(f"{source}: {error.message}", error.hint) from error
                say(f"{source}: {error.message}")
            if not args.every or await stopped_within(stop, args.every):
                return {"feed": args.feed, "instruments": len(ids), "rows": rows, "failures": failures}
            say(f"{source}: {rows:,} rows")
    finally:
        await asyncio.to_thread(output.close)
