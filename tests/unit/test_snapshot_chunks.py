"""Snapshots on their topic: chunks and where they lie, the pointers that find them, and what is refused as damaged."""

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.driver import Driver
from streams.engine import opening_snapshots, snapshots
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ModelStore
from streams.engine.snapshots import CHUNK_BYTES, FORMAT, DamagedError, Pointer, Pointers
from streams.engine.task import Task
from tapewatch.contract.frames import FrameHeaders
from tapewatch.market_log.registry import FixedRegistry
from tests.unit import engine_market as m
from tests.unit.recovery_scene import Record

A, B = "A.SIMX", "B.SIMX"


@cache
def task(next_offset: int = 7) -> Task:
    made = Driver(FixedRegistry([]), "market.x", 3).task
    made.next_offset = next_offset
    return made


# Pointers


def test_pointers_are_the_offsets_metadata_as_every_release_wrote_it() -> None:
    pointers = Pointers((Pointer(5, 60, 2, 400, 1), Pointer(5, 40, 3, 300, 0)), 12)
    assert pointers.encoded() == '[[[5,60,2,400,1],[5,40,3,300,0]],12,0,""]'
    now = msgspec.structs.replace(pointers, partitions=4, topic_id="98falvPnRDalF5U+8BHy1g")
    assert now.encoded() == '[[[5,60,2,400,1],[5,40,3,300,0]],12,4,"98falvPnRDalF5U+8BHy1g"]'
    assert Pointers.decoded(now.encoded()) == now
    assert Pointers.decoded("[[[5,60,2,400,1],[5,40,3,300,0]],12,0]") == pointers
    assert Pointers.decoded("[[[5,60,2,400,1],[5,40,3,300,0]],12]") == pointers
    assert Pointers.decoded("[[[5,60,2,400,1]]]") == Pointers((Pointer(5, 60, 2, 400, 1),), -1)


@pytest.mark.parametrize("metadata", [None, "", "x", "{}", "[[[5,60]]]", '[["a"],1]'])
def test_metadata_that_names_no_snapshots_is_none(metadata: str | None) -> None:
    assert Pointers.decoded(metadata) == Pointers((), -1)


def test_pointers_keep_the_new_snapshot_and_the_one_before_in_slots_that_take_turns() -> None:
    pointers, slots = Pointers(began=12), []
    for number in range(4):
        slots.append(pointers.next_slot)
        pointers = pointers.with_new(Pointer(5, 10 * number, 1, 100 * number, pointers.next_slot))
    assert slots == [0, 1, 0, 1]
    assert pointers == Pointers((Pointer(5, 30, 1, 300, 1), Pointer(5, 20, 1, 200, 0)), 12)


# Chunks


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (1, [1]),
        (4_194_304, [4_194_304]),
        (4_194_305, [4_194_304, 1]),
        (2 * 4_194_304, [4_194_304, 4_194_304]),
        (9_000_000, [4_194_304, 4_194_304, 611_392]),
    ],
)
def test_dump_is_cut_into_chunks_of_four_mebibytes(size: int, sizes: list[int]) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    parts = snapshots.chunks(data[:size])
    assert [len(part) for part in parts] == sizes
    assert b"".join(parts) == data[:size]


def test_first_state_of_a_later_generation_has_a_slot_behind_those_that_take_turns() -> None:
    assert snapshots.chunk_key(task(), snapshots.OPENING, 0) == b"market.x|3|2|0"
    assert snapshots.chunk_key(task(), opening_snapshots.FIRST_SLOT, 11) == b"market.x|3|3|11"


class Broker:
    """A producer whose records lie on the topic, once it is flushed, from an offset on; the last `lost` do not."""

    def __init__(self, first: int = 40, lost: int = 0) -> None:
        self.first, self.lost = first, lost
        self.taken: list[tuple[Any, ...]] = []
        self._told: list[Any] = []

    def produce(self, *given: Any, headers: Any, on_delivery: Any) -> None:
        self.taken.append((*given, headers))
        self._told.append(on_delivery)

    def flush(self, patience_s: float) -> int:
        assert patience_s == 8.0
        for place, told in enumerate(self._told):
            is_lost = place >= len(self._told) - self.lost
            told(KafkaError(KafkaError._MSG_TIMED_OUT) if is_lost else None, Record(self.first + 2 * place, b""))
        return 0


def test_chunks_are_written_with_keys_and_headers_and_the_pointer_names_the_first() -> None:
    broker, data = Broker(), bytes(CHUNK_BYTES) + b"rest"
    pointer = snapshots.put(broker, 5, task(7), 1, data, [("day", b"20")])
    assert pointer == Pointer(5, 40, 2, 7, 1)
    assert [(topic, value, key, partition) for topic, value, key, partition, _ in broker.taken] == [
        ("engine.snapshots", bytes(CHUNK_BYTES), b"market.x|3|1|0", 5),
        ("engine.snapshots", b"rest", b"market.x|3|1|1", 5),
    ]
    assert [headers for *_, headers in broker.taken] == [
        [("next_offset", b"7"), ("chunks", b"2"), ("chunk", index), ("day", b"20")] for index in (b"0", b"1")
    ]


@pytest.mark.parametrize("lost", [1, 2])
def test_snapshot_one_of_whose_chunks_is_not_acknowledged_is_an_error(lost: int) -> None:
    with pytest.raises(KafkaException, match="snapshot chunks were not acknowledged"):
        snapshots.put(Broker(lost=lost), 5, task(), 1, bytes(CHUNK_BYTES + 1))


def chunk(offset: int, index: int, value: bytes | None, slot: int = 1, next_offset: int = 7, count: int = 3) -> Record:
    headers = snapshots.chunk_headers(task(next_offset), count, index)
    return Record(offset, value, headers, snapshots.chunk_key(task(), slot, index))


def collected(records: list[Record]) -> tuple[bytes, int]:
    """What is collected of three chunks in slot 1 from offset 40 on, and how many records were read for it."""
    read: list[Record] = []

    def reads(partition: int, offset: int) -> Iterator[Any]:
        assert (partition, offset) == (5, 40)
        for record in records:
            read.append(record)
            yield record

    return snapshots.collect(Pointer(5, 40, 3, 7, 1), task(), reads), len(read)


def test_chunks_are_put_together_by_their_number_and_nothing_behind_them_is_read() -> None:
    records = [chunk(40, 2, b"c"), chunk(41, 0, b"a"), chunk(43, 1, b"b"), chunk(44, 0, b"z")]
    assert collected(records) == (b"abc", 3)


def test_chunks_of_other_snapshots_are_passed_over() -> None:
    others = [
        chunk(40, 0, b"x", slot=0),
        chunk(41, 0, b"y", next_offset=6),
        chunk(42, 3, b"z"),
        Record(43, b"none", [], None),
        Record(44, b"other", snapshots.chunk_headers(task(), 3, 0), b"market.x|2|1|0"),
        Record(45, b"bare", [], b"market.x|3|1|0"),
    ]
    records = [*others, chunk(46, 0, b"a"), chunk(47, 1, b"b"), *others, chunk(60, 2, b"c")]
    assert collected(records) == (b"abc", 15)


@pytest.mark.parametrize(
    ("places", "said"), [((), "3 of 3"), ((0, 1), "1 of 3"), ((1, 1, 1), "2 of 3"), ((0, 2, 0), "1 of 3")]
)
def test_snapshot_without_all_of_its_chunks_is_damaged(places: tuple[int, ...], said: str) -> None:
    records = [chunk(40 + number, index, b"a") for number, index in enumerate(places)]
    with pytest.raises(DamagedError) as damage:
        collected(records)
    assert damage.value.message == f"{said} chunks of a snapshot are gone"


# What a dump holds


@cache
def worked() -> Task:
    """A task that has seen quotes, a frame a second; of the sequences 0 to 6 the last but one has not come."""
    driver = m.new_driver([A, B])
    for second in range(6):
        value = m.frame([m.quote(name, second, 99, 101) for name in (B, A)], [B, A])
        driver.record(value, FrameHeaders("quote", "test", 1, second + (second == 5), 0).to_kafka())
    driver.outgoing()
    return driver.task


def parts_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and uncompressed state of a dump, by its description."""
    length = int.from_bytes(data[32:36], "little")
    head = msgspec.json.decode(data[36 : 36 + length])
    return head, bytes(pa.decompress(data[36 + length :], decompressed_size=head["size"], codec="lz4", asbytes=True))


def with_parts(head: dict[str, Any], state: bytes) -> bytes:
    encoded = msgspec.json.encode(head)
    packed = bytes(pa.compress(state, codec="lz4", asbytes=True))
    body = len(encoded).to_bytes(4, "little") + encoded + packed
    return hashlib.sha256(body).digest() + body


def test_dump_says_what_it_is_of_and_with_which_digest() -> None:
    done = worked()
    data = snapshots.dump(done)
    head, state = parts_of(data)
    assert data[:32] == hashlib.sha256(data[32:]).digest()
    assert head["digest"] == hashlib.sha256(state).hexdigest()
    assert (head["format"], head["topic"], head["partition"], head["next_offset"]) == (FORMAT, "market.driver", 0, 6)
    assert (head["names"], head["kinds"]) == ([B, A], ["share", "share"])
    assert (head["sources"], head["missing"], head["clock"]) == ({"test": [1, 6]}, {"test": 1}, m.START + 5)
    assert (head["models"], head["build"]) == (done.force.models, done.build)
    assert (head["size"], head["accounts"]) == (len(state), len(done.accounts.dump()))
    assert with_parts(head, state) == data


def restored(data: bytes) -> Task:
    new = m.new_driver([A, B]).task
    snapshots.restore(new, data, ModelStore())
    return new


def test_task_is_restored_to_what_it_was() -> None:
    done = worked()
    again = restored(snapshots.dump(done))
    assert (again.next_offset, again.kinds, again.admission.names) == (6, ["share", "share"], [B, A])
    assert again.admission.dump() == done.admission.dump()
    assert again.clock_ns == m.at(5) and not again.silent
    # The sequence 5 was overtaken and is still awaited; 6 was seen.
    value = m.frame([m.quote(A, 6, 99, 101)], [A])
    for offset, sequence in enumerate((6, 5, 5, 7), 6):
        again.feed(offset, value, FrameHeaders("quote", "test", 1, sequence, 0).to_kafka(), m.at(60))
    assert (again.tally.duplicates, again.tally.frames) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"digest": "00"}, "a snapshot of market.driver[0] does not match its digest"),
        ({"partition": 1}, "a snapshot of market.driver[1] is not this partition's"),
        ({"topic": "market.y"}, "a snapshot of market.y[0] is not this partition's"),
        ({"format": FORMAT - 1}, f"a snapshot of market.driver[0] has format {FORMAT - 1}, this build's is {FORMAT}"),
        ({"names": 5}, "a snapshot of market.driver[0] cannot be read: Expected `array`, got `int` - at `$.names`"),
        ({"size": 10}, "a snapshot of market.driver[0] says it has 10 bytes, which 2 instruments have not"),
        ({"size": 2**40}, f"a snapshot of market.driver[0] says it has {2**40} bytes, which 2 instruments have not"),
        ({"size": 2**30, "accounts": 2**30}, f"a snapshot of market.driver[0] says it has {2**30} bytes, which 2 "),
    ],
)
def test_whole_snapshot_with_another_head_is_refused_and_leaves_the_task_as_it_was(
    changes: dict[str, Any], why: str
) -> None:
    head, state = parts_of(snapshots.dump(worked()))
    fresh = m.new_driver([A, B]).task
    before = snapshots.dump(fresh)
    with pytest.raises(DamagedError) as damage:
        snapshots.restore(fresh, with_parts(head | changes, state), ModelStore())
    assert damage.value.message.startswith(why)
    assert snapshots.dump(fresh) == before


def test_snapshot_of_another_state_than_its_head_says_is_refused() -> None:
    head, state = parts_of(snapshots.dump(worked()))
    with pytest.raises(DamagedError, match="does not match its digest"):
        restored(with_parts(head, state[:-8] + b"\x01" * 8))
    assert snapshots.dump(restored(with_parts(head, state))) == snapshots.dump(worked())


def test_task_is_restored_under_the_models_and_thresholds_of_its_snapshot() -> None:
    head, state = parts_of(snapshots.dump(worked()))
    kmeans = {"kmeans": head["models"]["kmeans"]}
    found = restored(with_parts(head | {"models": kmeans, "config": {"watch": False}}, state)).force
    assert (found.models, found.config_hash) == (kmeans, DetectorConfig(watch=False).hash)


def test_snapshot_whose_state_cannot_be_unpacked_is_damaged() -> None:
    data = snapshots.dump(worked())
    body = data[32 : 36 + int.from_bytes(data[32:36], "little")] + bytes(20)
    with pytest.raises(DamagedError, match=r"market\.driver\[0\] cannot be read"):
        restored(hashlib.sha256(body).digest() + body)


@pytest.mark.parametrize("keep", [0, 1, 31, 32, 33, 35, 36, 100])
def test_beginning_of_a_snapshot_is_damaged(keep: int) -> None:
    with pytest.raises(DamagedError, match="does not match its digest"):
        restored(snapshots.dump(worked())[:keep])


@pytest.mark.parametrize("body", [b"", b"\x05", (100).to_bytes(4, "little") + b"{}", b"\x02\0\0\0{}"])
def test_whole_bytes_that_are_no_snapshot_are_damaged(body: bytes) -> None:
    with pytest.raises(DamagedError, match=r"market\.driver\[0\] cannot be read"):
        restored(hashlib.sha256(body).digest() + body)
