"""How far a feed's log has come, so that a new writer's rows are not older than those that lie there."""

from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import Message

from tapewatch.contract import topics
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.frames import Decoder, FrameHeaders, Headers
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import ASIDE
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

TAIL_RECORDS = 64
"""Records read at the end of each partition."""


@dataclass(slots=True)
class LogTail:
    """The newest of the last records of all partitions, control records and replays aside.

    newest_ns : newest ts_recv, UTC nanoseconds, 0 for an empty log; epochs : newest epoch by source
    appended_ns : when the broker appended the newest, UTC nanoseconds
    """

    newest_ns: int = 0
    epochs: dict[str, int] = field(default_factory=dict)
    appended_ns: int = 0

    def next_epoch(self, source: str, now_ns: int) -> int:
        """An epoch above all that the source has had.

        What it had before the records that were looked at is not known: its writer's clock may have been ahead, by half
        of what readers believe. The other half is left for brokers whose clocks differ.
        """
        known = self.epochs.get(source)
        return max(now_ns, self.appended_ns + MAX_SKEW_NS // 2 if known is None else known + 1)

    def take(self, message: Message, decoder: Decoder) -> None:
        """Look at one record; an unreadable one tells nothing."""
        try:
            headers = FrameHeaders.from_kafka(cast(Headers | None, message.headers()))
            times = decoder.open(message.value() or b"").column("ts_recv")
        except ContractError:
            return
        appended_ns = message.timestamp()[1] * 1_000_000
        self.appended_ns = max(self.appended_ns, appended_ns)
        # What readers refuse must become neither this writer's time nor its epoch.
        latest = appended_ns + MAX_SKEW_NS
        if headers.source not in ASIDE and headers.epoch <= latest:
            self.newest_ns = max(self.newest_ns, int(times[times <= latest].max(initial=0)))
            self.epochs[headers.source] = max(self.epochs.get(headers.source, -1), headers.epoch)


def read_tail(settings: Settings, feed: str) -> LogTail:
    """Read the end of every partition of the feed's market topic."""
    tail, decoder, topic = LogTail(), Decoder(), topics.market(feed)
    reader = kafka.consumer(settings)
    try:
        for partition in range(kafka.existing_topics(kafka.admin(settings)).get(topic, 0)):
            low, high = kafka.watermarks(reader, topic, partition)
            for message in kafka.read_range(reader, topic, partition, max(low, high - TAIL_RECORDS), high):
                tail.take(message, decoder)
    finally:
        reader.close()
    return tail
