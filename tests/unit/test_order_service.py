"""A gateway's whole life over topics that are lists, where the broker comes and goes."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from benchmarks.venues.faults import Faults
from benchmarks.venues.setup import KEYS, REFERENCE, client, limits, new_order, served, simulator
from sinks.orders import Arrived, Gateway, Intake, Journal, serve
from sinks.orders.journal import Log, Outgoing
from sinks.orders.secrets import Keys
from tapewatch.errors import TapewatchError
from tapewatch.messages import Order, encode
from tests.unit.order_desk import LOG

BOUNDS = {"instruments": ("BTCUSDT.BINANCE",)}


class ListLog:
    """A topic of one partition that refuses the first records it is given."""

    def __init__(self, orders: list[Order], refusals: int = 0) -> None:
        self.records = [Arrived(LOG, at + 1, encode(order)) for at, order in enumerate(orders)]
        self.published: list[Outgoing] = []
        self.refusals, self._at = refusals, 0

    def backlog(self) -> list[Arrived]:
        return []

    def start(self, offsets: Mapping[Log, int]) -> None:
        self._at = offsets.get(LOG, 0)

    async def read(self, wait_s: float) -> list[Arrived]:
        await asyncio.sleep(wait_s)
        found, self._at = self.records[self._at :], len(self.records)
        return found

    async def publish(self, records: list[Outgoing]) -> None:
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
        intake = Intake(journal, limits(**BOUNDS), REFERENCE, gateway.active)

        async def trade() -> None:
            while True:
                sim.account.trade_at_random()
                await asyncio.sleep(0.01)

        market = asyncio.ensure_future(trade())
        try:
            await serve(gateway, intake, journal, venue, log, asyncio.Event(), until_idle=0.1)
        finally:
            market.cancel()
            journal.close()


def test_records_wait_in_the_journal_while_the_broker_is_away(tmp_path: Path) -> None:
    sim, log = simulator("binance", Faults()), ListLog([new_order("binance", 1)], refusals=1)
    asyncio.run(live(tmp_path, log, sim))
    assert len(sim.account.orders) == 1
    assert [each.seq for each in log.published] == sorted(each.seq for each in log.published)
    assert b'"state":"filled"' in log.published[-1].value


def test_a_second_life_reads_on_and_sends_nothing_twice(tmp_path: Path) -> None:
    sim, log = simulator("binance", Faults()), ListLog([new_order("binance", 1), new_order("binance", 2)])
    asyncio.run(live(tmp_path, log, sim))
    log.records.append(Arrived(LOG, 3, encode(new_order("binance", 3))))
    asyncio.run(live(tmp_path, log, sim))
    assert len(sim.account.orders) == 3


def test_keys_that_the_venue_refuses_end_the_gateway_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(TapewatchError) as refused:
        asyncio.run(live(tmp_path, ListLog([]), simulator("binance", Faults()), Keys("the-key", "not-the-secret")))
    assert "refuses the keys" in refused.value.message
    assert "not-the-secret" not in refused.value.message
