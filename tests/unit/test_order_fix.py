"""The FIX gateway against a loopback acceptor: one order at the broker for one on the topic, over lost sessions too.

Some 3 s each: QuickFIX takes a second to end a session, on either side.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("quickfix", reason="the extra `fix` is not installed")
from benchmarks.venues.account import Account
from benchmarks.venues.fix import KEYS, SENDER, TARGET, Broker, limits, new_order
from sinks.orders.fix import Fix
from sinks.orders.secrets import Keys
from sinks.orders.venue import NotSentError
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Order
from tests.unit.live_scene import until
from tests.unit.order_desk import Desk

SHARE = Instrument("AAPL.XNAS", ticks=(Tick(0.0, 0.01),), lot=1.0)
TIMEOUT_S = 0.5


def share_order(number: int, **changed) -> Order:
    return new_order("upbit", number, **{"instrument": SHARE.id, "price": 180.25, "qty": 100.0, **changed})


@asynccontextmanager
async def fix_desk(path: Path, keys: Keys = KEYS) -> AsyncIterator[tuple[Desk, Broker]]:
    """A gateway logged on to a broker."""
    broker = Broker(path / "broker", Account(0, Decimal(1), once=True))
    broker.start()
    venue = Fix(broker.address, SENDER, TARGET, keys, path / "fix", TIMEOUT_S)
    made = Desk(path / "journal.sqlite", venue, limits(instruments=(SHARE.id,)), {SHARE.id: SHARE})
    try:
        for _ in range(20):
            try:
                await venue.open()
                break
            except NotSentError:
                await venue.close()
        else:
            pytest.fail("no logon")
        yield made, broker
    finally:
        await made.gateway.end()
        await venue.close()
        broker.stop()
        made.journal.close()


def test_an_order_is_acknowledged_partly_filled_and_filled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            wanted = share_order(1)
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)))
            broker.fill(wanted.id, Decimal(40))
            await made.work(lambda: made.last(wanted.id).filled == 40.0)
            broker.fill(wanted.id, Decimal(60))
            await made.work()
            told = [(each.state, each.filled) for each in made.orders(wanted.id)]
            assert told == [("open", 0.0), ("open", 40.0), ("filled", 100.0)]
            assert [(each.qty, each.price, each.fee, each.currency) for each in made.fills()] == [
                (40.0, 180.25, 3.605, "USD"),
                (60.0, 180.25, 5.4075, "USD"),
            ]
            assert broker.logons == [(KEYS.access, KEYS.secret)]

    asyncio.run(scene())


def test_a_price_off_the_brokers_tick_is_rejected_with_its_reason(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            broker._tick = Decimal(7)
            wanted = share_order(1)
            made.take(wanted)
            await made.work()
            assert (made.last(wanted.id).state, made.last(wanted.id).reason) == ("rejected", "FIX: price off the tick")

    asyncio.run(scene())


def test_a_cancel_ends_an_order_and_a_late_one_is_no_harm(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            first, second = share_order(1), share_order(2)
            made.take(first, second)
            await made.work(lambda: bool(made.orders(first.id)) and bool(made.orders(second.id)))
            broker.fill(first.id, Decimal(30))
            broker.fill(second.id, Decimal(100))
            made.take(share_order(1, revision=2, request="cancel"), share_order(2, revision=2, request="cancel"))
            await made.work()
            assert (made.last(first.id).state, made.last(first.id).filled) == ("cancelled", 30.0)
            assert (made.last(second.id).state, made.last(second.id).filled) == ("filled", 100.0)

    asyncio.run(scene())


@pytest.mark.parametrize(("mishap", "sent"), [("ignored", 2), ("accepted silently", 1)])
def test_an_order_without_an_answer_is_asked_for_before_it_is_sent_again(
    mishap: str, sent: int, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            broker.mishaps = [mishap]
            wanted = share_order(1)
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)) and made.last(wanted.id).state == "open")
            assert made.orders(wanted.id)[0].state == "unknown"
            assert (len(broker.account.orders), broker.orders_received) == (1, sent)

    asyncio.run(scene())


def test_a_fill_while_the_session_is_down_comes_at_the_next_logon(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            wanted = share_order(1)
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)))
            await made.gateway.end()
            await made.venue.close()
            broker.fill(wanted.id, Decimal(100))
            await made.restart()
            await made.venue.open()
            await made.work()
            assert made.last(wanted.id).state == "filled"
            assert [each.qty for each in made.fills()] == [100.0]

    asyncio.run(scene())


def test_an_order_sent_into_a_dead_session_is_not_sent_again_behind_the_gateways_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            broker.mishaps = ["ignored"]
            wanted = share_order(1)
            made.take(wanted)
            await made.gateway.step()
            await until(lambda: broker.orders_received == 1, "the order at the broker")
            await made.restart()
            await made.venue.close()
            await made.venue.open()
            await asyncio.sleep(0.3)
            assert broker.orders_received == 1
            await made.work(lambda: bool(made.orders(wanted.id)) and made.last(wanted.id).state == "open")
            assert (len(broker.account.orders), broker.orders_received) == (1, 2)

    asyncio.run(scene())


def test_the_password_goes_out_in_the_logon_and_into_no_file(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path, Keys("the-user", "the-password")) as (_, broker):
            assert broker.logons == [("the-user", "the-password")]
        kept = [file for file in (tmp_path / "fix").rglob("*") if file.is_file()]
        assert kept
        assert not [file for file in kept if b"the-password" in file.read_bytes()]

    asyncio.run(scene())


def test_without_a_session_nothing_is_sent(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fix_desk(tmp_path) as (made, broker):
            await made.venue.close()
            made.take(share_order(1))
            await made.gateway.step()
            await asyncio.sleep(0.1)
            await made.gateway.step()
            assert [entry.phase for entry in made.gateway.active.values()] == ["intended"]
            assert broker.orders_received == 0

    asyncio.run(scene())
