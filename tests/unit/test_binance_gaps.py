"""Holes in Binance's trade ids: each question answers for what was missing when it was asked."""

import pytest

from producers.base.collector import Collector
from producers.venues.binance.decoder import BinanceDecoder
from tapewatch.clock import NANOS
from tests.unit.binance_messages import NAME, START, SYMBOL, fetched, trade

NOW = START * NANOS


@pytest.mark.parametrize("newer_first", [False, True])
def test_answer_gives_up_nothing_that_was_missed_since_it_was_asked_for(*, newer_first: bool) -> None:
    made = BinanceDecoder(Collector(), futures=False)
    made.watch([(SYMBOL, NAME)])
    for number in (10, 14, 18):
        made.message(trade(number, NOW // 1_000_000), NOW)
    earlier, later = made.wants
    assert [(want.start, want.upto) for want in made.wants] == [(11, 13), (15, 17)]
    answers = [(earlier, fetched(11, 14, 11)), (later, fetched(15, 18, 16))]
    for want, body in reversed(answers) if newer_first else answers:
        made.answer(want, body, NOW)
    assert sorted(int(row[7]) for row in made.collector.trades) == [10, 11, 12, 13, 14, 16, 17, 18]
    (gap, resync) = made.collector.statuses
    assert "trades 11 to 13 missing" in gap[-1]
    assert "5 trades late, 1 lost" in resync[-1]
