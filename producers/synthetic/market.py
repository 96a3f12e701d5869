"""The synthetic market as a source of rows: factors move fair prices, kernels trade around them, chunk by second.

What the kernels wrote, as the contract's rows: by receipt time, prices from the tick grid.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from producers.synthetic.book import ACTION, BOOK_ROW, DEPTH, DRIVE, NAME, PIN, QUOTE_ROW, TRADE_ROW, UNCROSS
from producers.synthetic.config import SHARES, AssetClass, Rota, SyntheticConfig, Universe, build_universe
from producers.synthetic.labels import Label, write_labels
from producers.synthetic.scenarios import Event, FlowBaseline, Schedule
from producers.synthetic.seconds import MAX_EVENTS, TRADE_SHARE, Tape, simulate_second
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Chunk, Rows, RowType, StatusKind

Records = npt.NDArray[Any]
Random = np.random.Generator
Status = tuple[int, int, StatusKind, str]
"""Time in ns, instrument, kind, detail."""


def _by_time(records: Records) -> Records:
    return records[np.argsort(records["ts"], kind="stable")]


def _common(records: Records, latency_us: float, rng: Random) -> dict[str, npt.NDArray[Any]]:
    ts = records["ts"].copy()
    latency = np.exp(0.4 * rng.standard_normal(len(ts))) * (latency_us * 1000.0)
    return {"instrument": records["instrument"].copy(), "ts_event": ts - latency.astype(np.int64), "ts_recv": ts}


def _units(universe: Universe, lots: npt.NDArray[Any], instrument: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Lots as quantities."""
    whole = (lots * universe.arrays["lot"][instrument]).astype(np.float64)
    return np.asarray(whole / universe.arrays["parts"][instrument])


def status_rows(universe: Universe, statuses: list[Status], latency_ns: int) -> Rows:
    """Status rows of one second."""
    ordered = sorted(statuses, key=lambda status: status[:2])
    ts = np.array([status[0] for status in ordered], dtype=np.int64)
    detail = np.empty(len(ordered), dtype=object)
    detail[:] = [status[3] for status in ordered]
    columns: dict[str, npt.NDArray[Any]] = {
        "instrument": np.array([status[1] for status in ordered], dtype=np.int32),
        "ts_event": ts - latency_ns,
        "ts_recv": ts,
        "kind": np.array([status[2] for status in ordered], dtype=np.int8),
        "detail": detail,
    }
    return Rows(RowType.STATUS, universe.ids, columns)


def trade_rows(
    universe: Universe, records: Records, latency_us: float, rng: np.random.Generator, first_id: int
) -> Rows:
    """Trade rows of one second; trade ids count up from `first_id`."""
    records = _by_time(records)
    ids = np.empty(len(records), dtype=object)
    ids[:] = [str(number) for number in range(first_id, first_id + len(records))]
    columns = _common(records, latency_us, rng) | {
        "price": universe.grid[records["price"]],
        "qty": _units(universe, records["lots"], records["instrument"]),
        "aggressor_side": records["side"].copy(),
        "condition": records["condition"].copy(),
        "trade_id": ids,
    }
    return Rows(RowType.TRADE, universe.ids, columns)


def quote_rows(universe: Universe, records: Records, latency_us: float, rng: Random) -> Rows:
    """Quote rows of one second."""
    records = _by_time(records)
    columns = _common(records, latency_us, rng) | {
        "bid_price": universe.grid[records["bid"]],
        "bid_qty": _units(universe, records["bid_lots"], records["instrument"]),
        "ask_price": universe.grid[records["ask"]],
        "ask_qty": _units(universe, records["ask_lots"], records["instrument"]),
        "last_price": universe.grid[records["last"]],
        "volume": _units(universe, records["volume"], records["instrument"]),
    }
    return Rows(RowType.QUOTE, universe.ids, columns)


def book_rows(universe: Universe, records: Records, latency_us: float, rng: Random) -> Rows:
    """Book rows of one second."""
    order = np.argsort(records["ts"], kind="stable")
    narrow = records[["instrument", "ts"]][order]
    ladder = records["ladder"][order]
    of = narrow["instrument"][:, None]
    columns = _common(narrow, latency_us, rng) | {
        "sequence": records["sequence"][order],
        "bid_price": universe.grid[ladder[:, 0, 0]],
        "bid_qty": _units(universe, ladder[:, 0, 1], of),
        "ask_price": universe.grid[ladder[:, 1, 0]],
        "ask_qty": _units(universe, ladder[:, 1, 1], of),
    }
    return Rows(RowType.BOOK, universe.ids, columns)


VERSION = "1"
"""Part of the fingerprint: changes whenever the same settings and seed give other rows."""
ROWS_PER_EVENT = 1.025
_RESIDUAL_S = 300.0
_ANCHOR_S = 86_400.0
_VOLATILITY_S = 1800.0
_FLOW_S = 20.0
_IMPACT = 0.3
_EDGE = 400

Action = tuple[Any, ...]
"""The fields of an `ACTION` record."""
Array = npt.NDArray[np.float64]


class SyntheticMarket:
    """A market simulator with labelled manipulation; a `tapewatch.contract.rows.RowSource`.

    config : see `SyntheticConfig`; seed : of everything drawn; listing : which kind of instruments
    start_ns : UTC nanoseconds of the first row, cut to the whole second; rota : further events, in turn
    The same five give the same rows, bit for bit, on one machine and build.
    """

    def __init__(
        self,
        config: SyntheticConfig,
        seed: int,
        start_ns: int,
        listing: AssetClass = SHARES,
        rota: Rota | None = None,
    ) -> None:
        self._config = config
        self._listing, self._rota = listing, rota
        self._seed = seed
        self._start_ns = start_ns - start_ns % NANOS
        self._universe = build_universe(config, np.random.Generator(np.random.PCG64([seed, 0])), listing)
        self._run: _Run | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of version, settings, seed and start, of what is listed where it is not shares, of a rota."""
        more = [each for each in (self._listing, self._rota) if each is not SHARES and each is not None]
        what = msgspec.json.encode([VERSION, self._config, self._seed, self._start_ns, *more])
        return hashlib.sha256(b"synthetic:" + what).hexdigest()

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data of all instruments."""
        return self._universe.instruments

    def chunks(self) -> Iterator[Chunk]:
        """One chunk a simulated second, from the start; without end unless `config.seconds` is set."""
        self._run = run = _Run(self._config, self._universe, self._seed, self._start_ns, self._rota)
        second = 0
        while self._config.seconds == 0 or second < self._config.seconds:
            yield run.step(second)
            second += 1

    def labels(self) -> list[Label]:
        """Injected events begun so far in the latest run of `chunks`, look-alikes included, by their beginning."""
        return [] if self._run is None else self._run.labels()

    def write_labels(self, manipulations: Path, look_alikes: Path | None = None) -> None:
        """Write the labels so far as `scenario,instrument,start,end`; look-alikes go to a file of their own."""
        write_labels(self.labels(), manipulations, look_alikes)


class _Run:
    """The state of one run: fair prices, books, and what is going on where."""

    def __init__(
        self, config: SyntheticConfig, universe: Universe, seed: int, start_ns: int, rota: Rota | None
    ) -> None:
        n = config.instruments
        self._config = config
        self._universe = universe
        self._start_ns = start_ns
        self._seconds = 0
        self._macro, self._micro, self._venue, events = (
            np.random.Generator(np.random.PCG64([seed, stream])) for stream in range(1, 5)
        )
        arrays = universe.arrays
        self._schedule = Schedule(config, universe.ids, start_ns, events, rota)
        self._fair: Array = arrays["price"].copy()
        self._bounds = (
            np.log(universe.grid[arrays["grid_low"] + _EDGE]),
            np.log(universe.grid[arrays["grid_high"] - _EDGE]),
        )
        self._residual = np.zeros(n)
        self._offset = np.zeros(n)
        self._log_volatility = config.volatility_of_volatility * self._macro.standard_normal(n)
        self._mean_rate: Array = config.rows_per_second / ROWS_PER_EVENT * arrays["activity"]
        self._books = np.zeros((n, 2, 3, DEPTH), dtype=np.int64)
        self._names = np.zeros(n, dtype=NAME)
        for name in ("order_lots", "spread_bp", "gap_bp", "lot", "grid_low", "grid_high"):
            self._names[name] = arrays[name]
        self._names["last"] = arrays["grid_low"]
        half = config.opening_auction_s / 2
        self._opens_at = np.ceil(half + half * self._venue.random(n)).astype(np.int64)
        self._trade_id = 1
        room = MAX_EVENTS + 256
        self._tape = Tape(
            np.zeros(16 * room, dtype=TRADE_ROW),
            np.zeros(4 * room, dtype=QUOTE_ROW),
            np.zeros(3 * room, dtype=BOOK_ROW),
            np.zeros(3, dtype=np.int64),
        )

    def labels(self) -> list[Label]:
        return self._schedule.labels(self._seconds)

    def step(self, second: int) -> Chunk:
        """Simulate one second."""
        self._seconds = second + 1
        season = self._season(second)
        drive = self._usual_drive(season)
        self._schedule.open_second(second, self._usual)
        statuses, actions = self._opening(second, drive)
        offset = self._offset.copy()
        for instrument, event in self._schedule.active.items():
            if event.pause:
                self._pause(second, instrument, event, drive, statuses, actions)
            else:
                _apply(second, instrument, event, drive, actions, offset)
        self._move_prices(drive, offset, season)
        trades, quotes, books = self._simulate(second, drive, actions)
        for instrument, event in self._schedule.close_second(second, self._has_orders):
            stays = event.keep * offset[instrument]
            self._fair[instrument] += stays
            self._residual[instrument] += offset[instrument] - stays
            self._offset[instrument] = 0.0
        return self._chunk(second, statuses, trades, quotes, books)

    def _season(self, second: int) -> float:
        """Activity at this time of the session relative to its mean, which is 1; a U over the session."""
        part = (second % self._config.session_s) / self._config.session_s
        return 1.0 + self._config.seasonality * (1.5 * (2.0 * part - 1.0) ** 2 - 0.5)

    def _usual(self, instrument: int) -> FlowBaseline:
        rate = float(self._mean_rate[instrument])
        return FlowBaseline(TRADE_SHARE * rate, 0.5 * rate, float(self._names["order_lots"][instrument]))

    def _usual_drive(self, season: float) -> Records:
        drive = np.zeros(self._config.instruments, dtype=DRIVE)
        drive["rate"] = self._mean_rate * season * (1.0 - self._config.excitation)
        drive["scale"] = drive["stress"] = 1.0
        drive["eaten"] = -1
        return drive

    def _opening(self, second: int, drive: Records) -> tuple[list[Status], list[Action]]:
        """The opening call: every instrument is silent until its own uncrossing."""
        statuses: list[Status] = []
        actions: list[Action] = []
        if second == 0:
            ids = range(self._config.instruments)
            statuses += [(self._start_ns + i, i, StatusKind.AUCTION, "opening auction") for i in ids]
        if second <= self._config.opening_auction_s:
            drive["mute"] = self._opens_at > second
            for instrument in np.flatnonzero(self._opens_at == second):
                self._uncross(second, int(instrument), drive, statuses, actions)
        return statuses, actions

    def _uncross(
        self,
        second: int,
        instrument: int,
        drive: Records,
        statuses: list[Status],
        actions: list[Action],
    ) -> None:
        at = float(self._venue.uniform(0.001, 0.4))
        usual = self._usual(instrument)
        lots = max(
            1, round(usual.order_lots * (5.0 + 60.0 * usual.trades) * np.exp(0.5 * self._venue.standard_normal()))
        )
        ns = self._start_ns + second * NANOS + int(at * NANOS)
        statuses.append((ns, instrument, StatusKind.OPEN, "continuous trading"))
        actions.append((instrument, at, UNCROSS, 0, 0, lots))
        drive[instrument]["begin"] = at
        drive[instrument]["rebuild"] = 1

    def _pause(
        self,
        second: int,
        instrument: int,
        event: Event,
        drive: Records,
        statuses: list[Status],
        actions: list[Action],
    ) -> None:
        """A halt or an intraday call: silence, then trading resumes on a new book."""
        ns = self._start_ns + second * NANOS
        call = event.scenario == "auction"
        if second == event.begin_s:
            kind, detail = (StatusKind.AUCTION, "call auction") if call else (StatusKind.HALT, "trading halt")
            statuses.append((ns, instrument, kind, detail))
        if event.begin_s <= second < event.end_s:
            drive[instrument]["mute"] = 1
        elif second == event.end_s and call:
            self._uncross(second, instrument, drive, statuses, actions)
        elif second == event.end_s:
            statuses.append((ns, instrument, StatusKind.RESUME, "continuous trading"))
            drive[instrument]["rebuild"] = 1

    def _move_prices(self, drive: Records, offset: Array, season: float) -> None:
        """Advance fair prices by one second: factors, decay of what events left, pull to the anchor, events."""
        config, arrays, rng = self._config, self._universe.arrays, self._macro
        n = config.instruments
        decay = 1.0 / _VOLATILITY_S
        spread = config.volatility_of_volatility
        self._log_volatility += -decay * self._log_volatility + spread * np.sqrt(2.0 * decay) * rng.standard_normal(n)
        scale = np.exp(self._log_volatility - spread * spread) * np.sqrt(season / config.session_s)
        market, sectors = rng.standard_normal(), rng.standard_normal(config.sectors)
        noise = arrays["market_beta"] * market + arrays["sector_beta"] * sectors[arrays["sector"]]
        noise = noise + arrays["own_beta"] * rng.standard_normal(n)
        self._names["flow"] += -self._names["flow"] / _FLOW_S + 0.5 * np.sqrt(2.0 / _FLOW_S) * rng.standard_normal(n)
        origin = self._fair + self._residual + self._offset
        self._fair += scale * noise + (arrays["price"] - self._fair) / _ANCHOR_S
        self._residual *= 1.0 - 1.0 / _RESIDUAL_S
        self._offset = offset
        drive["origin"] = np.clip(origin, *self._bounds)
        drive["target"] = np.clip(self._fair + self._residual + offset, *self._bounds)
        volatility = config.daily_volatility / np.sqrt(config.session_s)
        drive["impact"] = _IMPACT * volatility / np.sqrt(1.0 + TRADE_SHARE * self._mean_rate) / drive["scale"]

    def _simulate(self, second: int, drive: Records, actions: list[Action]) -> list[Records]:
        """Run the kernels, emptying the tape whenever it might overflow; returns trades, quotes and books."""
        script = np.array(sorted(actions, key=lambda action: action[:2]), dtype=ACTION)
        bounds = np.searchsorted(script["instrument"], np.arange(len(drive) + 1))
        parts: list[list[Records]] = []
        done = 0
        while done < len(drive):
            self._tape.counts[:] = 0
            done = simulate_second(
                done,
                self._start_ns + second * NANOS,
                self._universe.grid,
                self._books,
                self._names,
                drive,
                script,
                bounds,
                self._config.excitation,
                self._config.excitation_decay,
                self._micro,
                self._tape,
            )
            parts.append([rows[:count].copy() for rows, count in zip(self._tape[:3], self._tape.counts, strict=True)])
        self._fair += self._names["impact"]
        self._names["impact"] = 0.0
        return [np.concatenate(kind) if len(kind) > 1 else kind[0] for kind in zip(*parts, strict=True)]

    def _has_orders(self, instrument: int) -> bool:
        return bool(self._books[instrument, :, PIN].any())

    def _chunk(
        self,
        second: int,
        statuses: list[Status],
        trades: Records,
        quotes: Records,
        books: Records,
    ) -> Chunk:
        latency = self._config.latency_us
        rows = [
            status_rows(self._universe, statuses, int(latency * 1000)),
            trade_rows(self._universe, trades, latency, self._venue, self._trade_id),
            quote_rows(self._universe, quotes, latency, self._venue),
            book_rows(self._universe, books, latency, self._venue),
        ]
        self._trade_id += len(trades)
        return Chunk(self._start_ns + (second + 1) * NANOS, [one for one in rows if len(one)])


def _apply(second: int, instrument: int, event: Event, drive: Records, actions: list[Action], offset: Array) -> None:
    """What `event` does to its instrument in this second."""
    record = drive[instrument]
    record["begin"] = max(0.0, event.begin_s - second)
    if event.offset is not None:
        offset[instrument] = event.offset(min(second + 1.0, event.end_s) - event.begin_s)
    if event.drive is not None:
        event.drive(max(0.0, second - event.begin_s), record)
    now = [step for step in event.steps if second <= step[0] < second + 1.0]
    actions.extend((instrument, min(step[0] - second, 0.99), *step[1:]) for step in now)
