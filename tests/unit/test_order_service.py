"""A gateway's whole life over topics that are lists, where the broker comes and goes."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.venues.binance import Faults
from benchmarks.venues.fix import KEYS, REFERENCE, client, limits, new_order, served, simulator
from sinks.orders import Gateway, Journal, OrderReceiver, OrderRecord, serve
from sinks.orders.journal import Log, OutboxRecord
from sinks.orders.secrets import Keys
from sinks.orders.venue import OrderStatusReport, Ticket, UnansweredError
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.messages import Order, encode
from tapewatch.errors import TapewatchError
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings
from tests.unit.order_desk import LOG, Desk, desk

BOUNDS = {"instruments": ("BTCUSDT.BINANCE",)}


class ListLog:
    """A topic of one partition that refuses the first records it is given, and is silent for the first reads."""

    def __init__(self, orders: list[Order], refusals: int = 0, silent: int = 0) -> None:
        self.records = [OrderRecord(LOG, at + 1, encode(order)) for at, order in enumerate(orders)]
        self.published: list[OutboxRecord] = []
        self.refusals, self.silent, self._at = refusals, silent, 0

    def backlog(self) -> list[OrderRecord]:
        return []

    def start(self, offsets: Mapping[Log, int]) -> None:
        self._at = offsets.get(LOG, 0)

    async def read(self, wait_s: float) -> list[OrderRecord]:
        await asyncio.sleep(wait_s)
        if self.silent:
            self.silent -= 1
            return []
        found, self._at = self.records[self._at :], len(self.records)
        return found

    @property
    def at_end(self) -> bool:
        return not self.silent and self._at == len(self.records)

    async def publish(self, records: list[OutboxRecord]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise TapewatchError("the broker is away")
        self.published += records

    def close(self) -> None:
        """Nothing is held."""


async def live(path: Path, log: ListLog, sim, keys: Keys = KEYS) -> None:
    """One life of a gateway, until nothing is left to do."""
    journal = Journal(path / "journal.sqlite")
    async with served(sim.app()) as address:
        venue = client("binance", address, keys)
        gateway = Gateway(venue, journal, limits(**BOUNDS), poll_s=0.02)
        intake = OrderReceiver(journal, limits(**BOUNDS), REFERENCE, gateway.active)

        async def trade() -> None:
            while True:
                sim.account.trade_at_random()
                await asyncio.sleep(0.01)

        market = asyncio.ensure_future(trade())
        try:
            monitor = Monitor("sink_orders", Settings())
            await serve(gateway, intake, journal, venue, log, asyncio.Event(), monitor, until_idle=0.1)
        finally:
            market.cancel()
            journal.close()


def test_records_wait_in_the_journal_while_the_broker_is_away(tmp_path: Path) -> None:
    sim, log = simulator("binance", Faults()), ListLog([new_order("binance", 1)], refusals=1)
    asyncio.run(live(tmp_path, log, sim))
    assert len(sim.account.orders) == 1
    assert [each.seq for each in log.published] == sorted(each.seq for each in log.published)
    assert b'"state":"filled"' in log.published[-1].value


def test_silence_of_a_broker_that_has_not_answered_yet_is_not_idleness(tmp_path: Path) -> None:
    sim, log = simulator("binance", Faults()), ListLog([new_order("binance", 1)], silent=30)
    asyncio.run(live(tmp_path, log, sim))
    assert len(sim.account.orders) == 1


def test_a_second_life_reads_on_and_sends_nothing_twice(tmp_path: Path) -> None:
    sim, log = simulator("binance", Faults()), ListLog([new_order("binance", 1), new_order("binance", 2)])
    asyncio.run(live(tmp_path, log, sim))
    log.records.append(OrderRecord(LOG, 3, encode(new_order("binance", 3))))
    asyncio.run(live(tmp_path, log, sim))
    assert len(sim.account.orders) == 3


class SlowVenue:
    """A venue that accepts a request some time after it came, and answers questions late, as of when they came."""

    name, in_flight_s, accepts_after_s, answers_after_s = "binance", 0.3, 0.2, 0.4

    def __init__(self) -> None:
        self.sent: list[int] = []

    def symbol(self, instrument: str) -> str:
        return instrument

    async def place(self, ticket: Ticket) -> OrderStatusReport:
        self.sent.append(WALL.now())
        raise UnansweredError("lost")

    async def find(self, ticket: Ticket) -> OrderStatusReport | None:
        asked = WALL.now()
        await asyncio.sleep(self.answers_after_s)
        accepted = self.sent[0] + int(self.accepts_after_s * NANOS)
        return OrderStatusReport(ticket.client_id, "1", "open", Decimal(0)) if asked > accepted else None

    async def open_orders(self, symbol: str) -> list[OrderStatusReport]:
        return []


def test_a_no_counts_from_when_it_was_asked_for_not_from_when_it_came(tmp_path: Path) -> None:
    async def scene() -> None:
        venue: Any = SlowVenue()  # what a gateway calls of a venue
        made = Desk(tmp_path / "journal.sqlite", venue, limits(**BOUNDS), REFERENCE)
        wanted = new_order("binance", 1)
        made.take(wanted)
        await made.work(lambda: bool(made.orders(wanted.id)) and made.last(wanted.id).state == "open")
        assert len(venue.sent) == 1
        await made.gateway.end()
        made.journal.close()

    asyncio.run(scene())


def test_an_order_of_an_instrument_that_is_not_allowed_any_more_is_watched_to_its_end(tmp_path: Path) -> None:
    async def scene() -> None:
        sim = simulator("binance", Faults())
        async with desk("binance", tmp_path, sim) as made:
            wanted = new_order("binance", 1)
            made.take(wanted)
            await made.work(lambda: bool(made.orders(wanted.id)))
            made._bounds = limits(instruments=("ETHUSDT.BINANCE",))
            await made.restart()
            there = sim.account.find(wanted.id)
            assert there is not None
            sim.account.trade(there, there.qty)
            await made.work()
            assert made.last(wanted.id).state == "filled"

    asyncio.run(scene())


def test_keys_that_the_venue_refuses_end_the_gateway_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(TapewatchError) as refused:
        asyncio.run(live(tmp_path, ListLog([]), simulator("binance", Faults()), Keys("the-key", "not-the-secret")))
    assert "refuses the keys" in refused.value.message
    assert "not-the-secret" not in refused.value.message
