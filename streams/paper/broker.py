"""The paper broker: a function of the market log, the signals and the commands, in the order of their offsets.

What an order asks for: quantity by equal risk within limits, price on the right tick.
"""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from detectors.trading import state
from detectors.trading.account import mark, unrealised
from detectors.trading.orders import (
    REFUSALS,
    cancel,
    ceil_price,
    flatten,
    floor_price,
    held_for_buys,
    moved_price,
    place,
)
from detectors.trading.tape import Tape, run_log
from detectors.trading.units import LOT
from streams.paper.instrument_states import InstrumentTable, OrderBook, Record
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Cause, Fill, Order, Position, Signal, stable_id
from tapewatch.contract.rows import EVERY_INSTRUMENT, Rows, RowType, StatusKind
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings.paper import PaperSettings

I8 = npt.NDArray[np.int64]


def limit_price(lanes: InstrumentTable, lane: int, side: int, proposed: float | None, settings: PaperSettings) -> int:
    """Price steps of an order, MARKET for none.

    A proposed price is rounded to the tick on the side that never trades worse; otherwise the own side's best price,
    moved by the settings' offset.
    """
    p, table = lanes.state[lane], lanes.tables[lane]
    if proposed is not None and proposed > 0:
        steps = proposed * 10.0 ** lanes.units[lane].price_decimals
        whole = round(steps) if abs(steps - round(steps)) < 1e-6 * max(1.0, steps * 1e-6) else steps
        rounded = floor_price(table, math.floor(whole)) if side == state.BUY else ceil_price(table, math.ceil(whole))
        return int(rounded)
    if settings.order == "market":
        return state.MARKET
    best = floor_price(table, int(p[state.MARK_BID if side == state.BUY else state.MARK_ASK]))
    return int(moved_price(table, best, settings.offset if side == state.BUY else -settings.offset))


def order_qty(lanes: InstrumentTable, lane: int, side: int, size: float | None, settings: PaperSettings) -> int:
    """Quantity steps to ask for; 0 where limits leave no lot.

    What is held the other way is closed as a whole. Otherwise the order's value is chosen so that one standard
    deviation over the horizon costs the same share of capital in every instrument, times the signal's size hint, and
    the position stays within its limit. What the side's order still asks for is not counted: this one replaces it.
    """
    p, units, lot = lanes.state[lane], lanes.units[lane], int(lanes.terms[lane, LOT])
    held = int(p[state.POSITION]) if side == state.BUY else -int(p[state.POSITION])
    if held < 0:
        return -held
    price = units.price(max(int(p[state.MARK_BID]), int(p[state.MARK_ASK])))
    if price <= 0.0:
        return 0
    volatility = max(settings.least_volatility, math.sqrt(float(lanes.variance[lane])))
    value = settings.capital * settings.risk_share / (volatility * math.sqrt(settings.horizon_s))
    wanted = (value if size is None else value * size) / price
    largest = settings.capital * settings.position_share / price
    steps = 10**units.qty_decimals
    qty = min(math.floor(wanted * steps), math.floor(largest * steps) - held)
    return int(max(0, qty // lot * lot))


def affordable(lanes: InstrumentTable, lane: int, qty: int, price: int, cash: int) -> int:
    """The part of a buy that cash pays for, fees at twice the taker's rate held back; whole lots. cash : money steps"""
    p, lot = lanes.state[lane], int(lanes.terms[lane, LOT])
    reference = price or int(p[state.MARK_ASK])
    if reference <= 0:
        return 0
    rate = 1_000_000 + 2 * lanes.rules[lane].taker_ppm
    return max(0, min(qty, cash * 1_000_000 // (reference * rate)) // lot * lot)


def value_of(lanes: InstrumentTable, lane: int) -> int:
    """Value of a lane's position at its mark, money steps."""
    p = lanes.state[lane]
    return int(p[state.POSITION]) * int(mark(p))


_EVENT_ROOM = 4096
_MARKET_ROWS = (RowType.TRADE, RowType.QUOTE, RowType.BOOK)


Command = Literal["start", "stop", "kill"]


class PaperBroker:
    """One partition's broker. Feed it frames and signals; take orders, fills and accounts.

    A signal comes after the frame whose offset is its cause and before the next one, so that what comes out is the same
    however frames and signals were fetched. `skipped` counts signals that led to no order, by reason.

    It is stopped until somebody says `start`, unless its settings say otherwise. stop : no new orders, those that stand
    stay. kill : every order is cancelled too, and nothing starts again but by
    `start`. switch : one instrument.
    """

    def __init__(self, settings: PaperSettings, reference: Mapping[str, Instrument], topic: str, partition: int):
        self.settings, self.reference, self.topic, self.partition = settings, reference, topic, partition
        self.lanes = InstrumentTable()
        self.book = OrderBook(self.lanes)
        self.accounts: list[Position] = []
        self.skipped: dict[str, int] = {}
        self.running: Command = "start" if settings.started else "stop"
        self.switched: dict[str, bool] = {}
        self.offset = -1
        self.clock = 0
        self._events = np.zeros((_EVENT_ROOM, state.EVENT_WIDTH), dtype=np.int64)
        self._counts = np.zeros(1, dtype=np.int64)

    def take(self) -> tuple[list[Order | Fill], list[Position]]:
        """Orders and fills, and accounts, since the last call."""
        messages, accounts = self.book.messages, self.accounts
        self.book.messages, self.accounts = [], []
        return messages, accounts

    def frame(self, offset: int, rows: Rows) -> None:
        """One frame of the market log."""
        self.offset = offset
        ends = np.flatnonzero(np.diff(rows.ts_recv // NANOS) > 0) + 1
        for first, last in zip([0, *ends], [*ends, len(rows)], strict=True):
            if last > first:
                self._second(rows.take(slice(int(first), int(last))))

    def signal(self, signal: Signal) -> None:
        """What a policy says. ValueError where the frame that caused it has not been fed yet."""
        if (signal.cause.topic, signal.cause.partition) != (self.topic, self.partition):
            raise ValueError(f"signal {signal.id} is of another partition")
        if signal.cause.offset > self.offset:
            raise ValueError(f"signal {signal.id} is caused by offset {signal.cause.offset}, after {self.offset}")
        reason = self._obstacle(signal)
        if reason:
            self._skip(reason)
            return
        lane = self.lanes.place[signal.instrument]
        side = state.BUY if signal.action in ("buy", "cancel_buy") else state.SELL
        if signal.action.startswith("cancel"):
            self._cancel(lane, side, "signal")
        else:
            self._order(signal, lane, side)

    def command(self, command: Command) -> None:
        """Start, stop or kill."""
        self.running = command
        if command == "kill":
            for lane in range(len(self.lanes.ids)):
                self._cancel(lane, state.BUY, "kill switch")
                self._cancel(lane, state.SELL, "kill switch")

    def switch(self, instrument: str, on: bool) -> None:
        """Automatic trading of one instrument; switched off, its orders are cancelled."""
        self.switched[instrument] = on
        if not on and instrument in self.lanes.place:
            for side in (state.BUY, state.SELL):
                self._cancel(self.lanes.place[instrument], side, "switched off")

    def account(self, lane: int, at: int) -> Position:
        """A lane's account as of a time, UTC ns."""
        p, units = self.lanes.state[lane], self.lanes.units[lane]
        open_result = int(unrealised(p))
        result = int(p[state.REALISED]) + open_result - int(p[state.FEES]) - int(p[state.TAXES])
        return Position(
            instrument=self.lanes.ids[lane],
            ts=to_rfc3339(at),
            currency=self.lanes.currencies[lane],
            position=units.quantity(int(p[state.POSITION])),
            cost=units.money(int(p[state.COST])),
            cash=units.money(int(p[state.CASH])),
            realised=units.money(int(p[state.REALISED])),
            unrealised=units.money(open_result),
            fees=units.money(int(p[state.FEES])),
            taxes=units.money(int(p[state.TAXES])),
            result=units.money(result),
            cause=Cause(self.topic, self.partition, self.offset),
        )

    def _obstacle(self, signal: Signal) -> str:
        """Why a signal leads to nothing; empty where it may."""
        if signal.action == "hold":
            return "hold"
        if self.settings.is_untraded(signal.instrument):
            return "canary"
        if signal.cause.offset < self.offset:
            return "late"
        if signal.instrument not in self.lanes.place:
            return "no market yet"
        if signal.action.startswith("cancel"):
            return ""
        if self.running != "start":
            return "not running"
        if not self.switched.get(signal.instrument, self.settings.auto):
            return "switched off"
        lane = self.lanes.place[signal.instrument]
        return "volatility not warm" if self.lanes.seconds[lane] < self.settings.warm_s else ""

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def _second(self, rows: Rows) -> None:
        """Rows of one second."""
        began = int(rows.ts_recv[0]) // NANOS
        passed = began - self.clock // NANOS
        if self.clock and passed > 0:
            self._second_passed(passed)
        if rows.type in _MARKET_ROWS:
            tape, lanes = self.lanes.tape_of(rows, self.reference)
            self._run(tape, lanes)
        elif rows.type is RowType.STATUS and self.settings.day_trading:
            self._close(rows)
        self.clock = max(self.clock, int(rows.ts_recv.max()))

    def _run(self, tape: Tape, lanes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
        row = 0
        while row < len(tape.ts):
            self._counts[0] = 0
            row = run_log(self.lanes.state, self.lanes.terms, tape, lanes, row, self._events, self._counts)
            self._tell_events()

    def _tell_events(self) -> None:
        cause = Cause(self.topic, self.partition, self.offset)
        for event in self._events[: int(self._counts[0])]:
            self.book.happened(event, cause)

    def _close(self, rows: Rows) -> None:
        """Sessions that end: their positions are closed at what was last visible."""
        for row in np.flatnonzero(rows.columns["kind"] == int(StatusKind.CLOSE)):
            name = rows.instruments[rows.columns["instrument"][row]]
            chosen = range(len(self.lanes.ids)) if name == EVERY_INSTRUMENT else [self.lanes.place.get(name, -1)]
            for lane in chosen:
                if lane >= 0:
                    self._flat(lane, int(rows.ts_recv[row]))

    def _flat(self, lane: int, at: int) -> None:
        p = self.lanes.state[lane]
        p[state.CLOCK] = at
        for record in (*self.book.of_side(lane, state.BUY), *self.book.of_side(lane, state.SELL)):
            record.cancelled_for = record.cancelled_for or "session end"
        held = int(p[state.POSITION])
        if held:
            number, side = int(p[state.NEXT_ORDER]) + 1, state.SELL if held > 0 else state.BUY
            made = stable_id("flat", self.lanes.ids[lane], number, at)
            closing = Record(made, lane, number, side, state.MARKET, abs(held), "", at)
            self.book.sent(closing, Cause(self.topic, self.partition, self.offset))
        self._counts[0] = 0
        flatten(p, self.lanes.terms[lane], lane, -1, self._events, self._counts)
        self._tell_events()

    def _second_passed(self, elapsed: int) -> None:
        """At the first row of a later second: volatility, accounts, orders that have stood too long."""
        self.lanes.second_passed(elapsed, self.settings.half_life_s)
        end = (self.clock // NANOS + 1) * NANOS
        self.accounts += [self.account(lane, end) for lane in self.lanes.traded()]
        oldest = end - round(self.settings.lifetime_s * NANOS)
        for record in list(self.book.standing.values()):
            if record.created <= oldest and not record.cancelled_for:
                self._cancel(record.lane, record.side, "lifetime")

    def _cancel(self, lane: int, side: int, reason: str) -> None:
        """Ask for a side's orders to be cancelled."""
        if cancel(self.lanes.state[lane], side, self.clock + self.settings.latency_ns) > 0:
            for record in self.book.of_side(lane, side):
                record.cancelled_for = record.cancelled_for or reason

    def _order(self, signal: Signal, lane: int, side: int) -> None:
        """A buy or sell: the other side's orders are cancelled; an order of this side that stands is replaced where the
        price is another.
        """
        lanes, p = self.lanes, self.lanes.state[lane]
        self._cancel(lane, 1 - side, "opposite signal")
        price = limit_price(lanes, lane, side, signal.price, self.settings)
        standing = self.book.of_side(lane, side)
        live = [each for each in standing if not each.cancelled_for]
        if any(each.price == price for each in live) or (standing and not live):
            self._skip("order stands" if live else "cancel under way")
            return
        qty = order_qty(lanes, lane, side, signal.size, self.settings)
        if side == state.BUY and p[state.POSITION] >= 0:
            qty = affordable(lanes, lane, qty, price, self._free_cash(lane, bool(live)))
        record = Record(stable_id(signal.id, 1), lane, 0, side, price, qty, signal.id, self.clock)
        if qty == 0:
            self._skip("limits leave no lot")
            return
        arrives = max(self.clock, from_rfc3339(signal.ts)) + self.settings.latency_ns
        number = place(p, lanes.tables[lane], lanes.terms[lane], side, price, qty, arrives, int(bool(live)))
        if number < 0:
            self.book.refused(record, REFUSALS[number], signal.cause)
            return
        for replaced in live:
            replaced.cancelled_for = "replaced"
        record.number = number
        self.book.sent(record, signal.cause)

    def _free_cash(self, lane: int, replacing: bool) -> int:
        """Cash of the lane's currency that no buy order holds, in the lane's money steps."""
        lanes = self.lanes
        held = np.zeros(len(lanes.ids), dtype=np.int64)
        held_for_buys(lanes.state, held)
        if replacing:
            held[lane] = 0
        spent = (lanes.state[:, state.CASH] - held) / (lanes.price_scale * lanes.qty_scale)
        same = lanes.currency_codes == lanes.currency_codes[lane]
        free = self.settings.capital + float(spent[same].sum())
        return max(0, lanes.units[lane].money_steps(free))
