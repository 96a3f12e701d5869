"""What an order gateway lets through, and what it takes to start one."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sinks.orders import service as gateway
from sinks.orders.journal import Entry, Journal
from sinks.orders.limits import Book, Limits, off_grid
from sinks.orders.secrets import keys
from sinks.orders.venue import Execution, shared_out
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Order, stable_id
from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import OrderSettings, Settings

NOW = 1_750_000_000 * NANOS
BTC = Instrument("BTCUSDT.BINANCE", ticks=(Tick(0.0, 0.01), Tick(1000.0, 0.1)), lot=0.001)
EMPTY = Book(Decimal(0), (), 0)
BOUNDS: dict[str, Any] = {
    "instruments": ("BTCUSDT.BINANCE", "ETHUSDT.BINANCE"),
    "max_order_value": 1000.0,
    "max_open_orders": 3,
    "max_position_value": 2000.0,
    "max_orders_minute": 10,
}


def order(price: float | None = 500.0, qty: float = 1.0, **changed) -> Order:
    fields = {
        "id": stable_id("x"), "revision": 0, "mode": "live", "instrument": BTC.id, "side": "buy", "kind": "limit",
        "price": price, "qty": qty, "state": "pending", "created": to_rfc3339(NOW), "updated": to_rfc3339(NOW),
    }  # fmt: skip
    return Order(**{**fields, **changed})


def entry(side="buy", qty="1", filled="0", instrument=BTC.id) -> Entry:
    return Entry(
        stable_id(side, qty), instrument, side, Decimal(500), Decimal(qty), "", "", NOW, "open", filled=Decimal(filled)
    )


def objection(made: Order, book: Book = EMPTY, now: int = NOW, **changed) -> str:
    return Limits(OrderSettings(**{**BOUNDS, **changed})).objection(made, {BTC.id: BTC}, book, now)


def test_an_order_within_all_limits_passes() -> None:
    assert objection(order()) == ""


@pytest.mark.parametrize(
    ("made", "book", "why"),
    [
        (order(instrument="DOGEUSDT.BINANCE"), EMPTY, "not allowed"),
        (order(instrument="ETHUSDT.BINANCE"), EMPTY, "not registered"),
        (order(kind="market", price=None), EMPTY, "only limit orders"),
        (order(price=500.005), EMPTY, "off the tick"),
        (order(price=1000.05, qty=0.5), EMPTY, "off the tick"),
        (order(price=-500.0), EMPTY, "no tick size"),
        (order(qty=0.0005), EMPTY, "off the lot"),
        (order(qty=3.0), EMPTY, "order value"),
        (order(), Book(Decimal(0), (entry(), entry(), entry()), 0), "orders are open"),
        (order(), Book(Decimal(0), (), 10), "last 60 s"),
        (order(), Book(Decimal("3.5"), (), 0), "position value"),
        (order(), Book(Decimal(2), (entry(qty="2", filled="0.5"),), 0), "position value"),
        (order(side="sell"), Book(Decimal("-3.5"), (), 0), "position value"),
    ],
)
def test_an_order_beyond_a_limit_is_refused_with_its_reason(made: Order, book: Book, why: str) -> None:
    assert why in objection(made, book)


def test_an_order_that_shrinks_a_position_may_be_as_large_as_the_position() -> None:
    assert objection(order(side="sell", qty=2.0), Book(Decimal(4), (entry("buy", "1"),), 0)) == ""


@pytest.mark.parametrize("seconds", [31, -31])
def test_an_order_from_long_ago_or_far_ahead_is_refused(seconds: int) -> None:
    assert "older" in objection(order(), now=NOW + seconds * NANOS)


def test_a_tick_that_no_float_holds_exactly_is_compared_as_decimals() -> None:
    ticks = Instrument("X.Y", ticks=(Tick(0.0, 0.1),), lot=0.1)
    assert off_grid(ticks, Decimal("0.3"), Decimal("0.7")) == ""


@pytest.mark.parametrize("missing", sorted(BOUNDS))
def test_every_limit_has_to_be_set(missing: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Limits(OrderSettings(**{name: value for name, value in BOUNDS.items() if name != missing}))
    assert f"orders.{missing}" in refused.value.message


def test_a_gateway_does_not_start_without_the_word(tmp_path: Path) -> None:
    with pytest.raises(TapewatchError) as refused:
        gateway.run(Settings(data=str(tmp_path), orders=OrderSettings(**BOUNDS)), "upbit", i_mean_it=False)
    assert "--i-mean-it" in refused.value.hint


def test_a_gateway_does_not_start_without_an_address(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    settings = Settings(data=str(tmp_path), orders=OrderSettings(**BOUNDS))
    for address in ("", "http://api.example.com"):
        changed = Settings(data=str(tmp_path), orders=OrderSettings(**BOUNDS, address=address))
        with pytest.raises(SettingsError) as refused:
            gateway.make_venue(changed, "upbit", keys(settings.orders, dict.fromkeys(_VARIABLES, "x")))
        assert "orders.address" in refused.value.message


_VARIABLES = ("TAPEWATCH_VENUE_KEY", "TAPEWATCH_VENUE_SECRET")


def test_keys_come_from_files_that_others_cannot_read_or_from_the_environment(tmp_path: Path) -> None:
    for name in ("key", "secret"):
        (tmp_path / name).write_text(f"the-{name}\n")
        (tmp_path / name).chmod(0o600)
    found = keys(OrderSettings(key_file=str(tmp_path / "key"), secret_file=str(tmp_path / "secret")), {})
    assert (found.access, found.secret) == ("the-key", "the-secret")
    assert keys(OrderSettings(), {"TAPEWATCH_VENUE_KEY": "a", "TAPEWATCH_VENUE_SECRET": "b"}).secret == "b"
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(SettingsError):
        keys(OrderSettings(key_file=str(tmp_path / "key"), secret_file=str(tmp_path / "secret")), {})
    with pytest.raises(SettingsError):
        keys(OrderSettings(), {})


def test_a_journal_has_one_gateway_at_a_time(tmp_path: Path) -> None:
    first = Journal(tmp_path / "upbit.sqlite")
    with pytest.raises(TapewatchError):
        Journal(tmp_path / "upbit.sqlite")
    first.close()
    Journal(tmp_path / "upbit.sqlite").close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(KeyError), journal.transaction():
        journal.put(entry())
        raise KeyError
    assert journal.active() == []
    journal.close()


def test_an_entry_reads_back_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    wrote = entry(filled="0.25")
    wrote.cancel, wrote.venue_order_id = True, "7"
    with journal.transaction():
        journal.put(wrote)
    assert journal.active() == [wrote]
    journal.close()


def test_parts_of_a_fee_add_up_to_the_whole_however_it_rounds() -> None:
    made = [Execution(str(n), Decimal(3), Decimal(n), None, "KRW", "", WALL.now()) for n in (1, 1, 1)]
    parts = shared_out(made, Decimal("1.00000001"), Decimal("0.5"))
    assert sum(parts) == Decimal("0.50000001")
