"""A cut of 90 s in a live session, as the engine sees it: a gap, trades that come late, and windows that begin anew."""

import numpy as np
import pytest

from producers.base.collector import Collector
from producers.venues.binance.decoder import BinanceDecoder
from streams.driver import Driver, table
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Condition, RowType, StatusKind
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.binance_messages import NAME, START, SYMBOL, fetched, quote, trade

CUT, BACK, END = 100, 190, 300
"""Seconds after the start at which the connection breaks, is back, and the session ends."""


@pytest.fixture(scope="module")
def session() -> tuple[Driver, Collector, list[tuple[int, int, str]], list[int]]:
    """Trade n happens in second n; of the 90 that were missed the venue resends the last 60."""
    collector = Collector()
    decoder = BinanceDecoder(collector, futures=False)
    decoder.watch([(SYMBOL, NAME)])
    driver = Driver(FixedRegistry([Instrument(NAME)]))
    statuses: list[tuple[int, int, str]] = []
    conditions: list[int] = []
    for second in range(END):
        at = (START + second) * NANOS
        driver.heartbeat(START + second)
        if second == CUT:
            decoder.lost([SYMBOL], "binance-1: silent for 30.0 s", at)
        if second < CUT or second >= BACK:
            decoder.message(quote(second + 1), at + 1)
            decoder.message(trade(second, at // 1_000_000), at + 2)
        while decoder.wants:
            want = decoder.wants.popleft()
            decoder.answer(want, fetched(want.start, BACK - 1, CUT + 30), at + 3)
        for rows in sorted(collector.take(), key=lambda each: each.type):
            if rows.type is RowType.STATUS:
                columns = (rows.columns["ts_recv"].tolist(), rows.columns["kind"].tolist(), rows.columns["detail"])
                statuses += [(t // NANOS - START, kind, detail) for t, kind, detail in zip(*columns, strict=True)]
            if rows.type is RowType.TRADE:
                conditions += rows.columns["condition"].tolist()
            driver.send(rows)
    driver.heartbeat(START + END)
    return driver, collector, statuses, conditions


def test_the_cut_is_a_gap_row_and_what_was_resent_and_lost_is_said_when_it_is_over(session) -> None:
    _, _, statuses, _ = session
    assert [(second, kind) for second, kind, _ in statuses] == [(CUT, StatusKind.GAP), (BACK, StatusKind.RESYNC)]
    assert statuses[0][2] == "binance-1: silent for 30.0 s"
    assert statuses[1][2].endswith("60 trades late, 30 lost")
    assert "90.0" in statuses[1][2]


def test_only_what_the_venue_does_not_resend_is_missing(session) -> None:
    _, _, _, conditions = session
    assert conditions.count(Condition.REGULAR) == END - (BACK - CUT)
    assert conditions.count(Condition.LATE) == 60


def test_no_second_of_the_cut_has_features_and_windows_begin_anew_behind_it(session) -> None:
    driver, _, _, _ = session
    found = table(driver.collect()[topics.FEATURES], "features")
    seconds = found["ts"] // NANOS - START - 1
    ret, minute = dict(zip(seconds, found["ret_1s"], strict=True)), dict(zip(seconds, found["ret_60s"], strict=True))
    assert not np.isnan(minute[CUT - 1])
    assert all(np.isnan(minute[second]) for second in seconds if CUT < second < BACK + 59)
    assert not np.isnan(minute[END - 1])
    assert not np.isnan(ret[BACK + 5])


def test_late_trades_move_neither_price_nor_volume(session) -> None:
    driver, _, _, _ = session
    found = table(driver.collect()[topics.FEATURES], "features")
    seconds = found["ts"] // NANOS - START - 1
    behind = seconds >= BACK
    assert np.nanmax(found["volume_1s"][behind]) == 1.0
    assert np.nanmax(np.abs(found["ret_1s"][behind])) == 0.0
    refused = [record for topic, records in driver.collect().items() if topic.endswith(".dlq") for record in records]
    assert refused == []
