"""Small hand-made markets for tests: one instrument, prices in steps of 0.01, quantities whole."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors.trading import state
from detectors.trading.orders import cancel, place
from detectors.trading.tape import BOOK, QUOTE, TRADE, Tape, run_lane
from detectors.trading.units import Units, terms, tick_table
from detectors.trading.venues import VenueRules

UNITS = Units(2, 0)
FREE_OF_FEES = VenueRules("TEST", "USD", (("0", "0.01"),), "1", 0, 0, shorting=True)
I8 = npt.NDArray[np.int64]

Level = tuple[int, int]


@dataclass
class Lane:
    """One lane that rows happen to, one at a time; remembers its events."""

    rules: VenueRules = FREE_OF_FEES
    p: I8 = field(default_factory=lambda: np.zeros(state.WIDTH, dtype=np.int64))
    found: list[I8] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table, self.terms = tick_table(self.rules, UNITS), terms(self.rules, UNITS)

    def row(self, ts: int, kind: int, values: list[int], levels: I8 | None = None) -> None:
        books = np.zeros((1, 4 * state.LEVELS), dtype=np.int64) if levels is None else levels[None, :]
        tape = Tape(np.array([ts]), np.array([kind], np.int8), np.array([values]), books)
        events, counts = np.zeros((state.EVENTS_A_ROW, state.EVENT_WIDTH), np.int64), np.zeros(1, np.int64)
        run_lane(self.p, self.terms, tape, 0, 1, 0, events, counts)
        assert counts[0] <= state.EVENTS_A_ROW
        self.found += list(events[: counts[0]])

    def quote(self, ts: int, bid: Level, ask: Level) -> None:
        self.row(ts, QUOTE, [*bid, *ask])

    def book(self, ts: int, bids: list[Level], asks: list[Level]) -> None:
        levels = np.zeros((4, state.LEVELS), dtype=np.int64)
        for rows, side in ((0, bids), (2, asks)):
            for k, (price, qty) in enumerate(side):
                levels[rows, k], levels[rows + 1, k] = price, qty
        self.row(ts, BOOK, [0, 0, 0, 0], levels.ravel())

    def trade(self, ts: int, price: int, qty: int, aggressor: int) -> None:
        self.row(ts, TRADE, [price, qty, aggressor, 0])

    def place(self, side: int, price: int, qty: int, arrives: int = 0, replaces: int = 0) -> int:
        return place(self.p, self.table, self.terms, side, price, qty, arrives, replaces)

    def cancel(self, side: int, takes_effect: int) -> int:
        return cancel(self.p, side, takes_effect)

    def fills(self) -> list[tuple[int, int, int]]:
        """(price, quantity, maker) of each fill so far."""
        return [
            (int(each[state.E_PRICE]), int(each[state.E_QTY]), int(each[state.E_MAKER]))
            for each in self.found
            if each[state.E_KIND] == state.FILL
        ]

    def kinds(self) -> list[int]:
        return [int(each[state.E_KIND]) for each in self.found]
