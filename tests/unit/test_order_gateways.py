"""Order gateways against simulated venues: one order at the venue for one on the topic, whatever fails in between."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.venues.account import VenueOrder
from benchmarks.venues.binance import ASKING, PLACING, BinanceSimulator, Faults
from benchmarks.venues.fix import (
    INSTRUMENTS,
    PRICES,
    REFERENCE,
    STEP,
    TIMEOUT_S,
    Simulator,
    client,
    limits,
    new_order,
    served,
    simulator,
)
from sinks.orders import OrderRecord
from sinks.orders.binance import signature
from sinks.orders.secrets import Keys
from sinks.orders.venue import RefusedError
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.messages import Order, encode, stable_id
from tapewatch.rfc3339 import to_rfc3339
from tests.unit.order_desk import LOG, Desk, desk

VENUES = pytest.mark.parametrize("name", ["upbit", "binance"])


def at_venue(sim: Simulator) -> Counter[str]:
    """How many orders the venue has had, by client order id."""
    return Counter(each.client_id for each in sim.account.orders.values())


async def acknowledged(made: Desk, sim: Simulator, name: str) -> tuple[Order, VenueOrder]:
    """An order that the venue has acknowledged, and how the venue keeps it."""
    wanted = new_order(name, 1)
    made.take(wanted)
    await made.work(lambda: bool(made.orders(wanted.id)))
    there = sim.account.find(wanted.id)
    assert there is not None
    return wanted, there


def assert_books_agree(made: Desk, sim: Simulator) -> None:
    """Orders, fills, fees and holdings are the venue's, to the last unit."""
    assert set(at_venue(sim).values()) <= {1}
    by_id = {each.client_id: each for each in sim.account.orders.values()}
    fills = made.fills()
    assert len({each.id for each in fills}) == len(fills)
    for client_id, there in by_id.items():
        here = made.last(client_id)
        assert (here.state, Decimal(repr(here.filled))) == (there.state, there.filled)
        mine = sorted((Decimal(repr(f.price)), Decimal(repr(f.qty))) for f in fills if f.order == client_id)
        assert mine == sorted((trade.price, trade.qty) for trade in there.trades)
        booked = made.journal.fills(client_id)
        assert sum((fee for _, fee in booked.values()), Decimal(0)) == sum((t.fee for t in there.trades), Decimal(0))
        assert [each.revision for each in made.orders(client_id)] == list(range(1, here.revision + 1))
    for instrument in INSTRUMENTS.values():
        assert made.journal.position(instrument) == sim.account.held.get(instrument.partition(".")[0], Decimal(0))


@VENUES
def test_an_order_is_acknowledged_partly_filled_and_filled(name: str, tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator(name, Faults())
        async with desk(name, tmp_path, sim) as made:
            wanted, there = await acknowledged(made, sim, name)
            sim.account.trade(there, Decimal("0.003"))
            await made.work(lambda: len(made.orders(wanted.id)) == 2)
            sim.account.trade(there, Decimal("0.007"))
            await made.work()
            told = [(each.state, each.filled) for each in made.orders(wanted.id)]
            assert told == [("open", 0.0), ("open", 0.003), ("filled", 0.01)]
            assert all(each.venue_order_id for each in made.orders(wanted.id))
            assert [(each.qty, each.mode, each.price) for each in made.fills()] == [
                (0.003, "live", PRICES[name]),
                (0.007, "live", PRICES[name]),
            ]
            assert_books_agree(made, sim)

    asyncio.run(scene())


@VENUES
def test_a_cancel_ends_a_partly_filled_order_with_what_it_got(name: str, tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator(name, Faults())
        async with desk(name, tmp_path, sim) as made:
            wanted, there = await acknowledged(made, sim, name)
            sim.account.trade(there, Decimal("0.002"))
            made.take(new_order(name, 1, revision=2, request="cancel", state="open"))
            await made.work()
            assert (made.last(wanted.id).state, made.last(wanted.id).filled) == ("cancelled", 0.002)
            assert made.last(wanted.id).revision > 2

    asyncio.run(scene())


@VENUES
def test_a_cancel_of_an_order_that_is_done_says_again_what_became_of_it(name: str, tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator(name, Faults())
        async with desk(name, tmp_path, sim) as made:
            wanted, there = await acknowledged(made, sim, name)
            sim.account.trade(there, there.qty)
            await made.work()
            made.take(new_order(name, 1, revision=9, request="cancel", state="open"))
            assert (made.last(wanted.id).state, made.last(wanted.id).revision) == ("filled", 10)

    asyncio.run(scene())


@VENUES
@pytest.mark.parametrize("fault", sorted(PLACING))
def test_a_failure_of_a_placement_never_leaves_two_orders_at_the_venue(name: str, fault: str, tmp_path: Path) -> None:
    async def scene() -> None:
        faults = Faults(seed=5, patience_s=TIMEOUT_S)
        faults.next = [fault]
        sim = simulator(name, faults)
        async with desk(name, tmp_path, sim) as made:
            wanted = new_order(name, 1)
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)) and made.last(wanted.id).state in ("open", "rejected"))
            await asyncio.sleep(4 * TIMEOUT_S if fault == "late" else 0)
            assert faults.happened[fault] == 1
            # Upbit takes no identifier twice, also where the first request failed inside: such an order is rejected.
            used_up = (name, fault) == ("upbit", "error before")
            assert made.last(wanted.id).state == ("rejected" if used_up else "open")
            assert at_venue(sim) == ({} if used_up else {wanted.id: 1})

    asyncio.run(scene())


@VENUES
def test_an_unknown_outcome_is_told_and_then_settled_by_a_question(name: str, tmp_path: Path) -> None:
    async def scene() -> None:
        faults = Faults()
        faults.next = ["lost after"]
        sim = simulator(name, faults)
        async with desk(name, tmp_path, sim) as made:
            wanted = new_order(name, 1)
            made.take(wanted)
            await made.work(lambda: len(made.orders(wanted.id)) == 2)
            assert [each.state for each in made.orders(wanted.id)] == ["unknown", "open"]

    asyncio.run(scene())


@VENUES
@pytest.mark.parametrize("sent", [False, True], ids=["before the request", "after the request"])
def test_a_death_around_the_request_neither_loses_nor_doubles_the_order(name: str, sent: bool, tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator(name, Faults())
        async with desk(name, tmp_path, sim) as made:
            wanted = new_order(name, 1)
            made.take(wanted)
            entry = next(iter(made.gateway.active.values()))
            entry.phase, entry.sends, entry.sent_ns = "sent", 1, WALL.now()
            with made.journal.transaction():
                made.journal.put(entry)
            if sent:
                sim.account.place(wanted.id, made.venue.symbol(wanted.instrument), "buy", entry.price, entry.qty)
            await made.restart()
            await made.work(lambda: bool(made.orders(wanted.id)))
            assert made.last(wanted.id).state == "open"
            assert at_venue(sim) == {wanted.id: 1}

    asyncio.run(scene())


def test_binance_is_not_sent_an_order_again_while_the_first_may_still_be_accepted(tmp_path: Path) -> None:
    async def scene() -> None:
        faults = Faults()
        faults.next = ["lost before"]
        sim = simulator("binance", faults)
        async with desk("binance", tmp_path, sim) as made:
            wanted = new_order("binance", 1)
            began = WALL.now()
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)) and made.last(wanted.id).state == "open")
            there = sim.account.find(wanted.id)
            assert there is not None
            assert there.at - began >= int(made.venue.in_flight_s * NANOS)

    asyncio.run(scene())


def test_a_request_that_arrives_late_does_not_double_an_order_filled_in_the_meantime(tmp_path: Path) -> None:
    # Binance would take the client order id a second time once the first order is done: its window alone prevents it.
    async def scene() -> None:
        faults = Faults(seed=5, patience_s=TIMEOUT_S)
        faults.next = ["late"]
        sim = simulator("binance", faults)
        async with desk("binance", tmp_path, sim) as made:
            wanted = new_order("binance", 1)
            made.take(wanted)
            until = WALL.elapsed() + 2 * NANOS
            while WALL.elapsed() < until:
                await made.gateway.step()
                sim.account.trade_at_random()
                await asyncio.sleep(0.005)
            assert made.last(wanted.id).state == "filled"
            assert at_venue(sim) == {wanted.id: 1}

    asyncio.run(scene())


@VENUES
def test_what_the_venue_rejects_is_rejected_with_its_reason(name: str, tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator(name, Faults())
        sim._tick = Decimal(7)
        async with desk(name, tmp_path, sim) as made:
            wanted = new_order(name, 1)
            made.take(wanted)
            await made.work()
            reason = made.last(wanted.id).reason
            assert made.last(wanted.id).state == "rejected"
            assert ("PRICE_FILTER" in reason) or ("invalid_price" in reason)
            assert not sim.account.orders

    asyncio.run(scene())


@VENUES
def test_a_wrong_secret_is_refused_and_stands_in_no_message(name: str, tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator(name, Faults())
        async with desk(name, tmp_path, sim, keys=Keys("the-key", "wrong-secret")) as made:
            with pytest.raises(RefusedError) as refused:
                await made.venue.balances()
            assert "wrong-secret" not in str(refused.value) + repr(Keys("a", "wrong-secret"))

    asyncio.run(scene())


def test_a_clock_that_is_wrong_by_hours_is_put_right(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("binance", Faults())
        assert isinstance(sim, BinanceSimulator)
        async with desk("binance", tmp_path, sim) as made:
            sim.skew_ms = 7_200_000
            wanted = new_order("binance", 1)
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)))
            assert -1021 in sim.refused
            assert [each.state for each in made.orders(wanted.id)] == ["open"]

    asyncio.run(scene())


def test_an_order_is_not_done_before_its_last_trade_is_listed(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("binance", Faults())
        assert isinstance(sim, BinanceSimulator)
        async with desk("binance", tmp_path, sim) as made:
            wanted, there = await acknowledged(made, sim, "binance")
            sim.lag = 1
            sim.account.trade(there, Decimal("0.004"))
            sim.account.trade(there, Decimal("0.006"))
            await made.work(lambda: made.last(wanted.id).filled == 0.004)
            assert made.last(wanted.id).state == "open"
            sim.lag = 0
            await made.work()
            assert made.last(wanted.id).state == "filled"
            assert_books_agree(made, sim)

    asyncio.run(scene())


def test_a_lost_journal_asks_the_venue_before_it_sends_anything(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("binance", Faults())
        async with desk("binance", tmp_path, sim) as made:
            known, unknown, old = (new_order("binance", number) for number in range(3))
            sim.account.place(known.id, "BTCUSDT", "buy", Decimal("64000.25"), Decimal("0.01"))
            done = new_order("binance", 2, revision=3, state="filled", filled=0.01)
            made.intake.adopt([OrderRecord(LOG, at + 1, encode(o)) for at, o in enumerate((known, unknown, old, done))])
            assert not made.journal.fresh
            await made.work(lambda: bool(made.orders(known.id)) and bool(made.orders(unknown.id)))
            assert at_venue(sim) == {known.id: 1, unknown.id: 1}

    asyncio.run(scene())


def test_a_new_journal_holds_what_waited_for_it_to_the_limits(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("binance", Faults())
        async with desk("binance", tmp_path, sim) as made:
            off_lot, cancelled = new_order("binance", 1, qty=0.01005), new_order("binance", 2)
            wish = new_order("binance", 2, qty=0.02, revision=1, request="cancel")
            made.intake.adopt([OrderRecord(LOG, at + 1, encode(o)) for at, o in enumerate((off_lot, cancelled, wish))])
            await made.work()
            assert "off the lot" in made.last(off_lot.id).reason
            assert (made.last(cancelled.id).state, made.last(cancelled.id).qty) == ("cancelled", 0.01)
            assert not sim.account.orders

    asyncio.run(scene())


def test_an_order_that_the_venue_holds_after_all_is_taken_up_again(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("upbit", Faults())
        async with desk("upbit", tmp_path, sim) as made:
            wanted = new_order("upbit", 1, created=to_rfc3339(WALL.now() - 3600 * NANOS))
            made.take(wanted)
            assert made.last(wanted.id).state == "rejected"
            sim.account.place(wanted.id, "KRW-BTC", "buy", Decimal(90_000_000), Decimal("0.01"))
            sim.account.place("somebody-else", "KRW-BTC", "buy", Decimal(90_000_000), Decimal("0.01"))
            await made.gateway.reconcile()
            assert made.last(wanted.id).state == "open"
            assert "somebody-else" not in {each.id for each in made.gateway.active.values()}

    asyncio.run(scene())


def test_a_venue_that_is_down_is_waited_for(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("upbit", Faults())
        async with served(sim.app()) as address:
            pass
        venue = client("upbit", address)
        await venue.open()
        made = Desk(tmp_path / "journal.sqlite", venue, limits(instruments=("KRW-BTC.UPBIT",)), REFERENCE)
        wanted = new_order("upbit", 1)
        made.take(wanted)
        for _ in range(3):
            await made.gateway.step()
            await asyncio.sleep(0.05)
        assert [entry.phase for entry in made.gateway.active.values()] == ["intended"]
        await made.gateway.end()
        await venue.close()
        made.journal.close()

    asyncio.run(scene())


@pytest.mark.slow  # seconds of waiting
@VENUES
@pytest.mark.parametrize("seed", range(3))
def test_books_agree_after_a_storm_of_failures_and_deaths(name: str, seed: int, tmp_path: Path) -> None:
    # Some 5 s each: requests that time out, and Binance's window to wait for.
    async def scene() -> None:
        rng = random.Random(seed)
        sim = simulator(name, Faults(seed, PLACING, ASKING, patience_s=TIMEOUT_S), seed)
        async with desk(name, tmp_path, sim) as made:
            wanted = [
                new_order(name, number, rng.choice(["buy", "sell"]), float(STEP * rng.randint(1, 200)))
                for number in range(30)
            ]
            for each in wanted:
                made.take(each)
                if rng.random() < 0.2:
                    made.take(new_order(name, wanted.index(each), revision=1, request="cancel"))
                await made.gateway.step()
                sim.account.trade_at_random()
                if rng.random() < 0.2:
                    await made.restart()

            def is_done() -> bool:
                sim.account.trade_at_random()
                return not made.gateway.active

            await made.work(is_done, seconds=60)
            assert_books_agree(made, sim)
            missing = {each.id for each in wanted} - at_venue(sim).keys()
            assert {made.last(each).reason for each in missing} <= {
                "cancelled before it was sent",
                "Upbit: create_bid_error create bid error",
            }

    asyncio.run(scene())


def test_ids_of_fills_follow_from_the_venues_trade_ids(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("binance", Faults())
        async with desk("binance", tmp_path, sim) as made:
            wanted, there = await acknowledged(made, sim, "binance")
            sim.account.trade(there, there.qty)
            await made.work()
            assert [each.id for each in made.fills()] == [stable_id(wanted.id, "1")]

    asyncio.run(scene())


def test_binance_signs_as_its_documentation_does_by_example() -> None:
    keys = Keys("", "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")
    query = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    assert signature(keys, query) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
