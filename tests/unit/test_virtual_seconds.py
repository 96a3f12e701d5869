"""Closed seconds from a market's rows: each second's quotes, costs, and nothing that came after its close."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from detectors.ddqn.seconds import Seconds
from evaluation.virtual_seconds import WITHOUT, by_second, quotes_at, seconds_of
from producers.synthetic.config import SyntheticConfig
from producers.synthetic.market import SyntheticMarket
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Chunk, RowType

START_S = 1_700_000_000
NAMES = ("ret_1s", "ret_10s", "spread_bps", "volume_1s")
CHANGED = 70


class Market:
    """A small synthetic market; from second `changed` on every price is 10 % higher."""

    fingerprint = "none"

    def __init__(self, changed: int | None = None) -> None:
        config = SyntheticConfig(instruments=3, sectors=2, rows_per_second=45.0, seconds=90, opening_auction_s=10)
        self._market, self._changed = SyntheticMarket(config, 3, START_S * NANOS), changed
        self.instruments: Sequence[Instrument] = self._market.instruments

    def chunks(self) -> Iterator[Chunk]:
        for chunk in self._market.chunks():
            if self._changed is not None and chunk.end_ns > (START_S + self._changed + 1) * NANOS:
                for rows in chunk.rows:
                    for name in rows.columns:
                        if "price" in name:
                            rows.columns[name] = rows.columns[name] * 1.1
            yield chunk


@pytest.fixture(scope="module")
def seconds() -> Seconds:
    return seconds_of(Market(), NAMES, hours=True, warm_s=20)


def test_every_instrument_is_a_session_with_its_quotes_and_costs(seconds: Seconds) -> None:
    assert len(seconds.instruments) == 3
    assert seconds.has_hours.tolist() == [False, True, False]
    assert seconds.features.shape == (len(seconds.second), len(NAMES))
    quoted = ~np.isnan(seconds.quotes).any(axis=1)
    assert quoted.mean() > 0.5
    assert (seconds.quotes[quoted, 0] < seconds.quotes[quoted, 1]).all()
    assert np.unique(seconds.costs).tolist() == [0.001]
    for first in seconds.first.tolist():
        assert not seconds.tradable[first : first + 20].any()


def test_the_spread_of_the_features_is_that_of_the_standing_quote(seconds: Seconds) -> None:
    bid, ask = seconds.quotes[:, 2], seconds.quotes[:, 3]
    spread = seconds.features[:, NAMES.index("spread_bps")]
    known = np.isfinite(spread)
    assert known.any()
    assert spread[known] == pytest.approx((ask - bid)[known] / (0.5 * (ask + bid))[known] * 1e4, rel=1e-5)


def test_no_row_knows_what_comes_after_its_close(seconds: Seconds) -> None:
    other = seconds_of(Market(CHANGED), NAMES, hours=True, warm_s=20)
    before = seconds.second <= START_S + CHANGED
    np.testing.assert_array_equal(seconds.second, other.second)
    for name in ("features", "quotes", "tradable", "trend"):
        np.testing.assert_array_equal(getattr(seconds, name)[before], getattr(other, name)[before])
    assert not np.array_equal(seconds.quotes[~before], other.quotes[~before], equal_nan=True)


def test_the_first_two_sided_quote_and_the_one_that_stands_at_the_close() -> None:
    ts = np.array([0.2, 0.4, 1.3, 1.6, 3.1]) * NANOS
    bid, ask = np.array([np.nan, 9.0, 10.0, 10.5, 11.0]), np.array([12.0, 11.0, 12.0, np.nan, 13.0])
    found = quotes_at(np.arange(4), (ts.astype(np.int64), bid, ask))
    nan = np.nan
    wanted = [[9.0, 11.0, 9.0, 11.0], [10.0, 12.0, 10.5, nan], [nan, nan, 10.5, nan], [11.0, 13.0, 11.0, 13.0]]
    np.testing.assert_array_equal(found, wanted)
    assert np.isnan(quotes_at(np.arange(2), WITHOUT)).all()


def test_a_long_chunk_is_cut_at_whole_seconds() -> None:
    config = SyntheticConfig(instruments=2, sectors=1, rows_per_second=20.0, seconds=8, opening_auction_s=2)
    chunks = list(SyntheticMarket(config, 1, START_S * NANOS).chunks())
    rows = [rows for chunk in chunks for rows in chunk.rows if rows.type is RowType.QUOTE and len(rows)]
    cut = [part for one in rows for part in by_second(Chunk(chunks[-1].end_ns, [one]))]
    assert sum(len(part.rows[0]) for part in cut) == sum(map(len, rows))
    for part in cut:
        assert len(np.unique(part.rows[0].ts_recv // NANOS)) == 1
