"""Records of the market log, scores, signals and alerts on their way into the market's arrays."""

import re
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from console.live.market import DAY, MILLI, Market, Slots
from tapewatch import frames, topics
from tapewatch.errors import ContractError
from tapewatch.frames import Decoder, FrameHeaders
from tapewatch.message import UNREADABLE

_MARKET = re.compile(topics.MARKET_PATTERN)
_OTHERS = (topics.SCORES, topics.SIGNALS, topics.ALERTS)
_REMEMBERED = 4096


def is_wanted(topic: str) -> bool:
    """Whether the tape is made from a topic."""
    return topic in _OTHERS or _MARKET.match(topic) is not None


class _Signal(msgspec.Struct):
    instrument: str
    action: str


class _Alert(msgspec.Struct):
    instrument: str
    id: str
    severity: str
    state: str


_SIGNAL, _ALERT = msgspec.json.Decoder(_Signal), msgspec.json.Decoder(_Alert)


class TapeReader:
    """Reads records into a market. What cannot be read is counted, and passed over: others keep it."""

    def __init__(self, market: Market) -> None:
        self.refused = 0
        self._market = market
        self._decoder = Decoder()
        self._entries: dict[bytes, Slots] = {}
        self._seen: dict[tuple[str, int, str], tuple[int, int]] = {}

    def take(self, messages: Sequence[Message]) -> None:
        """Take a batch of records in order."""
        for message in messages:
            value = message.value()
            if not value:
                continue
            try:
                self._one(message, value)
            except (ContractError, pa.ArrowException, ValueError, *UNREADABLE):
                self.refused += 1

    def _one(self, message: Message, value: bytes) -> None:
        topic = message.topic()
        if topic == topics.SCORES:
            self._scores(value)
        elif topic == topics.SIGNALS:
            signal = _SIGNAL.decode(value)
            self._market.take_signal(signal.instrument, signal.action)
        elif topic == topics.ALERTS:
            alert = _ALERT.decode(value)
            self._market.take_alert(alert.instrument, alert.id, alert.severity, alert.state)
        elif self._is_new(message) and len(value) <= frames.MAX_FRAME_BYTES:
            view = self._decoder.open(value)
            latest = message.timestamp()[1] * MILLI + DAY
            self._market.take_rows(view, self._entries_of(view), latest)

    def _is_new(self, message: Message) -> bool:
        """Whether a frame is no repeat of its source's: volumes must not count twice."""
        headers = FrameHeaders.from_kafka(message.headers())
        place = (message.topic(), message.partition(), headers.source)
        now = (headers.epoch, headers.sequence)
        if now <= self._seen.get(place, (-1, -1)):
            return False
        if len(self._seen) > _REMEMBERED:
            self._seen.clear()
        self._seen[place] = now
        return True

    def _entries_of(self, view: frames.View) -> Slots:
        """The slot of each entry of a frame's dictionary."""
        found = self._entries.get(view.dictionary)
        if found is None:
            if len(self._entries) >= _REMEMBERED:
                self._entries.clear()
            found = self._entries[view.dictionary] = self._market.slots(view.names())
        return found

    def _scores(self, value: bytes) -> None:
        batch = frames.read_stream(value)
        metadata = batch.schema.metadata or {}
        frames.check_version(metadata.get(b"tapewatch.version", b"").decode())
        if metadata.get(b"tapewatch.type") != b"scores":
            return
        names = metadata.get(b"tapewatch.detectors", b"").decode().split(",")
        column = batch.column("instrument")
        entries = self._market.slots(str(name) for name in column.dictionary.to_pylist())
        codes = column.indices.to_numpy(zero_copy_only=False)
        which = batch.column("detector").to_numpy(zero_copy_only=False).astype(np.int64)
        chance = batch.column("probability").to_numpy(zero_copy_only=False)
        self._market.take_scores(entries[codes], names, which, chance)
