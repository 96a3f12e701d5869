"""Polled bars as rows: each once, in order, fresh ones only, with gaps said."""

from producers.base.collector import Collector
from producers.venues.bars import Bar
from producers.venues.live_bars import LiveBars
from tapewatch.clock import NANOS
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.rows import StatusKind

NAME = "005930.XKRX"
MINUTE = 60 * NANOS
START = 1_758_081_600 * NANOS


def bar(minute: int) -> Bar:
    return Bar(START + minute * MINUTE, 10.0, 12.0, 9.0, 11.0, 100.0)


def end(minute: int) -> int:
    return START + (minute + 1) * MINUTE


def test_each_bar_becomes_one_row_however_often_it_is_polled() -> None:
    collector = Collector()
    bars = LiveBars(collector, 60)
    assert bars.take(NAME, [bar(0)], end(0) + NANOS) == 1
    assert bars.take(NAME, [bar(0), bar(1)], end(1) + NANOS) == 1
    assert bars.take(NAME, [bar(0), bar(1), bar(2)], end(2) + NANOS) == 1
    code = collector.code(NAME)
    assert collector.bars[0] == (code, end(0), end(0) + NANOS, START, 60, 10.0, 12.0, 9.0, 11.0, 100.0, 0)
    assert [row[3] for row in collector.bars] == [START, START + MINUTE, START + 2 * MINUTE]
    assert collector.messages["bar"] == len(collector.bars) + collector.dropped.total()


def test_history_before_the_start_is_no_news_and_no_gap() -> None:
    collector = Collector()
    bars = LiveBars(collector, 60)
    assert bars.take(NAME, [bar(minute) for minute in range(60)], end(59) + NANOS) == 1
    assert collector.dropped["before_start"] == 59
    assert collector.statuses == []


def test_restart_goes_on_after_the_newest_bar_that_was_taken() -> None:
    collector = Collector()
    bars = LiveBars(collector, 60, {NAME: START + MINUTE})
    assert bars.take(NAME, [bar(minute) for minute in range(4)], end(3)) == 2


def test_bars_of_a_short_cut_are_sent_late_with_their_own_time() -> None:
    collector = Collector()
    bars = LiveBars(collector, 60)
    bars.take(NAME, [bar(0)], end(0))
    bars.lost([NAME], "no connection", end(1))
    bars.lost([NAME], "no connection", end(2))
    assert bars.take(NAME, [bar(0), bar(1), bar(2), bar(3)], end(3)) == 3
    assert [row[1] for row in collector.bars] == [end(0), end(1), end(2), end(3)]
    assert [(row[3], row[4]) for row in collector.statuses] == [
        (StatusKind.GAP, "no connection"),
        (StatusKind.RESYNC, "watched again; 3 bars fetched"),
    ]


def test_bars_older_than_readers_take_are_left_out_and_a_gap_row_says_so() -> None:
    collector = Collector()
    bars = LiveBars(collector, 60)
    bars.take(NAME, [bar(0)], end(0))
    assert bars.take(NAME, [bar(minute) for minute in range(31)], end(30)) == 10
    assert collector.dropped["too_old"] == 20
    assert all(row[2] - row[1] < MAX_SKEW_NS for row in collector.bars)
    ((_, _, _, kind, detail),) = collector.statuses
    assert kind == StatusKind.GAP
    assert detail.startswith("20 bars from 2025-09-17T04:01:00")


def test_delayed_market_gives_rows_whose_time_is_when_they_were_shown() -> None:
    collector = Collector()
    bars = LiveBars(collector, 60, {NAME: START}, delayed_s=1_200)
    received = end(1) + 20 * MINUTE
    assert bars.take(NAME, [bar(1)], received) == 1
    assert collector.bars[0][1:4] == (received, received, START + MINUTE)
