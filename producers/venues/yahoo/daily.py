"""Following daily series: what is new since the last look, and what an action has changed in the years before."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TextIO

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.collector import Collector
from producers.base.factor_outlet import FactorOutlet, KafkaFactorOutlet, ScreenFactorOutlet
from producers.base.http import Http
from producers.venues.stopping import StoppedError, unless_stopped
from producers.venues.yahoo.chart import Chart, ChartError, parse_chart
from producers.venues.yahoo.factors import daily_factors, restated
from producers.venues.yahoo.symbols import chart as ask
from producers.venues.yahoo.symbols import instrument, merged
from tapewatch import logs
from tapewatch.clock import NANOS, Clock
from tapewatch.contract import messages
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry, register
from tapewatch.settings import Settings

SOURCE = "yahoo-daily"
OVERLAP_DAYS = 10
"""Days before the last stored one that are asked for too, so that a long holiday is no empty answer."""
_AHEAD_NS = 2 * 86_400 * NANOS


class SeriesPosition(msgspec.Struct):
    """How far one symbol was stored. to : newest day; acted : newest corporate action that was taken into account"""

    to: str = ""
    acted: str = ""


class FactorOutput(Protocol):
    """Where factors go."""

    def positions(self) -> dict[str, SeriesPosition]:
        """How far each symbol was stored."""
        ...

    def register(self, fresh: Instrument) -> None:
        """Register reference data, with the corporate actions that are known already."""
        ...

    def write(self, factors: Sequence[messages.Factor], positions: Mapping[str, SeriesPosition]) -> None:
        """Store factors and position together."""
        ...

    def refuse(self, collector: Collector) -> None:
        """Keep what gave no factor."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


class _OutletFactors:
    """Positions by symbol in what an outlet keeps."""

    def __init__(self, outlet: FactorOutlet) -> None:
        self._outlet = outlet
        self.refuse = outlet.refuse

    def positions(self) -> dict[str, SeriesPosition]:
        """The committed ones."""
        kept = self._outlet.position()
        return msgspec.json.decode(kept, type=dict[str, SeriesPosition]) if kept else {}

    def write(self, factors: Sequence[messages.Factor], positions: Mapping[str, SeriesPosition]) -> None:
        """Factors and positions together."""
        self._outlet.write(factors, msgspec.json.encode(positions))


class KafkaFactors(_OutletFactors):
    """Topic `factors`, with the position in the same transaction."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(KafkaFactorOutlet(settings, SOURCE, clock))
        self._settings, self._clock = settings, clock
        self._registry = Registry(settings)

    def register(self, fresh: Instrument) -> None:
        """Merge with what is registered; nothing is written where it adds nothing."""
        self._registry.refresh()
        register(self._settings, [merged(self._registry.instruments.get(fresh.id), fresh)], self._clock)

    def close(self) -> None:
        """Give the clients back."""
        self._outlet.close()
        self._registry.close()


class ScreenFactors(_OutletFactors):
    """Prints factors as JSON lines instead of storing them."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        super().__init__(ScreenFactorOutlet(out))

    def register(self, fresh: Instrument) -> None:
        """Nothing is registered."""

    def close(self) -> None:
        """Nothing to give back."""


class DailySeries:
    """Follows the daily series of some symbols.

    since : first day, YYYY-MM-DD; stored, failures : factors stored, and requests that failed by reason, in `collector`
    """

    def __init__(
        self,
        http: Http,
        output: FactorOutput,
        symbols: Sequence[str],
        since: str,
        clock: Clock,
        stop: asyncio.Event | None = None,
    ) -> None:
        self.symbols = tuple(symbols)
        self.collector = Collector()
        self.stored = 0
        self._http, self._output, self._since, self._clock = http, output, since, clock
        self._stop = stop or asyncio.Event()
        self._log = logs.get("yahoo")

    async def look(self) -> None:
        """Store what is new of every symbol, until stopped; one that fails does not keep the others from it."""
        for symbol in self.symbols:
            try:
                await self._one(symbol)
            except StoppedError:
                break
            except HttpError as error:
                self.collector.dropped[error.reason] += 1
                self._log.warning("chart failed", symbol=symbol, reason=error.reason, detail=error.detail)
            except ChartError as error:
                self._log.warning("no chart", symbol=symbol, reason=error.reason, detail=error.detail)
        await asyncio.to_thread(self._output.refuse, self.collector)

    async def _one(self, symbol: str) -> None:
        positions = await asyncio.to_thread(self._output.positions)
        kept = positions.get(symbol, SeriesPosition())
        start = kept.to and (datetime.fromisoformat(kept.to) - timedelta(days=OVERLAP_DAYS)).date().isoformat()
        chart, received = await self._chart(symbol, start or self._since)
        changed = restated(chart, kept.acted) if kept.to else ()
        name = instrument(chart).id
        factors = daily_factors(chart, name, received, kept.to)
        if changed:
            whole, received = await self._chart(symbol, self._since)
            factors = [
                factor
                for factor in daily_factors(whole, name, received)
                if factor.period > kept.to or factor.series in changed
            ]
            chart = whole
        newest = max((factor.period for factor in factors), default=kept.to)
        acted = max([action.date for action in chart.actions] + [kept.acted])
        if (newest, acted) == (kept.to, kept.acted):
            return
        await asyncio.to_thread(self._output.register, instrument(chart))
        positions[symbol] = SeriesPosition(max(newest, kept.to), acted)
        await asyncio.to_thread(self._output.write, factors, positions)
        self.stored += len(factors)

    async def _chart(self, symbol: str, since: str) -> tuple[Chart, int]:
        """The chart from a day on; ChartError, with the document kept, where there is none."""
        start = int(datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp()) * NANOS
        asking = ask(self._http, symbol, "1d", start, self._clock.now() + _AHEAD_NS)
        answer: Answer = await unless_stopped(self._stop, asking)
        received = answer.received or self._clock.now()
        self.collector.messages["chart"] += 1
        try:
            return parse_chart(answer.body), received
        except ChartError as error:
            self.collector.refuse(error.reason, f"chart {symbol}", answer.body, received)
            raise


def checked_day(text: str) -> str:
    """A day as YYYY-MM-DD; TapewatchError for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise TapewatchError(f"{text!r} is no day", "Write YYYY-MM-DD, as in 2010-01-01.") from None
