"""What is passed over in a log that the client cannot unpack, and when."""

from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sinks.elasticsearch.bulk_items import Intake
from streams.driver import Driver
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.runtime import batches
from tapewatch.runtime.batches import PassingOver, UnreadableBatch, found
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ElasticsearchSettings

HEADER = bytes.fromhex(
    "0000000000000007"  # base offset 7
    "00000035"  # 53 bytes follow
    "00000000" "02" "00000000"  # leader epoch, magic, CRC
    "000c"  # attributes: zstd, the broker's time
    "00000002"  # the last offset is two further
    "0000000000000001" "0000018bcfe56800"  # first and newest time
)  # fmt: skip
RAW = HEADER + bytes(65 - len(HEADER))


def test_header_says_where_a_batch_ends() -> None:
    batch = found(("t", 3), 8, RAW + b"the next one")
    assert (batch.first, batch.last, batch.codec, batch.size, batch.head) == (7, 9, "zstd", 65, RAW)
    assert batch.timestamp() == (2, 1_700_000_000_000)
    assert batch.detail == "offsets 7 to 9: 65 bytes, zstd, cannot be unpacked"


@pytest.mark.parametrize(
    ("offset", "raw"),
    [
        (6, RAW),
        (10, RAW),
        (8, b""),
        (8, RAW[:64]),
        (8, RAW[:16] + b"\x01" + RAW[17:]),
        (8, RAW[:8] + bytes(4) + RAW[12:]),
    ],
    ids=["before", "behind", "nothing", "cut", "old", "no length"],
)  # fmt: skip
def test_what_is_no_sound_header_moves_nobody(offset: int, raw: bytes) -> None:
    with pytest.raises(TapewatchError, match="no sound batch header"):
        found(("t", 3), offset, raw)


@dataclass
class PolledMessage:
    """A message of partition t[3]. code : of its error; 0 for none"""

    at: int
    code: int = 0

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return KafkaError(self.code) if self.code else None


class SeekableConsumer:
    """A consumer that can be moved, or has nothing assigned."""

    def __init__(self, assigned: bool = True) -> None:
        self.places: list[int] = []
        self._assigned = assigned

    def seek(self, place: TopicPartition) -> None:
        if not self._assigned:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.places.append(place.offset)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the broker answers, one after the other; then nothing."""
    answers = [RAW]

    def fetched(*_: Any) -> bytes:
        if not answers:
            raise TapewatchError("the log was not shown", "Run `tapewatch status`.")
        return answers.pop(0)

    monkeypatch.setattr(batches, "fetched", fetched)
    return answers


def refusal() -> PolledMessage:
    return PolledMessage(7, KafkaError._BAD_COMPRESSION)


def read(over: PassingOver, consumer: SeekableConsumer, *polled: PolledMessage) -> list[Any]:
    given: Any = polled
    return [each.first if isinstance(each, UnreadableBatch) else each for each in over.read(consumer, given)]


def test_only_what_is_refused_twice_is_passed_over(log: list[bytes]) -> None:
    over, consumer = PassingOver(Settings()), SeekableConsumer()
    before = PolledMessage(6)
    assert read(over, consumer, before, refusal()) == [before]
    assert consumer.places == []
    assert read(over, consumer, refusal(), refusal(), PolledMessage(10)) == [7]
    assert consumer.places == [10]


def test_batch_that_nobody_can_be_asked_about_is_asked_for_again(log: list[bytes]) -> None:
    over, consumer, known = PassingOver(Settings()), SeekableConsumer(), log.pop()
    assert read(over, consumer, refusal(), refusal()) == []
    log.append(known)
    assert read(over, consumer, refusal()) == [7]


def test_batch_of_a_partition_that_was_taken_away_is_nobodys(log: list[bytes]) -> None:
    assert read(PassingOver(Settings()), SeekableConsumer(assigned=False), refusal(), refusal()) == []


def test_other_errors_are_handed_on(log: list[bytes]) -> None:
    over, consumer, gone = PassingOver(Settings()), SeekableConsumer(), PolledMessage(7, KafkaError._AUTO_OFFSET_RESET)
    assert read(over, consumer, gone, gone) == [gone, gone]


def test_task_goes_on_behind_the_batch_and_a_silent_one_writes_no_letter() -> None:
    batch = found(("market.driver", 0), 7, RAW)
    live, silent = (Driver(FixedRegistry([])).task for _ in range(2))
    silent.silent = True
    for task in (live, silent):
        task.pass_over(batch)
        assert (task.next_offset, task.tally.first_offset, task.tally.refused) == (10, 7, {"unreadable_batch": 1})
    (letter,) = live.take()
    assert (letter.topic, letter.value) == ("market.driver.dlq", RAW)
    assert silent.take() == []


def test_letter_tells_the_whole_batch() -> None:
    letter = dead_letters.of_batch(found(("alerts", 3), 7, RAW), dead_letters.POSTGRES)
    said = {name: value.decode() for name, value in letter.headers}
    assert (letter.topic, letter.reason) == ("alerts.dlq", "unreadable_batch")
    assert [said[name] for name in ("kind", "origin_partition", "origin_offset", "last_offset", "codec", "bytes")] == [
        "record", "3", "7", "9", "zstd", "65",
    ]  # fmt: skip


def test_search_store_has_a_letter_of_what_no_engine_answers_for() -> None:
    intake = Intake(ElasticsearchSettings())
    items, letter = intake.take(found((topics.ALERTS, 0), 7, RAW))
    assert items == []
    assert letter is not None
    assert letter.reason == "unreadable_batch"
    assert intake.take(found(("market.x", 0), 7, RAW)) == ([], None)
