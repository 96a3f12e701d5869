"""The instrument registry: the topic `instruments`, one record an id, and when each id was first registered."""

from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka import Consumer, Message

from tapewatch import kafka, topics
from tapewatch.clock import WALL, Clock
from tapewatch.errors import TapewatchError
from tapewatch.instruments import Instrument, is_instrument_id
from tapewatch.message import UNREADABLE
from tapewatch.settings import Settings


class Registry:
    """What is registered, as far as it has been read; `refresh` reads on to the topic's end.

    A row counts as registered when its record was appended no earlier than its instrument was first registered, so that
    the answer is the same whenever the log is read again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: Consumer | None = None
        self._next = 0
        self.stale = True
        self._since: dict[str, int] = {}
        self.instruments: dict[str, Instrument] = {}

    def refresh(self) -> None:
        """Read what was appended since the last call."""
        if self._reader is None:
            self._reader = kafka.consumer(self._settings)
        low, high = kafka.watermarks(self._reader, topics.INSTRUMENTS, 0)
        for message in kafka.read_range(self._reader, topics.INSTRUMENTS, 0, max(self._next, low), high):
            self._take(message)
        self._next = high

    def _take(self, message: Message) -> None:
        value = message.value()
        if value is None:
            return
        try:
            instrument = msgspec.json.decode(value, type=Instrument)
        except UNREADABLE:
            # A record that is no reference data registers nothing; it must not stop whoever reads the topic.
            return
        self.instruments[instrument.id] = instrument
        first = instrument.registered_at or message.timestamp()[1] * 1_000_000
        self._since[instrument.id] = min(first, self._since.get(instrument.id, first))

    def since(self, instrument: str) -> int | None:
        """UTC nanoseconds of an id's first registration; None where it is not registered.

        Reads on before it says no, once for each time its owner set `stale`: after every batch of records, since what
        was registered before a record was appended can be read once the record has been.
        """
        if instrument not in self._since and self.stale:
            self.refresh()
            self.stale = False
        return self._since.get(instrument)

    def close(self) -> None:
        """Give the consumer back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class FixedRegistry:
    """A registry over given ids, all registered since ever: for the brokerless driver."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.instruments: Mapping[str, Instrument] = {instrument.id: instrument for instrument in instruments}

    def since(self, instrument: str) -> int | None:
        """0 for every known id."""
        return 0 if instrument in self.instruments else None


def register(settings: Settings, instruments: Iterable[Instrument], clock: Clock = WALL) -> int:
    """Register reference data; ids whose record stands already as it is are not written again. Returns how many were
    written.
    """
    registry = Registry(settings)
    registry.refresh()
    registry.close()
    producer = kafka.producer(settings, linger_ms=5)
    written = 0
    for instrument in instruments:
        if not is_instrument_id(instrument.id):
            raise TapewatchError(f"{instrument.id!r} is not an instrument id", "Ids are SYMBOL.VENUE in capitals.")
        known = registry.instruments.get(instrument.id)
        stamped = msgspec.structs.replace(instrument, registered_at=known.registered_at if known else clock.now())
        if stamped != known:
            producer.produce(topics.INSTRUMENTS, key=instrument.id.encode(), value=msgspec.json.encode(stamped))
            written += 1
    if producer.flush(30):
        raise TapewatchError("the instruments were not acknowledged in 30 s", "Run `tapewatch status`.")
    return written
