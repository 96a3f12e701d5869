"""The synthetic market of coins beside that of shares."""

from decimal import Decimal

from producers.synthetic import CRYPTO, SyntheticConfig, SyntheticMarket
from tapewatch.contract.rows import RowType

START = 1_735_689_600_000_000_000
SMALL = SyntheticConfig(instruments=12, rows_per_second=120.0, seconds=20, warmup_s=5.0)


def test_coins_have_ids_kind_and_currency_of_their_own() -> None:
    listed = SyntheticMarket(SMALL, 3, START, CRYPTO).instruments
    assert {one.kind for one in listed} == {"spot"} and {one.currency for one in listed} == {"USDT"}
    assert listed[0].id == "C0001USDT.SIMX"


def test_quantities_of_coins_are_parts_that_survive_their_text() -> None:
    market = SyntheticMarket(SMALL, 3, START, CRYPTO)
    lots = {one.id: Decimal(repr(one.lot)) for one in market.instruments}
    trades = [rows for chunk in market.chunks() for rows in chunk.rows if rows.type == RowType.TRADE]
    pairs = [
        (rows.instruments[code], qty)
        for rows in trades
        for code, qty in zip(rows.columns["instrument"].tolist(), rows.columns["qty"].tolist(), strict=True)
    ]
    assert pairs and any(qty != int(qty) for _, qty in pairs)
    assert all(Decimal(repr(qty)) % lots[name] == 0 for name, qty in pairs)


def test_what_is_listed_is_part_of_the_fingerprint_and_shares_keep_theirs() -> None:
    shares, coins = SyntheticMarket(SMALL, 3, START), SyntheticMarket(SMALL, 3, START, CRYPTO)
    assert shares.fingerprint != coins.fingerprint
    assert SyntheticMarket(SyntheticConfig(), 1, 0).fingerprint.startswith("cd0f56ca775a9623")
