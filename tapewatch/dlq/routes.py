"""Where a replayed dead letter goes, or why it goes nowhere: docs/dead-letters.md tells it by kind."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Message

from tapewatch.clock import LATEST_NS
from tapewatch.contract import frames, topics
from tapewatch.contract.checks import Reason
from tapewatch.contract.frames import FrameHeaders, View
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import EVERY_INSTRUMENT, RowType, StatusKind
from tapewatch.dlq import retry
from tapewatch.dlq.letter import Letter, Place
from tapewatch.dlq.retry import RetryRecord
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import dead_letters, generations
from tapewatch.market_log.admission import CONTROL_SOURCE, REPLAY_SOURCE, Admission, InstrumentProvider
from tapewatch.market_log.registry import FixedRegistry, Registry
from tapewatch.runtime import batches, kafka
from tapewatch.settings import Settings

_FRAMES = (topics.FEATURES, topics.SCORES, topics.BARS)
_CUT_ROWS = "of rows that are so large, only the first bytes, their number and hash were kept"
_CUT = "only its first 64 KiB were kept, and its record is gone"


Say = Callable[[int, int], None]


class ReplayError(Exception):
    """Why a dead letter cannot be replayed: the end of the sentence "it is not replayed: ..."."""


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """One record to send. partition : of `topic`; type : row type of a market frame, empty for a retry

    headers : of a retry; letters : which it replays: more than one where one record was refused in several parts
    """

    topic: str
    partition: int
    value: bytes
    type: str
    headers: tuple[tuple[str, bytes], ...]
    letters: tuple[Letter, ...]

    def stamped(self, epoch: int, sequence: int, now: int) -> list[tuple[str, bytes]]:
        """Its headers; a market frame's are those of a source of its own. now : UTC nanoseconds"""
        if not self.type:
            return list(self.headers)
        return FrameHeaders(self.type, REPLAY_SOURCE, epoch, sequence, now).to_kafka()


@dataclass(slots=True)
class Plan:
    """What a replay sends, in this order; what it cannot, with why; and what was replayed before."""

    sendings: list[PlannedRecord]
    refused: list[tuple[Letter, str]]
    done: list[Letter]

    @property
    def letters(self) -> int:
        """How many letters are replayed."""
        return sum(len(each.letters) for each in self.sendings)


class Routes:
    """Looks at instruments, topics and origins; close it at the end."""

    def __init__(self, settings: Settings) -> None:
        self._partitions = kafka.existing_topics(kafka.admin(settings))
        self._generations = generations.read(settings)
        self._kept = Registry(settings)
        self._registry: InstrumentProvider = self._kept if topics.INSTRUMENTS in self._partitions else FixedRegistry(())
        self._reader = kafka.consumer(settings, "tapewatch-dlq")
        self._bounds: dict[tuple[str, int], tuple[int, int]] = {}

    def close(self) -> None:
        """Give the clients back."""
        self._kept.close()
        self._reader.close()

    def plan(self, letters: Iterable[Letter], done: Iterable[Letter], say: Say = lambda *_: None) -> Plan:
        """Send letters in the order in which what they hold was refused: that of each instrument's log.

        say : called as letters are looked at, with how many were and how many there are
        """
        plan = Plan([], [], list(done))
        self._kept.stale = True
        ordered = sorted(letters, key=lambda each: (each.origin, each.row, each.place))
        places: dict[tuple[str, Place], int] = {}
        for number, letter in enumerate(ordered, 1):
            say(number, len(ordered))
            try:
                made = self._sending(letter)
            except ReplayError as error:
                plan.refused.append((letter, str(error)))
                continue
            known = places.get((made.topic, letter.origin)) if not made.type else None
            if known is None:
                places[made.topic, letter.origin] = len(plan.sendings)
                plan.sendings.append(made)
            else:
                first = plan.sendings[known]
                plan.sendings[known] = PlannedRecord(
                    first.topic, first.partition, first.value, "", first.headers, (*first.letters, letter)
                )
        return plan

    def _sending(self, letter: Letter) -> PlannedRecord:
        """Where a letter goes; CannotReplayError."""
        if letter.origin.offset < 0 or letter.origin.partition < 0:
            raise ReplayError("it never was a record: mend the source, and send its data again")
        if letter.reason == batches.REASON:
            raise ReplayError("nobody can unpack it: have its writer send the records again")
        if letter.by in retry.READERS:
            return self._retry(letter)
        if letter.by == dead_letters.ENGINE and topics.is_market(letter.origin.topic):
            return self._market(letter)
        if letter.by == dead_letters.PRODUCER:
            raise ReplayError("a source refused it on its way in: mend the source, and send its data again")
        raise ReplayError("it does not say who refused it")

    def _market(self, letter: Letter) -> PlannedRecord:
        """A row or record that the engine refused goes into its market topic once more, as a frame by itself."""
        if letter.place.topic != topics.dead_letters(letter.origin.topic):
            raise ReplayError(f"it is no dead letter of {letter.origin.topic}: it lies elsewhere")
        topic = self._onward(letter.origin.topic)
        count = self._partitions.get(topic, 0)
        if not count:
            raise ReplayError(f"there is no topic {topic} any more")
        if not letter.whole:
            raise ReplayError(_CUT_ROWS if letter.rows else "only its first 64 KiB were kept")
        try:
            view = frames.Decoder().open(letter.value)
            names = self._sound(view)
        except ContractError as error:
            raise ReplayError(f"it would be refused again: {error.reason}") from error
        single = names[0] if len(names) == 1 and names[0] != EVERY_INSTRUMENT else ""
        if not single and topic != letter.origin.topic:
            raise ReplayError(f"its instruments lie in several partitions of {topic}, where the feed goes on")
        partition = partition_for(single, count) if single else letter.origin.partition
        if partition >= count:
            raise ReplayError(f"{letter.origin.topic} has no partition {partition} any more")
        return PlannedRecord(topic, partition, letter.value, view.type.label, (), (letter,))

    def _onward(self, topic: str) -> str:
        """The topic in which a market topic's feed goes on."""
        while (after := self._generations.successor(topic)) is not None:
            topic = after.topic
        return topic

    def _sound(self, view: View) -> list[str]:
        """The instruments of a frame with at least one row that would be taken today, whatever its second."""
        if view.type is RowType.STATUS and (view.column("kind") == int(StatusKind.CONTROL)).any():
            raise ReplayError("models and configuration come into force by `models promote` and `config apply`")
        # As the control source's rows, which the clock does not judge.
        asked = FrameHeaders(view.type.label, CONTROL_SOURCE, 0, 0, 0).to_kafka()
        admitted = Admission(self._registry).admit(view.data, asked, LATEST_NS)
        if admitted is None:
            raise ContractError("unreadable", "nothing was admitted")
        if admitted.refused == view.rows:
            reason = Reason(int(admitted.reasons[0]))
            raise ReplayError(f"it would be refused again: {reason.label}")
        names = view.names()
        return [names[code] for code in np.unique(view.column("instrument")).tolist()]

    def _retry(self, letter: Letter) -> PlannedRecord:
        """A record that one reader refused goes to that reader alone."""
        topic = letter.origin.topic
        if topics.is_market(topic):
            raise ReplayError("a market frame is taken in its order in the log alone")
        if topic == topics.INSTRUMENTS:
            raise ReplayError("reference data may be newer by now: register the instrument again")
        retried = self._at_origin(letter)
        headers = tuple(retry.headers(retried))
        return PlannedRecord(topics.retry(letter.by), 0, retried.content, "", headers, (letter,))

    def _at_origin(self, letter: Letter) -> RetryRecord:
        """The record as it lies at its origin; where it has expired, the letter's own bytes if they say all."""
        found = self._record(letter.origin)
        if found is None:
            if not letter.whole or letter.origin.topic in _FRAMES:
                raise ReplayError(_CUT if not letter.whole else "its record is gone, with the headers it needs")
            place = letter.origin
            return RetryRecord(
                letter.id, (place.topic, place.partition, place.offset), letter.at // 1_000_000, letter.value, ()
            )
        # Elasticsearch refuses single rows of a frame: the letter then holds one document, the record all of them.
        is_row = letter.by == dead_letters.ELASTICSEARCH and letter.origin.topic in _FRAMES
        if not is_row and letter.headers.get("sha256") != hashlib.sha256(found.value() or b"").hexdigest():
            raise ReplayError("another record lies at its origin now: the topic was made anew")
        return retry.of_message(letter.id, found)

    def _record(self, origin: Place) -> Message | None:
        """The record at a place; None where it has expired."""
        if self._partitions.get(origin.topic, 0) <= origin.partition:
            return None
        log = (origin.topic, origin.partition)
        if log not in self._bounds:
            self._bounds[log] = kafka.watermarks(self._reader, *log)
        low, high = self._bounds[log]
        if not low <= origin.offset < high:
            return None
        try:
            for message in kafka.read_range(self._reader, *origin, origin.offset + 1):
                return message if message.offset() == origin.offset else None
        except TapewatchError as error:
            raise ReplayError(f"its record cannot be read: {error.message}") from error
        return None
