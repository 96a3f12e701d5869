"""The instrument registry: the topic `instruments`, who is registered in it, since when, and as what.

A registration takes effect at a time that everybody reads from the topic in the same way: the broker's append time of a
mark, a record under a key of its own, which compaction keeps. It is written in two steps, so that nobody can miss it:
the reference data (header `registration: begun`), and once the broker has it, the mark (`registration: effective`). A
reader that sees the first without the second waits for the second. docs/exactly-once.md tells why that is enough.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from confluent_kafka import Consumer, Message, Producer

from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.message import UNREADABLE
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

REGISTRATION, BEGUN, EFFECTIVE = "registration", b"begun", b"effective"
"""The header that tells the steps of a registration, and what it says."""
SKEW_S = 0.1
"""The clocks of a cluster's brokers may differ by this much, s: the two steps are so far apart."""
ONE_BROKER_S = 0.002
"""The same of a single broker, whose append times are whole milliseconds, s."""
FINISH_AFTER_S = 2.0
"""A registration that was begun so long ago and has not taken effect is finished by who waits for it, s."""
UNMARKED_TOLERANCE_NS = 60_000_000_000
"""What was registered without marks (by earlier builds, or by hand) is stamped by its writer's clock, which may be
ahead of the broker's by this much.
"""
_EVER = 2**62

_log = logs.get("registry")


class Registry:
    """What is registered, as far as it has been read. Reads on by itself, before it answers for a time that what it
    has read does not reach.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: Consumer | None = None
        self._next = 0
        self._through = -1
        self._fetched: Sequence[Message] = ()
        self._versions: dict[str, list[tuple[int, str]]] = {}
        self._begun: dict[str, str] = {}
        self._unmarked: dict[str, int] = {}
        self._partitions: dict[str, int] = {}
        self.stale = True
        self.instruments: dict[str, Instrument] = {}

    def refresh(self) -> None:
        """Read what was appended since the last call. UnansweredError where the broker does not answer."""
        if self._reader is None:
            self._reader = kafka.consumer(self._settings)
        with kafka.asking("what is registered"):
            low, high = kafka.watermarks(self._reader, topics.INSTRUMENTS, 0)
            for message in kafka.read_range(self._reader, topics.INSTRUMENTS, 0, max(self._next, low), high):
                self._take(message)
                self._next = message.offset() + 1
        self._next = high

    def _take(self, message: Message) -> None:
        self.take(message.value(), message.headers(), message.timestamp()[1] * 1_000_000)

    def take(self, value: bytes | None, headers: Headers | None, appended_ns: int) -> None:
        """Take up one record of the topic. appended_ns : when the broker appended it, UTC ns"""
        if value is None:
            return
        try:
            instrument = msgspec.json.decode(value, type=Instrument)
        except UNREADABLE:
            # A record that is no reference data registers nothing; it must not stop whoever reads the topic.
            return
        if is_mark(headers):
            versions = self._versions.setdefault(instrument.id, [])
            if not versions or versions[-1][1] != instrument.kind:
                versions.append((appended_ns, instrument.kind))
            return
        self.instruments[instrument.id] = instrument
        if (REGISTRATION, BEGUN) in (headers or ()):
            self._begun[instrument.id] = instrument.kind
            return
        first = (instrument.registered_at or appended_ns) - UNMARKED_TOLERANCE_NS
        self._unmarked[instrument.id] = min(first, self._unmarked.get(instrument.id, first))

    def fetched(self, records: Sequence[Message]) -> None:
        """Rows of these records are asked about next: one reading of the topic is enough for all of them."""
        self.stale, self._fetched = True, records

    def read_whole(self) -> None:
        """Read on once for all: every row that will be asked about lies in the log already."""
        self._through = _EVER
        self.refresh()
        self.stale = False

    def _read_through(self, appended_ns: int) -> None:
        """Read on, so that every registration that took effect up to `appended_ns` is known, or known to be begun.

        It is enough to do so after the record was fetched. Its mark was appended at that time at the latest, and what
        was begun could be read before its mark was written.
        """
        if not self.stale and appended_ns <= self._through:
            return
        newest = max((message.timestamp()[1] * 1_000_000 for message in self._fetched), default=-1)
        self.refresh()
        self.stale, self._fetched = False, ()
        self._through = max(self._through, newest, appended_ns)

    def kind(self, instrument: str, appended_ns: int) -> str | None:
        """Class of an id as it was registered when the broker appended a record, UTC ns; None where it was not yet.

        The answer is the same whenever it is asked: a record of the registration's own millisecond counts.
        UnansweredError where nobody could be asked.
        """
        self._read_through(appended_ns)
        self._await_effect(instrument)
        versions = self._versions.get(instrument)
        if versions is None:
            since = self._unmarked.get(instrument)
            return None if since is None or since > appended_ns else self.instruments[instrument].kind
        return next((kind for at, kind in reversed(versions) if at <= appended_ns), None)

    def since(self, instrument: str) -> int | None:
        """From which append time on rows of an id count, UTC ns; None where it is not registered as far as was read."""
        versions = self._versions.get(instrument)
        return versions[0][0] if versions else self._unmarked.get(instrument)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has, as when it was asked for first. UnansweredError where nobody says so."""
        if topic not in self._partitions:
            count = kafka.existing_topics(kafka.admin(self._settings)).get(topic)
            if count is None:
                raise UnansweredError(f"the broker does not name the partitions of {topic}", "Run `tapewatch doctor`.")
            self._partitions[topic] = count
        return self._partitions[topic]

    def known(self, instrument: str) -> Instrument | None:
        """Reference data of an id as it is now; None where it is not registered.

        Reads on before it says no, once for each time its owner set `stale`.
        """
        if instrument not in self.instruments and self.stale:
            self.refresh()
            self.stale = False
        return self.instruments.get(instrument)

    def is_unmarked(self, instrument: str) -> bool:
        """Whether an id was registered without marks; it stays so."""
        return instrument in self._unmarked and instrument not in self._versions

    def is_in_effect(self, instrument: str, kind: str) -> bool:
        """Whether the newest mark says so."""
        versions = self._versions.get(instrument)
        return versions is not None and versions[-1][1] == kind

    def _await_effect(self, instrument: str) -> None:
        """Wait until what was begun is in effect; who began it may be dead, so that it is finished here at last."""
        finish_at = WALL.elapsed() + int(FINISH_AFTER_S * NANOS)
        while (kind := self._begun.get(instrument)) is not None and not self.is_in_effect(instrument, kind):
            if WALL.elapsed() >= finish_at:
                _log.warning("finishing a registration that was begun", instrument=instrument)
                finished = msgspec.structs.replace(self.instruments[instrument], kind=kind)
                _put_in_effect(kafka.Deliveries(kafka.producer(self._settings)), [finished])
                finish_at = WALL.elapsed() + int(FINISH_AFTER_S * NANOS)
            self.refresh()
            WALL.sleep(ONE_BROKER_S)

    def close(self) -> None:
        """Give the consumer back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class FixedRegistry:
    """A registry over given ids, all registered since ever: for the brokerless driver.

    partitions : how many every topic has; 0 where rows of every instrument count in each
    """

    def __init__(self, instruments: Iterable[Instrument], partitions: int = 0) -> None:
        self._partitions = partitions
        self.instruments: Mapping[str, Instrument] = {instrument.id: instrument for instrument in instruments}

    def kind(self, instrument: str, appended_ns: int) -> str | None:
        """Class of every known id, at any time."""
        known = self.instruments.get(instrument)
        return None if known is None else known.kind

    def partitions(self, topic: str) -> int:
        """How many it was given."""
        return self._partitions

    def since(self, instrument: str) -> int | None:
        """0 for every known id."""
        return 0 if instrument in self.instruments else None

    def known(self, instrument: str) -> Instrument | None:
        """Reference data of a known id."""
        return self.instruments.get(instrument)


def is_mark(headers: Headers | None) -> bool:
    """Whether a record of the topic only says from when on what was registered before counts."""
    return (REGISTRATION, EFFECTIVE) in (headers or ())


def register(settings: Settings, instruments: Iterable[Instrument], clock: Clock = WALL) -> int:
    """Register reference data; ids whose record stands already as it is are not written again. Returns how many were
    written. Rows that are sent afterwards count.
    """
    registry = Registry(settings)
    registry.refresh()
    registry.close()
    producer = kafka.producer(settings, linger_ms=5)
    sent = kafka.Deliveries(producer)
    written, begun = 0, []
    for instrument in instruments:
        if not is_instrument_id(instrument.id):
            raise TapewatchError(f"{instrument.id!r} is not an instrument id", "Ids are SYMBOL.VENUE in capitals.")
        known = registry.instruments.get(instrument.id)
        stamped = msgspec.structs.replace(instrument, registered_at=known.registered_at if known else clock.now())
        unmarked = registry.is_unmarked(instrument.id)
        if stamped != known:
            step = [] if unmarked else [(REGISTRATION, BEGUN)]
            value = msgspec.json.encode(stamped)
            sent.send(topics.INSTRUMENTS, value, instrument.id.encode(), step)
            written += 1
        if not unmarked and not registry.is_in_effect(stamped.id, stamped.kind):
            begun.append(stamped)
    sent.settle()
    if begun:
        # Whoever reads a row of the mark's time or later can read what was begun, and what is sent after this is not
        # stamped with a time before the mark.
        wait_s = apart_s(producer)
        WALL.sleep(wait_s)
        _put_in_effect(sent, begun)
        WALL.sleep(wait_s)
    return written


def _put_in_effect(sent: kafka.Deliveries, instruments: Iterable[Instrument]) -> None:
    """Write the marks of registrations that were begun. Of several marks of one id the first counts."""
    for instrument in instruments:
        key, value = f"{instrument.id}#{uuid.uuid4().hex}", msgspec.json.encode(instrument)
        sent.send(topics.INSTRUMENTS, value, key.encode(), [(REGISTRATION, EFFECTIVE)])
    sent.settle()


def apart_s(producer: Producer) -> float:
    """How long after a record another one is sent that is to be stamped with a later time, also where another broker's
    clock tells the time, s.
    """
    return SKEW_S if len(producer.list_topics(timeout=kafka.TIMEOUT_S).brokers) > 1 else ONE_BROKER_S
