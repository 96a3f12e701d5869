"""The paper broker: orders from signals, limits, replacement, kill switch, books that reconcile, restart anywhere."""

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.trading import state
from streams.paper.broker import PaperBroker
from streams.paper.stored import dump, load
from tapewatch.contract.messages import Cause, Fill, Order, encode
from tapewatch.errors import TapewatchError
from tapewatch.settings.paper import PaperSettings
from tests.unit.paper_market import IDS, REFERENCE, TOPIC, Log, close, quote, random_log, signal, trade

QUICK = PaperSettings(started=True, warm_s=2, half_life_s=10.0, latency_ms=200.0, risk_share=0.0001)


def broker_of(paper: PaperSettings = QUICK) -> PaperBroker:
    return PaperBroker(paper, REFERENCE, TOPIC, 0)


def warmed(paper: PaperSettings = QUICK) -> PaperBroker:
    """A broker that has seen A.SIMX for five seconds; offset 4."""
    broker = broker_of(paper)
    for second in range(5):
        broker.frame(second, quote(second, 40.00 + 0.01 * (second % 2), 40.03))
    return broker


def orders(broker: PaperBroker) -> list[Order]:
    return [each for each in broker.book.messages if isinstance(each, Order)]


def fills(broker: PaperBroker) -> list[Fill]:
    return [each for each in broker.book.messages if isinstance(each, Fill)]


def run(broker: PaperBroker, log: Log, first: int = 0, last: int | None = None) -> list[bytes]:
    """What comes out of frames first..last-1 and their signals, as bytes."""
    found: list[bytes] = []
    for offset in range(first, len(log.frames) if last is None else last):
        broker.frame(offset, log.frames[offset])
        for each in log.signals[offset]:
            broker.signal(each)
        messages, accounts = broker.take()
        found += [encode(message) for message in messages] + [msgspec.json.encode(account) for account in accounts]
    return found


def test_a_signal_becomes_a_limit_order_at_the_touch_that_fills_when_its_turn_comes() -> None:
    broker = warmed()
    broker.signal(signal("buy", 4, 4))
    broker.frame(5, quote(4.1, 40.00, 40.03))
    broker.frame(6, quote(4.3, 40.00, 40.03))
    broker.frame(7, trade(4.5, 40.00, 1_000, -1))
    broker.frame(8, trade(4.6, 40.00, 10, -1))
    broker.frame(9, trade(4.7, 40.00, 9_000, -1))
    assert [order.state for order in orders(broker)] == ["pending", "open", "open", "filled"]
    assert [order.revision for order in orders(broker)] == [0, 1, 2, 3]
    assert {fill.price for fill in fills(broker)} == {40.00}
    assert fills(broker)[0].qty == 10
    assert all(fill.liquidity == "maker" for fill in fills(broker))
    assert orders(broker)[0].cause == signal("buy", 4, 4).cause
    cause = fills(broker)[0].cause
    assert cause is not None
    assert cause.offset == 8


def test_a_proposed_price_is_put_on_the_tick() -> None:
    broker = warmed()
    broker.signal(signal("buy", 4, 4, price=40.0199))
    broker.signal(signal("sell", 4, 4, price=50.01))
    assert [order.price for order in orders(broker)] == [40.01, 50.05]


def test_equal_risk_asks_for_less_of_what_moves_more() -> None:
    calm, wild = warmed(), broker_of()
    for second in range(5):
        wild.frame(second, quote(second, 40.00 + 0.20 * (second % 2), 40.53))
    for broker in (calm, wild):
        broker.signal(signal("buy", 4, 4))
    assert orders(wild)[0].qty < orders(calm)[0].qty
    assert orders(wild)[0].qty % 10 == 0


def test_positions_and_orders_stay_within_the_limit() -> None:
    broker = warmed(msgspec.structs.replace(QUICK, order="market", position_share=0.01, risk_share=1.0))
    for offset in range(5, 12):
        broker.signal(signal("buy", offset - 1, offset - 1))
        broker.frame(offset, quote(offset, 40.01, 40.03, 100_000))
    held = int(broker.lanes.state[0, state.POSITION])
    assert 0 < held * 40.01 <= 10_000


def test_without_shorting_nothing_is_sold_that_is_not_held() -> None:
    broker = broker_of()
    for second in range(5):
        broker.frame(second, quote(second, 100.00, 100.05 + 0.05 * (second % 2), code=1))
    broker.signal(signal("sell", 4, 4, "B.SIMX"))
    assert [(order.state, order.reason) for order in orders(broker)] == [
        ("rejected", "more than is held, and shorting is off")
    ]


def test_a_buy_asks_for_no_more_than_cash_pays_for() -> None:
    broker = warmed(msgspec.structs.replace(QUICK, capital=1_000.0, position_share=1.0, risk_share=1.0, order="market"))
    broker.signal(signal("buy", 4, 4))
    broker.frame(5, quote(5, 40.01, 40.03, 100_000))
    assert [fill.qty for fill in fills(broker)] == [20]
    assert broker.lanes.units[0].money(int(broker.lanes.state[0, state.CASH])) > -1_000.0


def test_a_better_price_replaces_the_order_that_stands() -> None:
    broker = warmed()
    broker.signal(signal("buy", 4, 4))
    broker.frame(5, quote(4.5, 40.00, 40.03))
    broker.signal(signal("buy", 4.5, 5, price=40.02))
    broker.frame(6, quote(5.5, 40.00, 40.03))
    said = [(order.price, order.state, order.reason) for order in orders(broker)]
    assert said == [
        (40.00, "pending", ""), (40.00, "open", ""), (40.02, "pending", ""), (40.00, "cancelled", "replaced"),
        (40.02, "open", ""),
    ]  # fmt: skip


def test_the_same_signal_again_leaves_the_order_in_its_place() -> None:
    broker = warmed()
    broker.signal(signal("buy", 4, 4))
    broker.frame(5, quote(4.5, 40.00, 40.03))
    broker.signal(signal("buy", 4.5, 5))
    assert len(broker.book.standing) == 1
    assert broker.skipped == {"order stands": 1}


def test_an_opposite_signal_cancels_what_stands() -> None:
    broker = warmed()
    broker.signal(signal("buy", 4, 4))
    broker.frame(5, quote(4.5, 40.00, 40.03))
    broker.signal(signal("sell", 4.5, 5))
    broker.frame(6, quote(5.5, 40.00, 40.03))
    assert ("cancelled", "opposite signal") in [(order.state, order.reason) for order in orders(broker)]


def test_the_kill_switch_cancels_everything_and_refuses_what_follows() -> None:
    broker = warmed()
    broker.signal(signal("buy", 4, 4))
    broker.frame(5, quote(4.5, 40.00, 40.03))
    broker.command("kill")
    broker.signal(signal("buy", 4.5, 5))
    broker.frame(6, quote(5.5, 40.00, 40.03))
    assert orders(broker)[-1].reason == "kill switch"
    assert broker.book.standing == {}
    assert broker.skipped == {"not running": 1}
    broker.command("start")
    broker.signal(signal("buy", 5.5, 6))
    assert orders(broker)[-1].state == "pending"


def test_an_instrument_switched_off_does_not_trade() -> None:
    broker = warmed()
    broker.switch("A.SIMX", False)
    broker.signal(signal("buy", 4, 4))
    assert orders(broker) == []
    broker.switch("A.SIMX", True)
    broker.signal(signal("buy", 4, 4))
    assert len(orders(broker)) == 1


def test_an_order_that_has_stood_too_long_is_cancelled() -> None:
    broker = warmed(msgspec.structs.replace(QUICK, lifetime_s=3.0))
    broker.signal(signal("buy", 4, 4))
    for offset in range(5, 10):
        broker.frame(offset, quote(offset, 40.01, 40.03))
    assert (orders(broker)[-1].state, orders(broker)[-1].reason) == ("cancelled", "lifetime")


def test_day_trading_ends_flat() -> None:
    broker = warmed(msgspec.structs.replace(QUICK, order="market"))
    broker.signal(signal("sell", 4, 4))
    broker.frame(5, quote(5, 40.01, 40.03))
    assert broker.lanes.state[0, state.POSITION] < 0
    broker.frame(6, close(5.5))
    assert broker.lanes.state[0, state.POSITION] == 0
    assert orders(broker)[-1].state == "filled"


def test_nothing_trades_before_its_volatility_is_known() -> None:
    broker = broker_of()
    broker.frame(0, quote(0, 40.00, 40.03))
    broker.signal(signal("buy", 1, 0))
    assert broker.skipped == {"volatility not warm": 1}


def test_a_signal_from_before_the_newest_frame_is_late_and_one_from_after_is_an_error() -> None:
    broker = warmed()
    broker.signal(signal("buy", 3, 3))
    assert broker.skipped == {"late": 1}
    with pytest.raises(ValueError, match="after 4"):
        broker.signal(signal("buy", 5, 5))


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 119), st.sampled_from(["limit", "market"]))
def test_a_restart_anywhere_changes_no_byte(seed: int, cut: int, order: Any) -> None:
    log, paper = random_log(seed), msgspec.structs.replace(QUICK, order=order)
    whole = run(broker_of(paper), log)
    first = broker_of(paper)
    parts = run(first, log, 0, cut)
    second = load(dump(first), REFERENCE)
    assert dump(second) == dump(first)
    assert parts + run(second, log, cut) == whole


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(["limit", "market"]))
def test_the_books_reconcile_with_the_fills_to_the_last_unit(seed: int, order: Any) -> None:
    log, broker = random_log(seed), broker_of(msgspec.structs.replace(QUICK, order=order))
    for offset, frame in enumerate(log.frames):
        broker.frame(offset, frame)
        for each in log.signals[offset]:
            broker.signal(each)
    cash: dict[str, Decimal] = dict.fromkeys(IDS, Decimal(0))
    held: dict[str, Decimal] = dict.fromkeys(IDS, Decimal(0))
    by_order: Counter[str] = Counter()
    for fill in fills(broker):
        signed = Decimal(repr(fill.qty)) * (1 if fill.side == "buy" else -1)
        cash[fill.instrument] -= Decimal(repr(fill.price)) * signed + Decimal(repr(fill.fee)) + Decimal(repr(fill.tax))
        held[fill.instrument] += signed
        by_order[fill.order] += int(fill.qty)
    for name, lane in broker.lanes.place.items():
        p, units = broker.lanes.state[lane], broker.lanes.units[lane]
        assert cash[name] == Decimal(int(p[state.CASH])).scaleb(-units.money_decimals)
        assert held[name] == Decimal(int(p[state.POSITION])).scaleb(-units.qty_decimals)
    newest = {order.id: order for order in orders(broker)}
    assert {name: int(order.filled) for name, order in newest.items() if order.filled} == dict(by_order)
    revisions: dict[str, list[int]] = {}
    for order in orders(broker):
        revisions.setdefault(order.id, []).append(order.revision)
    assert all(each == list(range(len(each))) for each in revisions.values())
    standing = {record.id for record in broker.book.standing.values()}
    assert {name for name, order in newest.items() if order.state in ("pending", "open")} == standing


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_how_rows_are_cut_into_frames_changes_no_fill(seed: int, chance: Any) -> None:
    log = random_log(seed)
    plain, cut = broker_of(), broker_of()
    run_plain, run_cut = list[bytes](), list[bytes]()
    offset = 0
    for number, frame in enumerate(log.frames):
        plain.frame(number, frame)
        where = chance.randint(0, len(frame))
        for part in (frame.take(slice(0, where)), frame.take(slice(where, None))):
            if len(part):
                cut.frame(offset, part)
                offset += 1
        for each in log.signals[number]:
            plain.signal(each)
            cause = msgspec.structs.replace(each.cause, offset=offset - 1)
            cut.signal(msgspec.structs.replace(each, cause=cause))
    nowhere = Cause(TOPIC, 0, 0)
    for broker, found in ((plain, run_plain), (cut, run_cut)):
        for message in (*broker.book.messages, *broker.accounts):
            found.append(encode(msgspec.structs.replace(message, cause=nowhere)))
    assert run_plain == run_cut


def test_accounts_add_up() -> None:
    broker = broker_of(msgspec.structs.replace(QUICK, order="market"))
    run_log = random_log(5)
    for offset, frame in enumerate(run_log.frames):
        broker.frame(offset, frame)
        for each in run_log.signals[offset]:
            broker.signal(each)
    assert broker.accounts
    for account in broker.accounts:
        exact = account.realised + account.unrealised - account.fees - account.taxes
        assert account.result == pytest.approx(exact, abs=1e-6)
    times = [account.ts for account in broker.accounts]
    assert times == sorted(times)


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(TapewatchError, match="no state"):
        load(b"{}", REFERENCE)
