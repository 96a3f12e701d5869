"""A simulated venue in a thread of its own, and orders on their topic."""

import asyncio
import threading

from benchmarks.venues.binance import Faults
from benchmarks.venues.fix import served, simulator
from tapewatch.contract import topics
from tapewatch.contract.messages import Order, encode
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class VenueThread(threading.Thread):
    """A simulated Binance that trades now and then."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(daemon=True)
        self.sim = simulator("binance", faults, 3)
        self.address, self._up, self._ended = "", threading.Event(), threading.Event()

    def __enter__(self) -> "VenueThread":
        self.start()
        assert self._up.wait(600)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(10)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with served(self.sim.app()) as self.address:
            self._up.set()
            while not self._ended.is_set():
                await asyncio.sleep(0.01)
                self.sim.account.trade_at_random()


def write(settings: Settings, orders: list[Order]) -> None:
    producer = kafka.producer(settings, partitioner="murmur2_random")
    for order in orders:
        producer.produce(topics.ORDERS, key=order.id.encode(), value=encode(order))
    assert producer.flush(30) == 0
