"""The instruments that the broker knows: their units and rules, the state of each, and how much each one moves.

The book of orders: what the kernels' events mean as messages, revision by revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.trading import state as fields
from detectors.trading.tape import BOOK, QUOTE, TRADE, Tape
from detectors.trading.units import BANDS, TERMS, Units, stacked, steps_down, steps_near, units_of
from detectors.trading.venues import VENUES, VenueRules, rules_of, with_reference
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Cause, Fill, Order, Side, stable_id
from tapewatch.contract.rows import Condition, Rows, RowType
from tapewatch.rfc3339 import to_rfc3339

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


SIDES: tuple[Side, Side] = ("buy", "sell")
WHY_NO_MORE = "no more was visible"


class Record(msgspec.Struct):
    """An order that may still change; quantities in steps.

    number : of its lane; cancelled_for : why a cancel was asked for; fills : how many there were
    """

    id: str
    lane: int
    number: int
    side: int
    price: int
    qty: int
    signal: str
    created: int
    filled: int = 0
    revision: int = 0
    fills: int = 0
    opened: bool = False
    cancelled_for: str = ""


@dataclass
class OrderBook:
    """Orders that stand, and the messages that tell what became of them."""

    lanes: InstrumentTable
    standing: dict[tuple[int, int], Record] = field(default_factory=dict)
    messages: list[Order | Fill] = field(default_factory=list)
    _numbers: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def of_side(self, lane: int, side: int) -> list[Record]:
        """The side's standing orders, oldest first."""
        return [self.standing[lane, number] for number in self._numbers.get((lane, side), ())]

    def sent(self, record: Record, cause: Cause) -> None:
        """An order is on its way."""
        self.add(record)
        self._tell(record, "pending", "", record.created, cause)

    def add(self, record: Record) -> None:
        """An order that stands."""
        self.standing[record.lane, record.number] = record
        self._numbers.setdefault((record.lane, record.side), []).append(record.number)

    def _drop(self, record: Record) -> None:
        del self.standing[record.lane, record.number]
        self._numbers[record.lane, record.side].remove(record.number)

    def refused(self, record: Record, reason: str, cause: Cause) -> None:
        """An order that the venue's rules or the broker's limits do not allow."""
        self._tell(record, "rejected", reason, record.created, cause)

    def happened(self, event: I8, cause: Cause) -> None:
        """One event of the kernels."""
        key = int(event[fields.E_LANE]), int(event[fields.E_NUMBER])
        record = self.standing[key]
        at, kind = int(event[fields.E_TIME]), int(event[fields.E_KIND])
        if kind == fields.FILL:
            self._filled(record, event, cause)
            return
        record.revision += 1
        if kind == fields.AMENDED:
            record.qty -= int(event[fields.E_QTY])
            if record.qty == 0:
                # Its end is the next event.
                record.revision -= 1
            else:
                self._tell(record, "open" if record.opened else "pending", "", at, cause)
        elif kind == fields.OPEN:
            record.opened = True
            self._tell(record, "open", "", at, cause)
        else:
            self._drop(record)
            self._tell(record, "cancelled", record.cancelled_for or self._why(record), at, cause)

    def _why(self, record: Record) -> str:
        if record.qty <= 0:
            return "the order it replaces was filled"
        return WHY_NO_MORE if record.price == fields.MARKET else "replaced"

    def _filled(self, record: Record, event: I8, cause: Cause) -> None:
        lane, qty, at = record.lane, int(event[fields.E_QTY]), int(event[fields.E_TIME])
        units = self.lanes.units[lane]
        fill = Fill(
            id=stable_id(record.id, record.fills),
            order=record.id,
            mode="paper",
            instrument=self.lanes.ids[lane],
            side=SIDES[record.side],
            price=units.price(int(event[fields.E_PRICE])),
            qty=units.quantity(qty),
            liquidity="maker" if event[fields.E_MAKER] else "taker",
            fee=units.money(int(event[fields.E_FEE])),
            tax=units.money(int(event[fields.E_TAX])),
            currency=self.lanes.currencies[lane],
            at=to_rfc3339(at),
            cause=cause,
        )
        record.fills += 1
        record.filled += qty
        record.revision += 1
        self.messages.append(fill)
        if record.filled >= record.qty:
            self._drop(record)
            self._tell(record, "filled", "", at, cause)
        else:
            self._tell(record, "open" if record.opened else "pending", "", at, cause)

    def _tell(self, record: Record, state: str, reason: str, at: int, cause: Cause) -> None:
        units = self.lanes.units[record.lane]
        body = {
            "id": record.id,
            "revision": record.revision,
            "mode": "paper",
            "instrument": self.lanes.ids[record.lane],
            "side": SIDES[record.side],
            "kind": "market" if record.price == fields.MARKET else "limit",
            "price": None if record.price == fields.MARKET else units.price(record.price),
            "qty": units.quantity(max(record.qty, record.filled, 1)),
            "filled": units.quantity(record.filled),
            "state": state,
            "reason": reason,
            "signal": record.signal,
            "created": to_rfc3339(record.created),
            "updated": to_rfc3339(at),
            "cause": cause,
        }
        self.messages.append(msgspec.convert(body, Order))
