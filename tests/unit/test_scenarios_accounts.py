"""Scenarios that know accounts: what hits, and the honest trading that looks like it."""

from collections.abc import Iterator

import numpy as np
import pytest

from detectors.scenarios.accounts import watch
from detectors.scenarios.accounts.ring import NANOS, UNKNOWN, Ring, hashed
from detectors.scenarios.accounts.watch import FRONT_RUNNING, MATCHED_ORDERS, PAINTING_THE_TAPE, WASH_TRADES

A, B, C, WHALE = (hashed(name) for name in ("a", "b", "c", "whale"))
Trade = tuple[float, float, float, int, int]
"""Time in s, price, quantity, buyer, seller."""


def codes(trades: list[Trade], ring: Ring | None = None) -> int:
    """All bits that the trades raise, in order of time."""
    used, found = ring or watch.create(), 0
    for at, price, qty, buyer, seller in sorted(trades):
        found |= watch.on_trade(used, int(at * NANOS), price, qty, buyer, seller)
    return found


def crowd(seed: int, seconds: float, every_s: float = 2.0, accounts: int = 40) -> Iterator[Trade]:
    """Trading of accounts of very different activity at a price that wanders."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, accounts + 1)
    price = 100.0
    for number in range(int(seconds / every_s)):
        price *= float(np.exp(rng.normal(0.0, 2e-4)))
        buyer, seller = rng.choice(accounts, 2, replace=False, p=weights / weights.sum()) + 1000
        yield (
            number * every_s + float(rng.random()),
            price,
            float(np.ceil(rng.lognormal(2.0, 0.8))),
            int(buyer),
            int(seller),
        )


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_of_unequal_accounts_raises_nothing(seed: int) -> None:
    assert codes(list(crowd(seed, 1800.0))) == 0


def test_an_account_that_trades_with_itself_is_wash_trading() -> None:
    assert codes([*crowd(1, 300.0), *((40.0 + 20 * n, 100.0, 50.0, A, A) for n in range(6))]) & WASH_TRADES


def test_two_accounts_that_trade_to_and_fro_are_wash_trading() -> None:
    to_and_fro: list[Trade] = [(40.0 + 10 * n, 100.0, 50.0, *((A, B) if n % 2 else (B, A))) for n in range(8)]
    assert codes([*crowd(1, 300.0), *to_and_fro]) & WASH_TRADES


def test_two_accounts_alone_in_a_dead_market_are_wash_trading() -> None:
    assert codes([(10.0 * n, 100.0, 50.0, *((A, B) if n % 2 else (B, A))) for n in range(8)]) & WASH_TRADES


def test_evidence_stands_against_its_thresholds() -> None:
    ring = watch.create()
    codes([*crowd(1, 60.0), *((70.0 + 20 * n, 100.0, 50.0, A, A) for n in range(6))], ring)
    values = watch.evidence(ring, WASH_TRADES)
    known = ~np.isnan(values[8:])
    assert values[0] == 6.0 and known.sum() == 3
    assert (values[:8][known] >= values[8:][known]).all()


def test_a_position_that_is_built_up_from_one_seller_is_no_wash_trade() -> None:
    assert not codes([*crowd(1, 300.0), *((40.0 + 10 * n, 100.0, 50.0, A, B) for n in range(12))]) & WASH_TRADES


def test_two_accounts_that_meet_in_one_size_are_matched() -> None:
    assert codes([*crowd(2, 300.0), *((40.0 + 20 * n, 100.0, 50.0, A, B) for n in range(6))]) & MATCHED_ORDERS


def test_two_accounts_that_meet_in_many_sizes_are_not_matched() -> None:
    trades: list[Trade] = [(40.0 + 20 * n, 100.0, 10.0 + 7 * n, A, B) for n in range(6)]
    assert not codes([*crowd(2, 300.0), *trades]) & MATCHED_ORDERS


def front_run(own_sale: float, whale: float = 600.0) -> list[Trade]:
    """A buys, the whale lifts the price by half a percent, A sells."""
    lift: list[Trade] = [(205.0 + n, 100.0 + 0.05 * n, whale / 10, WHALE, 1000 + n) for n in range(10)]
    return [*crowd(3, 200.0), (203.0, 100.0, 30.0, A, 1003), *lift, (220.0, own_sale, 30.0, 1004, A)]


def test_buying_before_a_large_buyer_and_selling_into_the_rise_is_front_running() -> None:
    assert codes(front_run(100.5)) & FRONT_RUNNING


@pytest.mark.parametrize(
    ("why", "trades"),
    [
        ("nothing is gained", front_run(100.05)),
        ("the buyer between is an ordinary one", front_run(100.5, whale=60.0)),
        ("a dealer trades all the time", [*front_run(100.5), *((201.0 + n, 100.0, 5.0, A, 1005) for n in range(5))]),
    ],
)
def test_no_front_running_where(why: str, trades: list[Trade]) -> None:
    assert not codes(trades) & FRONT_RUNNING


def painted(step: float, accounts: tuple[int, ...]) -> list[Trade]:
    """Ten prints in a row, each higher by `step`."""
    return [
        (300.0 + 3 * n, 100.0 + step * n, 5.0, accounts[n % len(accounts)], accounts[(n + 1) % len(accounts)])
        for n in range(10)
    ]


def test_three_accounts_that_print_higher_and_higher_paint_the_tape() -> None:
    assert codes([*crowd(4, 290.0), *painted(0.05, (A, B, C))]) & PAINTING_THE_TAPE


@pytest.mark.parametrize(
    ("why", "trades"),
    [
        ("the price hardly moves", painted(0.001, (A, B, C))),
        ("many accounts take part", painted(0.05, tuple(range(2000, 2010)))),
        ("prices go to and fro", [(t, p if n % 2 else p - 0.2, q, b, s) for n, (t, p, q, b, s) in enumerate(painted(0.05, (A, B)))]),
    ],
)  # fmt: skip
def test_no_painting_where(why: str, trades: list[Trade]) -> None:
    assert not codes([*crowd(4, 290.0), *trades]) & PAINTING_THE_TAPE


def test_trades_without_accounts_are_not_assessed() -> None:
    assert codes([(10.0 * n, 100.0, 50.0, UNKNOWN, UNKNOWN) for n in range(20)]) == 0


def test_what_the_ring_no_longer_holds_is_not_seen() -> None:
    trades: list[Trade] = [(10.0 + n, 100.0, 50.0, A, A) for n in range(5)]
    others: list[Trade] = [(20.0 + n / 10, 100.0, 5.0, 1000 + n, 2000 + n) for n in range(40)]
    last: list[Trade] = [(30.0, 100.0, 50.0, A, A)]
    assert codes([*trades, *others, *last], watch.create(size=64)) & WASH_TRADES
    assert codes([*trades, *others, *last], watch.create(size=32)) == 0


def test_hashed_accounts_are_stable_and_empty_ones_unknown() -> None:
    assert hashed("alice") == hashed("alice") != hashed("bob")
    assert hashed("") == UNKNOWN
    assert 0 < hashed("alice") < 2**63
