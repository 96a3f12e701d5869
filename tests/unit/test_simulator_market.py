"""The market behind the simulators."""

from random import Random

from producers.simulators.market import MarketBook, VenueMarket, coin_pairs


def test_changes_applied_to_a_snapshot_give_the_true_book() -> None:
    book = MarketBook("BTCUSDT", Random(7), depth=20)
    bids, asks = (dict(side) for side in book.levels())
    last = book.last_id
    for _ in range(5_000):
        change = book.change()
        assert change.first_id == last + 1
        assert change.last_id >= change.first_id
        last = change.last_id
        for side, levels in ((bids, change.bids), (asks, change.asks)):
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                else:
                    del side[price]
        assert max(bids) == book.best_bid < book.best_ask == min(asks)
        assert len(bids) == len(asks) == 20
    assert (sorted(bids.items(), reverse=True), sorted(asks.items())) == book.levels()
    assert book.best_bid != MarketBook("BTCUSDT", Random(7), depth=20).best_bid, "the price walks"


def test_a_seed_gives_the_same_market_again() -> None:
    def events(seed: int) -> list[object]:
        market = VenueMarket(coin_pairs(3), seed=seed)
        return [(book.trade(), book.change()) for _ in range(50) for book in market.books.values()]

    assert events(1) == events(1) != events(2)


def test_trade_ids_rise_by_one_and_the_latest_are_kept() -> None:
    book = MarketBook("BTCUSDT", Random(7), kept=4)
    assert book.fetch(-1, 10) == []
    trades = [book.trade(5 + n) for n in range(10)]
    assert [trade.id for trade in trades] == list(range(book.first_trade_id, book.first_trade_id + 10))
    assert book.fetch(0, 10) == [(trades[n], 5 + n) for n in range(6, 10)]
    assert book.fetch(trades[8].id, 10) == [(trades[8], 13), (trades[9], 14)]
    assert book.fetch(-1, 1) == [(trades[9], 14)]
    assert book.fetch(trades[9].id + 1, 10) == []


def test_prices_and_quantities_are_exact_decimals() -> None:
    book = MarketBook("BTCUSDT", Random(7), tick=2, lot=3)
    assert book.price_text(12345) == "123.45"
    assert book.quantity_text(7) == "0.007"
    assert book.price(12345) == 123.45
    (best, _), *_ = book.floats(1)[0]
    assert best == book.best_bid / 100


def test_a_delisted_symbol_is_listed_no_more() -> None:
    market = VenueMarket(["AUSDT", "BUSDT"])
    assert market.delist("") == "AUSDT"
    assert [book.listed for book in market.books.values()] == [False, True]
