"""Paper trading in the demo's live view: what is known after the records, and what is shown of it."""

from rich.console import Console

from infra.demo.gauges import TradingState
from infra.demo.view import result_of, trading_panel
from tapewatch.contract.messages import Cause, Fill, Message, Order, Position, encode, stable_id
from tests.unit.paper_market import TOPIC, signal

AT = "2024-01-31T09:00:07.000000000Z"
CAUSE = Cause(TOPIC, 0, 3)
ORDER = stable_id("an order")


class Record:
    """A record as a consumer gives it."""

    def __init__(self, message: Message) -> None:
        self._topic, self._value = message.TOPIC, encode(message)

    def topic(self) -> str:
        return self._topic

    def value(self) -> bytes:
        return self._value


def after(*said: Message) -> TradingState:
    trading = TradingState(TOPIC)
    for message in said:
        trading.take(Record(message))
    return trading


def order(revision: int, state: str, cause: Cause = CAUSE) -> Order:
    return Order(
        id=ORDER, revision=revision, mode="paper", instrument="A.SIMX", side="buy", kind="limit", price=10.0, qty=2.0,
        state=state, created=AT, updated=AT, cause=cause,  # type: ignore[arg-type]
    )  # fmt: skip


def fill() -> Fill:
    return Fill(
        id=stable_id(ORDER, 0), order=ORDER, mode="paper", instrument="A.SIMX", side="buy", price=10.25, qty=2.0, at=AT,
        cause=CAUSE,
    )  # fmt: skip


def account(instrument: str, currency: str, result: float) -> Position:
    return Position(
        instrument=instrument, ts=AT, currency=currency, position=2.0, cost=20.0, cash=-20.0, realised=0.0,
        unrealised=result, fees=0.0, taxes=0.0, result=result, cause=CAUSE,
    )  # fmt: skip


def shown(trading: TradingState | None) -> str:
    console = Console(width=100, height=12)
    with console.capture() as capture:
        console.print(trading_panel(5, trading, 0))
    return capture.get()


def test_an_order_counts_once_and_stands_until_it_has_ended() -> None:
    standing = after(order(0, "pending"), order(1, "open"))
    assert (len(standing.orders), len(standing.standing)) == (1, 1)
    ended = after(order(0, "pending"), order(1, "open"), fill(), order(2, "filled"))
    assert (len(ended.orders), len(ended.standing), ended.fills) == (1, 0, 1)


def test_the_result_is_that_of_the_newest_accounts_by_currency() -> None:
    trading = after(account("A.SIMX", "USD", 1.0), account("A.SIMX", "USD", 2.5), account("B.SIMX", "TWD", -3.0))
    assert trading.result == {"TWD": -3.0, "USD": 2.5}
    assert result_of(trading).plain == "-3.00 TWD +2.50 USD "
    assert trading.open_positions == 2


def test_what_belongs_to_another_feed_is_passed_over() -> None:
    assert not after(order(0, "open", Cause("market.other", 0, 3))).orders


def test_the_panel_shows_counts_the_newest_action_and_fill() -> None:
    text = shown(
        after(signal("hold", 1.0, 2), signal("buy", 2.0, 3), order(0, "open"), fill(), account("A.SIMX", "USD", 2.5))
    )
    assert "5 signals, 1 orders (1 open)" in text
    assert "1 fills, 1 positions" in text
    assert "+2.50 USD" in text
    assert "signal buy" in text
    assert "buy 2" in text
    assert "at 10.25" in text
    assert "hold" not in text
    assert "not started yet" in shown(None)
