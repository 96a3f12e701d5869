"""A gateway beside a simulated venue on the loopback, with the topics replaced by lists."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.venues.fix import INSTRUMENTS, KEYS, REFERENCE, Simulator, client, limits, served
from sinks.orders import Gateway, Journal, Limits, OrderReceiver, OrderRecord
from sinks.orders.secrets import Keys
from sinks.orders.venue import Venue
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Fill, Order, decode, encode
from tests.eventually import eventually_async

LOG = (topics.ORDERS, 0)


class Desk:
    """One gateway at work; `restart` is a death and a new start over the same journal."""

    def __init__(self, path: Path, venue: Venue, bounds: Limits, reference: Mapping[str, Instrument]) -> None:
        self._path, self.venue, self._bounds, self._reference = path, venue, bounds, reference
        self._next = 0
        self.journal = Journal(path)
        self._begin()

    def _begin(self) -> None:
        self.gateway = Gateway(self.venue, self.journal, self._bounds, poll_s=0.01)
        self.intake = OrderReceiver(self.journal, self._bounds, self._reference, self.gateway.active)

    async def restart(self) -> None:
        """Forget all that is in memory, in the middle of whatever is under way."""
        await self.gateway.end()
        self.journal.close()
        self.journal = Journal(self._path)
        self._begin()

    def take(self, *orders: Order) -> None:
        """Orders arrive."""
        arrived = [OrderRecord(LOG, self._next + each + 1, encode(made)) for each, made in enumerate(orders)]
        self._next += len(orders)
        self.intake.take(arrived)

    async def work(self, until: Callable[[], bool] | None = None, seconds: float = 30.0) -> None:
        """Rounds until the condition holds; by default, until no order is active."""

        async def is_done() -> bool:
            if until() if until else not self.gateway.active:
                return True
            await self.gateway.step()
            return False

        await eventually_async(
            is_done, what="the work is done", seconds=seconds, pause=0.005, told=lambda: self.gateway.active
        )

    def orders(self, order_id: str) -> list[Order]:
        """Revisions of an order, as they were written."""
        found = [decode(Order, each.value) for each in self.journal.outbox(10**6) if each.topic == topics.ORDERS]
        return [each for each in found if each.id == order_id]

    def last(self, order_id: str) -> Order:
        """The newest revision of an order."""
        return self.orders(order_id)[-1]

    def fills(self) -> list[Fill]:
        """Fills, as they were written."""
        return [decode(Fill, each.value) for each in self.journal.outbox(10**6) if each.topic == topics.FILLS]


@asynccontextmanager
async def desk(
    name: str, path: Path, sim: Simulator, bounds: Limits | None = None, keys: Keys = KEYS
) -> AsyncIterator[Desk]:
    """A gateway connected to a simulator."""
    async with served(sim.app()) as address:
        venue = client(name, address, keys)
        await venue.open()
        made = Desk(path / "journal.sqlite", venue, bounds or limits(instruments=(INSTRUMENTS[name],)), REFERENCE)
        try:
            yield made
        finally:
            await made.gateway.end()
            await venue.close()
            made.journal.close()
