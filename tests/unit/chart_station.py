"""A station without Kafka whose clock a test moves, beside a simulated venue with the same clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from producers.base.feed_session import FeedSession, Tape
from producers.simulators.faults import FaultPlan
from producers.simulators.server import SimulatorServer, Venue
from producers.venues.polled import PollingConnector
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.instruments import Instrument
from tapewatch.settings import Settings
from tapewatch.settings.venues import ProduceSettings

START = 1_773_065_400
"""2026-03-09 14:10 UTC, a Monday."""
QUICK = ProduceSettings(backoff_first_s=0.01, backoff_cap_s=0.05, request_timeout_s=5.0)


@asynccontextmanager
async def simulated(venue: Venue, clock: ManualClock, plan: FaultPlan | None = None) -> AsyncIterator[Settings]:
    """The venue at work, and settings that point at it."""
    async with SimulatorServer(venue, plan, clock=clock) as server:
        usual = Settings(produce=QUICK)
        section = msgspec.structs.replace(getattr(usual.venues, venue.name), per_second=1e6, **server.addresses())
        venues = msgspec.structs.replace(usual.venues, **{venue.name: section})
        yield msgspec.structs.replace(usual, venues=venues)


@asynccontextmanager
async def station_of(
    settings: Settings,
    connector: PollingConnector,
    clock: ManualClock,
    symbols: Sequence[str],
    tape: Tape | None = None,
) -> AsyncIterator[FeedSession]:
    """A station whose connector follows some of what the venue lists."""

    async def register(instruments: Sequence[Instrument]) -> None:
        """Nothing is registered."""

    station = FeedSession(settings, connector.feed, connector.decoder.collector, register, clock, tape)
    try:
        listed = await connector.listed(station)
        await connector.follow(station, [one for one in listed if one.symbol in symbols])
        yield station
    finally:
        station.failed.cancel()
        await station.close()


def minutes(count: int) -> int:
    """Nanoseconds of so many minutes."""
    return count * 60 * NANOS
