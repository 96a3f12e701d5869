"""A recorded Binance day as a tape: replayed, it gives the rows that the live decoder gave, bit by bit."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.tape import Tape
from producers.base.universe import Listing
from producers.recordings import open_recording
from producers.venues.binance.decoder import BinanceDecoder
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set TAPEWATCH_TEST_DATA")
BTC = Listing("BTCUSDT", Instrument(id="BTCUSDT.BINANCE", name="BTCUSDT", currency="USDT", kind="spot"))
SNAPSHOT = DecoderRequest("snapshot", "BTCUSDT")


def columns(parts: list[Rows]) -> dict[RowType, dict[str, np.ndarray]]:
    found: dict[RowType, dict[str, list[np.ndarray]]] = {}
    for rows in parts:
        for name, column in rows.columns.items():
            found.setdefault(rows.type, {}).setdefault(name, []).append(column)
    return {kind: {name: np.concatenate(some) for name, some in one.items()} for kind, one in found.items()}


def test_tape_of_a_recorded_day_replays_as_the_rows_of_the_live_decoder(tmp_path: Path) -> None:
    collector = Collector()
    live = BinanceDecoder(collector, futures=False)
    live.watch([(BTC.symbol, BTC.instrument.id)])
    tape = Tape(tmp_path / "day.tape.gz", "binance")
    tape.follow([BTC], 1)
    newest = 0
    for line in gzip.decompress((DATA / "binance" / "spot_btcusdt_20240808.gz").read_bytes()).splitlines():
        stamp, _, data = line.partition(b" ")
        newest = max(newest, int(stamp))
        if data.startswith(b'{"stream"'):
            tape.message("binance-1", data, newest)
            live.message(data, newest)
        else:
            tape.answer(SNAPSHOT, data, newest)
            live.answer(SNAPSHOT, data, newest)
    tape.close()
    expected = columns(collector.take())

    recording = open_recording([tmp_path / "day.tape.gz"])
    assert [one.id for one in recording.instruments] == ["BTCUSDT.BINANCE"]
    played = columns([rows for chunk in recording.chunks() for rows in chunk.rows])
    assert played.keys() == expected.keys()
    assert len(expected[RowType.BOOK]["ts_recv"]) > 1_000
    for kind, one in expected.items():
        for name, column in one.items():
            np.testing.assert_array_equal(played[kind][name], column)
    assert dict(recording.report.reasons) == dict(collector.refused)
