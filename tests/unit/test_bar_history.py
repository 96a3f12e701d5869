"""Bars of the past: in order of time, each once over restarts, also when a run ends in the middle."""

import asyncio
from collections.abc import Sequence

from producers.venues import bar_history
from producers.venues.bar_history import HistoryPosition, send_history
from producers.venues.bars import Bar
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows

IDS = {"A": "A.XNAS", "B": "B.XNAS"}
MINUTE = 60 * NANOS


class MemoryBarOutlet:
    """Keeps what is written; ends the run after some transactions. rows : instrument and opening of each bar"""

    def __init__(self, transactions: int = 100) -> None:
        self.rows: list[tuple[str, int]] = []
        self.kept = HistoryPosition()
        self.left = transactions

    def position(self) -> HistoryPosition:
        return self.kept

    def write(self, rows: Sequence[Rows], position: HistoryPosition) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        for part in rows:
            codes, opened = part.columns["instrument"].tolist(), part.columns["ts_open"].tolist()
            self.rows += [(part.instruments[code], at) for code, at in zip(codes, opened, strict=True)]
            assert (part.columns["ts_recv"] == part.columns["ts_open"] + MINUTE).all()
        self.kept = position

    def close(self) -> None:
        """Nothing to do."""


async def fetch(symbol: str, since: int) -> list[Bar]:
    """Bars of the minutes 0 to 9."""
    return [Bar(at * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0) for at in range(10) if at * MINUTE >= since]


def send(output: MemoryBarOutlet, ids: dict[str, str] = IDS) -> int:
    return asyncio.run(send_history(output, ids, fetch, 0, 60))


def both(minutes: range) -> list[tuple[str, int]]:
    return [(name, at * MINUTE) for at in minutes for name in ("A.XNAS", "B.XNAS")]


def test_bars_of_all_symbols_come_in_order_of_time_and_only_once() -> None:
    output = MemoryBarOutlet()
    assert send(output) == 20
    assert send(output) == 0
    assert output.rows == both(range(10))


def test_run_that_ends_in_the_middle_goes_on_after_the_last_transaction(monkeypatch: object) -> None:
    before = bar_history.ROWS_A_TRANSACTION
    bar_history.ROWS_A_TRANSACTION = 7
    try:
        output = MemoryBarOutlet(transactions=1)
        try:
            send(output)
        except KeyboardInterrupt:
            output.left = 100
        assert len(output.rows) == 8
        send(output)
    finally:
        bar_history.ROWS_A_TRANSACTION = before
    assert output.rows == both(range(10))


def test_symbol_that_joins_later_begins_where_the_feed_is() -> None:
    output = MemoryBarOutlet()
    send(output, {"A": "A.XNAS"})
    assert send(output, IDS) == 0
