"""How well the queue model tells which resting orders fill: real orders of a LOBSTER sample, followed as our own.

    python -m benchmarks.queue_fills --messages AMZN_message_and_L1.csv.gz

Every order that came to rest at the best price is followed with what a level-1 feed shows (quotes and trades, no order
ids) from its arrival to its real end. Told right: a fill of an order that was executed in full, no fill of one that was
deleted untouched. Beside it the rule without a queue: an order fills with the first trades at its price.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.csv as pc

from detectors.trading import state
from detectors.trading.orders import place
from detectors.trading.queue import place_of
from detectors.trading.tape import QUOTE, TRADE, Tape, empty_tape, run_lane
from detectors.trading.units import Units, terms, tick_table
from detectors.trading.venues import VenueRules
from evaluation.intervals import share

I8 = npt.NDArray[np.int64]

SUBMIT, CUT, DELETE, EXECUTE, HIDDEN = 1, 2, 3, 4, 5
UNITS = Units(4, 0)
RULES = VenueRules("XNAS", "USD", (("0", "0.01"),), "1", 0, 0, shorting=True)


class TrackedOrder(NamedTuple):
    """A real order: its message's row, the row of its end, side, price, size, and whether it was executed in full."""

    row: int
    end: int
    side: int
    price: int
    size: int
    executed: bool


def read(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """The file's columns: Secs, Type, OrderID, Size, Price, TradeDirection, Askp1, Asks1, Bidp1, Bids1."""
    table = pc.read_csv(path)
    return {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}


def tape_of(columns: dict[str, npt.NDArray[np.float64]]) -> tuple[Tape, I8]:
    """Executions as trades, the touch after each message as a quote; and each message's last row on the tape."""
    ints = {name: values.astype(np.int64) for name, values in columns.items() if name != "Secs"}
    ts = np.rint(columns["Secs"] * 1e9).astype(np.int64)
    traded = np.isin(ints["Type"], (EXECUTE, HIDDEN))
    kind = np.stack([np.full(len(ts), TRADE), np.full(len(ts), QUOTE)], axis=1)
    values = np.zeros((len(ts), 2, 4), dtype=np.int64)
    values[:, 0, :3] = np.stack([ints["Price"], ints["Size"], -ints["TradeDirection"]], axis=1)
    # Whose resting order a hidden execution met is known here and would not be in a feed of trades: taken as it is.
    values[:, 1] = np.stack([ints["Bidp1"], ints["Bids1"], ints["Askp1"], ints["Asks1"]], axis=1)
    kept = np.stack([traded, np.ones(len(ts), dtype=np.bool_)], axis=1).ravel()
    last = np.cumsum(kept.reshape(-1, 2).sum(axis=1)) - 1
    tape = empty_tape()._replace(
        ts=np.repeat(ts, 2)[kept], kind=kind.ravel()[kept].astype(np.int8), values=values.reshape(-1, 4)[kept]
    )
    return tape, last


def orders_of(columns: dict[str, npt.NDArray[np.float64]]) -> Iterator[TrackedOrder]:
    """Orders that came to rest at the best price and were executed in full or deleted untouched."""
    ints = {name: values.astype(np.int64) for name, values in columns.items() if name != "Secs"}
    rows: dict[int, list[int]] = {}
    for row, order in enumerate(ints["OrderID"].tolist()):
        rows.setdefault(order, []).append(row)
    for first, *later in rows.values():
        side = state.BUY if ints["TradeDirection"][first] == 1 else state.SELL
        best = ints["Bidp1" if side == state.BUY else "Askp1"][first]
        if not later or ints["Type"][first] != SUBMIT or ints["Price"][first] != best:
            continue
        types, size = ints["Type"][later], int(ints["Size"][first])
        executed = bool(np.all(types == EXECUTE)) and int(ints["Size"][later].sum()) == size
        if executed or types.tolist() == [DELETE]:
            yield TrackedOrder(first, later[-1], side, int(best), size, executed)


def without(order: TrackedOrder, tape: Tape, last: I8, columns: dict[str, npt.NDArray[np.float64]]) -> Tape:
    """The tape from the order's arrival to its end, its own quantity taken out of what is visible, as ours would be."""
    begin, end = int(last[order.row]), int(last[order.end]) + 1
    values, kind = tape.values[begin:end].copy(), tape.kind[begin:end]
    own = (columns["OrderID"] == columns["OrderID"][order.row]) & (columns["Type"] == EXECUTE)
    left = np.full(end - begin, order.size)
    for row in np.flatnonzero(own[: order.end + 1]):
        left[int(last[row]) - begin :] -= int(columns["Size"][row])
    place_at = 0 if order.side == state.BUY else 2
    shown = (kind == QUOTE) & (values[:, place_at] == order.price)
    values[shown, place_at + 1] -= left[shown]
    return empty_tape()._replace(ts=tape.ts[begin:end], kind=kind, values=values)


def filled(order: TrackedOrder, tape: Tape, queue: bool) -> bool:
    """Whether the model holds the order filled in full at its real end (before it, for one that was deleted).

    tape : as `without` gives it; queue : False lets it stand first from the beginning
    """
    p, table, terms_of = np.zeros(state.WIDTH, dtype=np.int64), tick_table(RULES, UNITS), terms(RULES, UNITS)
    place(p, table, terms_of, order.side, order.price, order.size, 0, 0)
    events, counts = np.zeros((0, state.EVENT_WIDTH), dtype=np.int64), np.zeros(1, dtype=np.int64)
    run_lane(p, terms_of, tape, 0, 1, 0, events, counts)
    at = place_of(0 if order.side == state.BUY else state.SLOTS // 2)
    if not queue:
        p[at + state.AHEAD] = 0
    run_lane(p, terms_of, tape, 1, len(tape.ts) - (0 if order.executed else 1), 0, events, counts)
    return bool(p[at + state.FILLED] == order.size)


def told(path: Path) -> dict[str, object]:
    """Shares told right, with and without the queue, over all orders of a file."""
    columns = read(path)
    tape, last = tape_of(columns)
    orders = list(orders_of(columns))
    tapes = [without(each, tape, last, columns) for each in orders]
    report: dict[str, object] = {"orders": len(orders), "executed": sum(each.executed for each in orders)}
    for name, queue in (("queue", True), ("no_queue", False)):
        answers = [filled(each, own, queue) for each, own in zip(orders, tapes, strict=True)]
        for label, wanted in (("fills_told", True), ("deletions_told", False)):
            those = [answer for each, answer in zip(orders, answers, strict=True) if each.executed == wanted]
            report[f"{name}.{label}"] = share(sum(answer == wanted for answer in those), len(those))
    return report


def main() -> None:
    """Follow every order and print the shares told right as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=Path, required=True)
    sys.stdout.write(json.dumps(told(parser.parse_args().messages)) + "\n")


if __name__ == "__main__":
    main()
