"""The book model in the engine: the probabilities that each instrument's rows have over whole arrays, and none below
its data tier.
"""

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.book import batch
from detectors.book.model import SCENARIOS, shipped
from detectors.book.trees import score_rows
from detectors.scenarios import layering
from streams.driver import table
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.scenario_evaluation import DETECTORS
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.rows import RowType
from tests.unit.book_tape import ASK, BID, START, Order, Trade, tape
from tests.unit.drawn_books import drawn
from tests.unit.engine_market import Event, in_order, messages_of, run

NAME = "S2.SIMX"


def log_of(found: batch.Tape, with_books: bool = True, name: str = NAME) -> list[Event]:
    """The tape as rows of the log: at one time trades, then quotes, then books; quotes only once there is a book."""
    trades = [
        Event(RowType.TRADE, name, int(at), {"price": p, "qty": q, "aggressor_side": int(side), "condition": 0})
        for at, (p, q, side) in zip(found.trade_ns, found.trades, strict=True)
    ]
    keys = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    quotes = [
        Event(RowType.QUOTE, name, int(at), dict(zip(keys, row, strict=True)) | {"last_price": np.nan, "volume": 0.0})
        for at, row in zip(found.quote_ns, found.quotes, strict=True)
    ]
    books = [
        Event(RowType.BOOK, name, int(at), dict(zip(keys, row.reshape(4, 10), strict=True)) | {"sequence": 0})
        for at, row in zip(found.book_ns, found.books, strict=True)
    ]
    return in_order(trades, quotes, books if with_books else [])


def after_first_book(found: batch.Tape) -> batch.Tape:
    """The tape without what came before its first book, of which the engine keeps nothing."""
    trades, quotes = found.trade_ns > found.book_ns[0], found.quote_ns > found.book_ns[0]
    return batch.Tape(
        found.trade_ns[trades], found.trades[trades], found.quote_ns[quotes], found.quotes[quotes],
        found.book_ns, found.books,
    )  # fmt: skip


def with_known_sides(found: batch.Tape) -> batch.Tape:
    """The tape without trades of unknown aggressor, which the engine looks up in its quotes."""
    known = found.trades[:, 2] != 0.0
    return dataclasses.replace(found, trade_ns=found.trade_ns[known], trades=found.trades[known])


def test_engine_gives_each_instrument_the_probabilities_that_its_rows_have_over_whole_arrays() -> None:
    orders = [Order(BID, level, 12.0, 30.2, 33.4) for level in range(2, 6)]
    layers = tape(orders, [Trade(31.0, ASK, 0, 2.0)], flicker=(45.0, 48.0))
    market = {"S1.SIMX": drawn(1, 60), NAME: layers, "S3.SIMX": drawn(2, 60, 0.5, 0.001)}
    market = {name: after_first_book(with_known_sides(found)) for name, found in market.items()}
    log = in_order(*(log_of(found, name=name) for name, found in market.items()))
    scores = table(run(log).outgoing(), "scores")
    for name, found in market.items():
        seconds, rows = batch.features(found)
        wanted = np.full((len(rows), len(SCENARIOS)), np.nan)
        score_rows(rows, shipped().trees(), wanted)
        for place, scenario in enumerate(SCENARIOS):
            mine = (scores["detector"] == DETECTORS.index(scenario)) & (scores["instrument"] == name)
            told = dict(zip((scores["ts"][mine] // NANOS - 1).tolist(), scores["probability"][mine], strict=True))
            both = np.isin(seconds, list(told))
            assert both.sum() > 40
            found_at = np.array([told[second] for second in seconds[both].tolist()])
            assert found_at == pytest.approx(wanted[both, place], rel=1e-5)


def test_without_a_book_the_model_says_nothing() -> None:
    scores = table(run(log_of(tape([], []), with_books=False)).outgoing(), "scores")
    assert not np.isin(scores["detector"], [DETECTORS.index(scenario) for scenario in SCENARIOS]).any()


def test_scenario_alerts_once_while_the_model_reports_and_names_the_model() -> None:
    found = after_first_book(tape([Order(BID, level, 12.0, 30.2, 33.4) for level in range(2, 6)], []))
    reports_anything = msgspec.structs.replace(
        shipped(), boosters=tuple(msgspec.structs.replace(one, alert=1e-6) for one in shipped().boosters)
    )
    shelf = ModelStore()
    default = ActiveModels.default(shelf)
    at_once = msgspec.structs.replace(default.config, layering=layering.Parameters(warm_s=0.0))
    easy = ActiveModels(shelf, default.models | {"book": shelf.put(reports_anything.encoded())}, at_once)
    strict = ActiveModels(shelf, default.models, at_once)
    alerts, quiet = (
        [msgspec.json.decode(data) for data in messages_of(run(log_of(found), force=force).outgoing(), topics.ALERTS)]
        for force in (easy, strict)
    )
    (opened,) = [alert for alert in alerts if alert["scenario"] == "layering" and alert["revision"] == 0]
    assert opened["provenance"]["models"]["book"] == reports_anything.hash
    assert not [alert for alert in quiet if alert["scenario"] in SCENARIOS]


def order_rows(executed: float, until: float = 50.0) -> list[Event]:
    """An order of 10 every half a second; a tenth of a second later the given share of it is executed, then the rest
    deleted.
    """
    made = []
    for number in range(int(until * 2)):
        when, name = START + number / 2, f"o{number}"
        for at, action, qty in ((0.05, 1, 10.0), (0.15, 4, 10.0 * executed), (0.2, 3, 10.0 * (1.0 - executed))):
            values = {"action": action, "side": 1, "price": 99.9, "qty": qty, "order_id": name}
            if qty > 0.0:
                made.append(Event(RowType.ORDER, NAME, int((when + at) * NANOS), values))
    return made


def layered(orders: list[Event], **parameters: float) -> list[dict[str, Any]]:
    """First revisions of layering where the model reports anything, with order rows beside the book."""
    found = after_first_book(tape([Order(BID, level, 12.0, 30.2, 33.4) for level in range(2, 6)], []))
    easy = msgspec.structs.replace(
        shipped(), boosters=tuple(msgspec.structs.replace(one, alert=1e-6) for one in shipped().boosters)
    )
    shelf = ModelStore()
    default = ActiveModels.default(shelf)
    config = msgspec.structs.replace(default.config, layering=layering.Parameters(warm_s=0.0, **parameters))
    force = ActiveModels(shelf, default.models | {"book": shelf.put(easy.encoded())}, config)
    alerts = messages_of(run(in_order(log_of(found), orders), force=force).outgoing(), topics.ALERTS)
    told = [msgspec.json.decode(data) for data in alerts]
    return [alert for alert in told if alert["scenario"] == "layering" and alert["revision"] == 0]


def test_order_rows_of_withdrawals_stand_in_the_evidence_of_an_alert() -> None:
    (alert,) = layered(order_rows(executed=0.1))
    shown = {one["feature"]: one for one in alert["evidence"]}
    assert shown["unfilled_60s"]["value"] == pytest.approx(0.9, abs=0.02)
    assert (shown["unfilled_60s"]["threshold"], shown["short_lived_60s"]["value"]) == (0.5, 1.0)
    assert "By order rows 90 % of the quantity" in alert["sentence"]


def test_without_order_rows_the_book_alone_decides() -> None:
    (alert,) = layered([])
    shown = {one["feature"]: one for one in alert["evidence"]}
    assert (shown["unfilled_60s"]["value"], shown["unfilled_60s"]["threshold"]) == (None, None)
    assert "order rows" not in alert["sentence"]


@pytest.mark.parametrize(
    ("why", "executed", "parameters"),
    [
        ("most of what ended was executed", 0.8, {}),
        ("more must have been withdrawn", 0.1, {"min_unfilled": 0.95}),
    ],
)
def test_no_alert_where_order_rows_speak_against_it(why: str, executed: float, parameters: dict[str, float]) -> None:
    assert layered(order_rows(executed), **parameters) == []
    assert layered(order_rows(executed), min_unfilled=0.0)


def test_orders_that_live_long_can_be_asked_for_and_then_hold_the_alert_back() -> None:
    made = order_rows(executed=0.0)
    late = [Event(one.type, NAME, one.at + 5 * NANOS, one.values) for one in made if one.values["action"] == 3]
    orders = in_order([one for one in made if one.values["action"] == 1], late)
    assert layered(orders)
    assert layered(orders, min_short_lived=0.1) == []
