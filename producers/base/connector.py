"""What a live venue has to bring: who is listed, how to follow them, and a decoder."""

from collections.abc import Sequence
from typing import Protocol

from producers.base.decoder import Decoder
from producers.base.feed_session import FeedSession
from producers.base.universe import Listing


class Connector(Protocol):
    """A venue's side of a live producer.

    feed : whose market topic it fills; calendar : of exchange_calendars, empty for a venue that never closes
    """

    feed: str
    calendar: str

    @property
    def decoder(self) -> Decoder:
        """What its messages go to."""
        ...

    async def listed(self, station: FeedSession) -> list[Listing]:
        """Everything that the venue lists now; asked at start and once a day."""
        ...

    async def follow(self, station: FeedSession, listings: Sequence[Listing]) -> None:
        """Follow these and no others from now on; called before `run`, and again when the universe has changed."""
        ...

    async def run(self, station: FeedSession) -> None:
        """Keep connections and questions going until cancelled."""
        ...
