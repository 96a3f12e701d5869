"""The instruments that the broker knows: their units and rules, the state of each, and how much each one moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.trading import state as fields
from detectors.trading.tape import BOOK, QUOTE, TRADE, Tape
from detectors.trading.units import BANDS, TERMS, Units, stacked, steps_down, steps_near, units_of
from detectors.trading.venues import VENUES, VenueRules, rules_of, with_reference
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Condition, Rows, RowType

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_KINDS = {RowType.TRADE: TRADE, RowType.QUOTE: QUOTE, RowType.BOOK: BOOK}


class InstrumentSpec(NamedTuple):
    """An instrument as a lane needs it."""

    name: str
    rules: VenueRules
    units: Units
    currency: str


def instrument_rules(instrument: Instrument) -> VenueRules:
    """The venue's rules, with tick table and lot of the reference data where that has a tick table or the venue is not
    known: a lot without ticks may be a default.
    """
    ticks = [(_text(tick.price), _text(tick.size)) for tick in instrument.ticks]
    rules = rules_of(instrument.id, instrument.kind)
    if ticks or rules.venue not in VENUES:
        return with_reference(rules, ticks, _text(instrument.lot))
    return rules


def _known(instrument: Instrument, around: float) -> InstrumentSpec:
    """What a lane needs of an instrument that trades around a price."""
    rules = instrument_rules(instrument)
    return InstrumentSpec(instrument.id, rules, units_of(rules, around), instrument.currency or rules.currency)


def _text(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():f}"


@dataclass
class InstrumentTable:
    """One lane an instrument, in the order in which they were first seen.

    state : int64[lanes, WIDTH]; tables, terms : for the kernels
    currency_codes : int64[lanes], the first lane of the same currency
    price_scale, qty_scale : float64[lanes], steps in a price or quantity of 1
    middle : float64[lanes], middle price at the last second, steps, 0 before the first; variance : of its relative
    change a second; seconds : int64[lanes], how many it rests on
    """

    ids: list[str] = field(default_factory=list)
    rules: list[VenueRules] = field(default_factory=list)
    units: list[Units] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)
    place: dict[str, int] = field(default_factory=dict)
    state: I8 = field(default_factory=lambda: np.zeros((0, fields.WIDTH), dtype=np.int64))
    tables: I8 = field(default_factory=lambda: np.zeros((0, BANDS, 2), dtype=np.int64))
    terms: I8 = field(default_factory=lambda: np.zeros((0, TERMS), dtype=np.int64))
    currency_codes: I8 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    price_scale: F8 = field(default_factory=lambda: np.zeros(0))
    qty_scale: F8 = field(default_factory=lambda: np.zeros(0))
    middle: F8 = field(default_factory=lambda: np.zeros(0))
    variance: F8 = field(default_factory=lambda: np.zeros(0))
    seconds: I8 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, new: Sequence[InstrumentSpec]) -> None:
        """A lane for each of the instruments, after those there are."""
        for name, rules, units, currency in new:
            self.place[name] = len(self.ids)
            self.ids.append(name)
            self.rules.append(rules)
            self.units.append(units)
            self.currencies.append(currency)
        each = [(rules, units) for _, rules, units, _ in new]
        tables, terms_of = stacked(each)
        blank = np.zeros(len(new))
        self.state = np.concatenate([self.state, np.zeros((len(new), fields.WIDTH), dtype=np.int64)])
        self.tables, self.terms = np.concatenate([self.tables, tables]), np.concatenate([self.terms, terms_of])
        first = [self.currencies.index(currency) for _, _, _, currency in new]
        self.currency_codes = np.append(self.currency_codes, np.array(first, dtype=np.int64))
        self.price_scale = np.append(self.price_scale, [10.0**units.price_decimals for _, units in each])
        self.qty_scale = np.append(self.qty_scale, [10.0**units.qty_decimals for _, units in each])
        self.middle, self.variance = np.append(self.middle, blank), np.append(self.variance, blank)
        self.seconds = np.append(self.seconds, blank.astype(np.int64))

    def tape_of(self, rows: Rows, reference: Mapping[str, Instrument]) -> tuple[Tape, I8]:
        """Trades, quotes or books as a tape, and the lane of each row; rows of instruments without reference data or
        without any price yet, and trades that move no prices, are left out.
        """
        columns = rows.columns
        usable = np.ones(len(rows), dtype=np.bool_)
        if rows.type is RowType.TRADE:
            usable = np.isin(columns["condition"], (Condition.REGULAR, Condition.AUCTION))
        lanes = self._lanes_of(rows, reference, usable)
        kept = np.flatnonzero(usable & (lanes >= 0))
        values, books = self._values(rows.type, columns, lanes, kept)
        kind = np.full(len(kept), _KINDS[rows.type], dtype=np.int8)
        return Tape(rows.ts_recv[kept].astype(np.int64), kind, values, books), lanes[kept]

    def _lanes_of(self, rows: Rows, reference: Mapping[str, Instrument], usable: npt.NDArray[np.bool_]) -> I8:
        """Lane of each row, -1 for none. New instruments get theirs in the order of their first priced rows, so that
        how rows are cut into frames makes no difference.
        """
        codes = rows.columns["instrument"]
        known = np.full(len(rows.instruments), -1, dtype=np.int64)
        new: list[tuple[int, float, int]] = []
        for code in np.unique(codes[usable]).tolist():
            name = rows.instruments[code]
            known[code] = self.place.get(name, -1)
            if known[code] < 0 and name in reference:
                new += _first_price(rows, usable & (codes == code), code)
        if new:
            first = len(self.ids)
            self.add([_known(reference[rows.instruments[code]], around) for _, around, code in sorted(new)])
            known[[code for _, _, code in sorted(new)]] = np.arange(first, len(self.ids))
        found: I8 = known[codes]
        return found

    def _values(self, kind: RowType, columns: Mapping[str, Any], lanes: I8, kept: I8) -> tuple[I8, I8]:
        """A tape's values and books."""
        values = np.zeros((len(kept), 4), dtype=np.int64)
        books = np.zeros((0, 4 * fields.LEVELS), dtype=np.int64)
        price, qty = self.price_scale[lanes[kept]], self.qty_scale[lanes[kept]]
        if kind is RowType.TRADE:
            values[:, 0] = steps_near(columns["price"][kept], price)
            values[:, 1] = steps_down(columns["qty"][kept], qty)
            values[:, 2] = columns["aggressor_side"][kept]
        elif kind is RowType.QUOTE:
            for place, side in ((0, "bid"), (2, "ask")):
                values[:, place] = steps_near(columns[f"{side}_price"][kept], price)
                values[:, place + 1] = steps_down(columns[f"{side}_qty"][kept], qty)
        else:
            values[:, 0] = np.arange(len(kept))
            sides = [
                convert(columns[name][kept], scale[:, None])
                for name, convert, scale in (
                    ("bid_price", steps_near, price), ("bid_qty", steps_down, qty),
                    ("ask_price", steps_near, price), ("ask_qty", steps_down, qty),
                )
            ]  # fmt: skip
            books = np.concatenate(sides, axis=1)
        return values, books

    def traded(self) -> list[int]:
        """Lanes in which anything was ever bought or sold."""
        found: list[int] = np.flatnonzero(self.state[:, fields.BOUGHT] + self.state[:, fields.SOLD]).tolist()
        return found

    def second_passed(self, elapsed: int, half_life_s: float) -> None:
        """Take the change of each middle price since the last second into its variance. elapsed : seconds"""
        bid, ask = self.state[:, fields.MARK_BID].astype(np.float64), self.state[:, fields.MARK_ASK].astype(np.float64)
        middle = np.where((bid > 0) & (ask > 0), 0.5 * (bid + ask), 0.0)
        moved = (middle > 0) & (self.middle > 0)
        change = np.where(moved, middle / np.where(moved, self.middle, 1.0) - 1.0, 0.0)
        fading = 1.0 - 0.5 ** (elapsed / half_life_s)
        weight = np.maximum(fading, elapsed / (self.seconds + elapsed))
        self.variance = np.where(moved, self.variance + weight * (change**2 / elapsed - self.variance), self.variance)
        self.seconds = np.where(moved, self.seconds + elapsed, self.seconds)
        self.middle = np.where(middle > 0, middle, self.middle)


def _first_price(rows: Rows, which: npt.NDArray[np.bool_], code: int) -> list[tuple[int, float, int]]:
    """Row and value of the first price among the rows `which`, with their code; nothing where they have none."""
    names = ("price",) if rows.type is RowType.TRADE else ("bid_price", "ask_price")
    for row in np.flatnonzero(which).tolist():
        for name in names:
            value = float(np.ravel(rows.columns[name][row])[0])
            if value > 0.0:
                return [(row, value, code)]
    return []
