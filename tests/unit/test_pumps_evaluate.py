"""`evaluate pumps` and `evaluate onset`: what counts as found and as false, and the intervals."""

import argparse
import gzip
import json

import numpy as np
import pytest

from evaluation import intervals, onset, pumps
from evaluation.pump_streams import PumpAlert, Stream, read_streams
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

ANNOUNCED = 1_536_334_200 * NANOS


def stream(days: float = 2.0) -> Stream:
    times = ANNOUNCED + np.array([-days / 2, days / 2]) * 86_400 * NANOS
    rows = Rows(RowType.TRADE, ("AST.BINANCE",), {"ts_recv": times.astype(np.int64)})
    return Stream("AST_2018-09-07T15.30.csv.gz", "AST.BINANCE", ANNOUNCED, rows)


def at(*delays: float) -> list[PumpAlert]:
    return [PumpAlert(ANNOUNCED + int(delay * NANOS), 1.0) for delay in delays]


@pytest.mark.parametrize(
    ("delays", "found", "false"),
    [
        ((), None, 0),
        ((-150,), -150, 0),
        ((-151,), None, 1),
        ((120,), 120, 0),
        ((121,), None, 0),
        ((1800,), None, 0),
        ((1801,), None, 1),
        ((-9_000, 4, 60, 7_000), 4, 2),
    ],
)
def test_alert_counts_by_its_distance_to_the_announcement(delays, found, false) -> None:
    one = pumps.judged(stream(), at(*delays))
    assert (one["delay_s"], one["false_alerts"]) == (found, false)


def test_missed_stream_lowers_recall_and_leaves_the_delay_alone() -> None:
    found = pumps.figures([stream(), stream()], [at(3), []])
    assert found["recall"]["mean"] == 0.5
    assert found["median_delay_s"] == 3
    assert found["false_alerts_per_symbol_day"]["mean"] == 0.0
    assert found["false_alerts_per_symbol_day"]["high"] == pytest.approx(3.689 / 4.0, abs=1e-3)


def test_intervals_are_the_exact_ones() -> None:
    rate = intervals.poisson_rate(5, 10.0)
    assert (rate["low"], rate["high"]) == pytest.approx((0.1623, 1.1668), abs=1e-4)
    assert intervals.share(7, 7)["low"] == pytest.approx(0.5904, abs=1e-4)


def test_stream_without_trades_or_with_a_foreign_header_is_named(tmp_path) -> None:
    with pytest.raises(TapewatchError, match="no pump streams"):
        read_streams(tmp_path)
    (tmp_path / "AST_2018-09-07T15.30.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(TapewatchError, match="AST_2018"):
        read_streams(tmp_path)


def test_quiet_stream_goes_through_the_engine_and_gives_one_document(tmp_path, capsys) -> None:
    lines = ["symbol,timestamp,datetime,side,price,amount,btc_volume"]
    times = range(ANNOUNCED // 1_000_000 - 1_800_000, ANNOUNCED // 1_000_000 + 1_800_000, 9_000)
    lines += [f"AST/BTC,{time},x,buy,1.5e-05,4.0,6e-05" for time in times]
    (tmp_path / "AST_2018-09-07T15.30.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    args = argparse.Namespace(streams=tmp_path, json=True, out=None, report=tmp_path / "report")
    assert pumps.run(args, Settings()) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["recall"]["mean"] == 0.0
    assert document["streams"][0]["false_alerts"] == document["detector"]["streams"][0]["false_alerts"] == 0
    assert "missed" in (tmp_path / "report" / "pumps.html").read_text()


def rows(seed: int = 0) -> onset.Rows:
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(1.0, 0.3, (60, 8)), rng.normal(0.0, 0.3, (90, 8))])
    coin = np.array([f"P{n % 10}" for n in range(60)] + [f"N{n % 3}" for n in range(90)], dtype=object)
    return onset.Rows(x, np.repeat([1, 0], [60, 90]), coin, np.concatenate([np.arange(60), -1 - np.arange(90) // 3]))


def test_no_coin_stands_on_both_sides_of_a_fold() -> None:
    seen: list[tuple[set[float], set[float]]] = []
    data = rows()
    coded = onset.Rows(
        np.unique(data.coin.astype(str), return_inverse=True)[1][:, None].astype(np.float64), *_rest(data)
    )

    class Spy:
        def fit(self, x, y):
            self.fitted = set(x[:, 0])
            return self

        def predict_proba(self, x):
            seen.append((self.fitted, set(x[:, 0])))
            return np.full((len(x), 2), 0.5)

    onset.cross_validated(coded, lambda seed: Spy(), 1)
    assert seen
    assert all(not fitted & tested for fitted, tested in seen)


def _rest(data: onset.Rows):
    return data.y, data.coin, data.event


@pytest.mark.slow
def test_rank_within_the_file_takes_away_what_only_shifts_a_file() -> None:
    data = rows()
    # About six seconds: four inputs, five folds and a bootstrap each.
    found = onset.without_pumps(data, 1)
    assert found["one_row_a_spike"]["ap"]["mean"] > 0.9
    assert found["ranked"]["ap"]["mean"] < 0.75
