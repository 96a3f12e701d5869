"""Raw trades around announced pumps, and the pump alerts that the engine and the bare detector open on them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from detectors.pumps import batch
from detectors.pumps.model import PumpModel
from detectors.scenarios.library import PUMP_AND_DUMP, SCENARIOS
from streams.driver import Driver
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.contract.rows import Column, Condition, Rows, RowType, heartbeat_rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

I8 = npt.NDArray[np.int64]

COOLDOWN_S = 1800
"""Of one instrument between two alerts of the bare detector; the engine's scenario has its own, the same."""

_ANNOUNCED = re.compile(r"_(\d{4}-\d{2}-\d{2})T(\d{2})[.:h](\d{2})")
_COLUMNS = {"timestamp": pa.int64(), "side": pa.string(), "price": pa.float64(), "amount": pa.float64()}
_BEAT_S = 4
"""Idle stretches get a heartbeat this often: the engine takes more than five seconds for silence."""
_FRAME_ROWS = 1024
_DRAIN_FRAMES = 500


@dataclass(frozen=True, slots=True)
class Stream:
    """One file's trades.

    name : the file's; announced_ns : from its name, UTC; rows : TRADE rows in time order
    """

    name: str
    instrument: str
    announced_ns: int
    rows: Rows

    @property
    def days(self) -> float:
        """Symbol-days from the first trade to the last."""
        times = self.rows.ts_recv
        return float(times[-1] - times[0]) / NANOS / 86_400.0


@dataclass(frozen=True, slots=True)
class PumpAlert:
    """An alert that opened. decided_ns : UTC; score : the alert's, or the detector's probability"""

    decided_ns: int
    score: float


def read_streams(folder: Path) -> list[Stream]:
    """Every `SYMBOL_YYYY-MM-DDTHH.MM.csv.gz` of a folder, by name; TapewatchError where there is none."""
    paths = sorted(path for path in folder.glob("*.csv*") if _ANNOUNCED.search(path.name))
    if not paths:
        raise TapewatchError(
            f"{folder} holds no pump streams", "Name a folder of SYMBOL_YYYY-MM-DDTHH.MM.csv.gz files."
        )
    return [_read(path) for path in paths]


def _read(path: Path) -> Stream:
    found = _ANNOUNCED.search(path.name)
    try:
        announced = datetime.fromisoformat(f"{found[1]}T{found[2]}:{found[3]}").replace(tzinfo=UTC) if found else None
        options = pa.csv.ConvertOptions(column_types=_COLUMNS, include_columns=["symbol", *_COLUMNS])
        table = pa.csv.read_csv(path, convert_options=options)
        symbol = table["symbol"][0].as_py()
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
        raise TapewatchError(f"{path} cannot be read: {error}", "Give raw trades with their header line.") from error
    instrument = f"{symbol.replace('/', '')}.BINANCE"
    if announced is None or not is_instrument_id(instrument):
        raise TapewatchError(f"{path} is of no known instrument", "Its symbol column must hold symbols like AST/BTC.")
    times = np.maximum.accumulate(table["timestamp"].to_numpy()) * 1_000_000
    buys = pc.equal(table["side"], "buy").to_numpy()
    columns: dict[str, Column] = {
        "instrument": np.zeros(len(times), dtype=np.int32),
        "ts_event": times,
        "ts_recv": times,
        "price": table["price"].to_numpy(),
        "qty": table["amount"].to_numpy(),
        "aggressor_side": np.where(buys, 1, -1).astype(np.int8),
        "condition": np.full(len(times), int(Condition.REGULAR), dtype=np.int8),
    }
    return Stream(
        path.name, instrument, int(announced.timestamp()) * NANOS, Rows(RowType.TRADE, (instrument,), columns)
    )


def engine_alerts(stream: Stream) -> tuple[list[PumpAlert], Driver]:
    """The scenario's alerts of the engine as shipped, less K-means' peers, which it does not look at; and the driver,
    which knows models and configuration.
    """
    shelf = ModelStore()
    force = ActiveModels(shelf, ActiveModels.default(shelf).models, DetectorConfig(peers=False))
    driver = Driver(FixedRegistry([Instrument(stream.instrument)]), force=force)
    opened: list[PumpAlert] = []
    for number, rows in enumerate(_frames(stream.rows), start=1):
        driver.send(rows)
        if number % _DRAIN_FRAMES == 0:
            opened += _pumps(driver)
    opened += _pumps(driver)
    return opened, driver


def _pumps(driver: Driver) -> Iterator[PumpAlert]:
    for record in driver.task.take():
        if record.topic != topics.ALERTS:
            continue
        alert = messages.decode(Alert, record.value)
        if alert.scenario == SCENARIOS[PUMP_AND_DUMP] and alert.state == "open":
            yield PumpAlert(from_rfc3339(alert.decided), alert.score)


def _frames(rows: Rows) -> Iterator[Rows]:
    """The rows cut where nothing traded for longer, and the heartbeats in between; one more closes the last second."""
    seconds = rows.ts_recv // NANOS
    cuts = np.flatnonzero(np.diff(seconds) > _BEAT_S) + 1
    starts, stops = np.append(0, cuts), np.append(cuts, len(rows))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if start:
            yield heartbeat_rows(np.arange(seconds[start - 1] + 1, seconds[start], _BEAT_S) * NANOS)
        for first in range(start, stop, _FRAME_ROWS):
            yield rows.take(slice(first, min(first + _FRAME_ROWS, stop)))
    yield heartbeat_rows((seconds[-1:] + 1) * NANOS)


def detector_alerts(stream: Stream, model: PumpModel) -> list[PumpAlert]:
    """Alerts of the pump model alone: the second in which its probability reaches the alert probability is decided when
    it ends.
    """
    columns = stream.rows.columns
    buys = columns["aggressor_side"] > 0
    price = columns["price"][buys]
    seconds, found = batch.chances(
        columns["ts_event"][buys] // 1_000_000, price, price * columns["qty"][buys], model.trees()
    )
    rows = batch.alerts(seconds, found, model.alert, COOLDOWN_S)
    return [PumpAlert((int(seconds[row]) + 1) * NANOS, float(found[row])) for row in rows]
