"""Snapshots: a task's state as bytes, in chunks on the compacted topic, found again through the consumer group's offset
metadata.

The metadata of a committed offset names the last two snapshots (partition and first offset of their chunks on
`engine.snapshots`), in the same transaction as the offset itself: whoever is given the partition knows where to read,
and no local disk is needed.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pyarrow as pa
from confluent_kafka import Message, Producer

from streams.engine import state as fields
from streams.engine.accounts import ACCOUNT_SCENARIOS, MAX_BYTES
from streams.engine.detector_config import ALL_SCENARIOS, DetectorConfig
from streams.engine.layout import ArrayLayout
from streams.engine.models import ActiveModels, ModelSource
from streams.engine.task import Task
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka, transactions

OTHER_BUILDS = 4
"""How many times what this build keeps of an instrument another one's snapshot may hold."""
CHUNK_BYTES = 4 * 1024 * 1024
FORMAT = 5
OPENING = 2
"""The slot of the state that a partition of a later generation begins with; the running ones are 0 and 1."""
GROUP = "group"
"""Header of a chunk: the engines' consumer group, whose state it is."""
_DIGEST_BYTES = 32


class DamagedError(TapewatchError):
    """A snapshot cannot be used: a chunk is missing, the digest differs, or its format is another build's."""


class Head(msgspec.Struct, frozen=True):
    """What a snapshot says of itself before the state's bytes.

    next_offset : the first record not in the state; kinds : class of each instrument
    missing : of the admission, like names, sources and clock
    layout : what the state's numbers are called, see streams.engine.state; empty in snapshots of builds before 0.3
    account_scenarios : in the order of the accounts stage's episodes
    digest : sha256 of the uncompressed state; size : its bytes, the last `accounts` of them the accounts stage's
    """

    format: int
    topic: str
    partition: int
    next_offset: int
    names: list[str]
    kinds: list[str]
    sources: dict[str, tuple[int, int]]
    clock: int
    models: dict[str, str]
    config: msgspec.Raw
    build: str
    digest: str
    size: int
    accounts: int
    missing: dict[str, int] = {}
    layout: dict[str, ArrayLayout] = {}
    account_scenarios: list[str] = []


class _Format(msgspec.Struct, frozen=True):
    """What every build's snapshots say of themselves, whatever else they hold."""

    format: int


class Pointer(msgspec.Struct, frozen=True, array_like=True):
    """Where a snapshot lies: partition and offset of its first chunk, number of chunks, and the first input record not
    in it.
    """

    partition: int
    offset: int
    chunks: int
    next_offset: int
    slot: int


class Pointers(msgspec.Struct, frozen=True, array_like=True):
    """The last snapshots of a partition, newest first; kept as the metadata of the committed offset.

    began : the offset at which the group began with the partition, -1 where that is not known
    partitions : how many the topic had when the group began with it, 0 where that is not known
    topic_id : the broker's id of the topic, empty where that is not known
    """

    snapshots: tuple[Pointer, ...] = ()
    began: int = -1
    partitions: int = 0
    topic_id: str = ""

    def encoded(self) -> str:
        """As offset metadata."""
        return msgspec.json.encode(self).decode()

    def with_new(self, pointer: Pointer) -> "Pointers":
        """The new one and the one before."""
        return msgspec.structs.replace(self, snapshots=(pointer, *self.snapshots[:1]))

    @property
    def next_slot(self) -> int:
        """The slot that the next snapshot overwrites: not the newest one's."""
        return 1 if self.snapshots and self.snapshots[0].slot == 0 else 0

    @property
    def are_lost(self) -> bool:
        """Whether nothing of the partition's past is known."""
        return not self.snapshots and self.began < 0

    @classmethod
    def decoded(cls, metadata: str | None) -> "Pointers":
        """Read offset metadata; nothing where there is none."""
        try:
            return msgspec.json.decode(metadata, type=cls) if metadata else cls()
        except msgspec.MsgspecError:
            return cls()


def dump(task: Task) -> bytes:
    """A task's whole state: the sha256 of what follows, 4 bytes of length, a JSON head, the state in LZ4."""
    accounts = task.accounts.dump()
    data = fields.dump(task.state) + accounts
    admission = task.admission
    head = Head(
        format=FORMAT,
        topic=task.topic,
        partition=task.partition,
        next_offset=task.next_offset,
        names=admission.names,
        kinds=task.kinds,
        sources=admission.sources,
        clock=int(admission.clock[0]),
        models=task.force.models,
        config=msgspec.Raw(msgspec.json.encode(task.force.config)),
        build=task.build,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        accounts=len(accounts),
        missing=admission.missing,
        layout=fields.LAYOUT,
        account_scenarios=list(ACCOUNT_SCENARIOS),
    )
    encoded = msgspec.json.encode(head)
    body = len(encoded).to_bytes(4, "little") + encoded + bytes(pa.compress(data, codec="lz4", asbytes=True))
    return hashlib.sha256(body).digest() + body


def restore(task: Task, data: bytes, shelf: ModelSource) -> None:
    """Put a dumped state into a new task of the same partition; DamagedError where it does not hold together."""
    digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        raise DamagedError(f"a snapshot of {task.topic}[{task.partition}] does not match its digest")
    length = int.from_bytes(data[:4], "little")
    try:
        written = msgspec.json.decode(data[4 : 4 + length], type=_Format).format
        if written != FORMAT:
            raise DamagedError(
                f"a snapshot of {task.topic}[{task.partition}] has format {written}, this build's is {FORMAT}",
                "The state is computed from the log instead; see docs/operations.md, Upgrade.",
            )
        head = msgspec.json.decode(data[4 : 4 + length], type=Head)
        if not _can_be(head):
            raise DamagedError(
                f"a snapshot of {task.topic}[{task.partition}] says it has {head.size} bytes, "
                f"which {len(head.names)} instruments have not"
            )
        state = bytes(pa.decompress(data[4 + length :], decompressed_size=head.size, codec="lz4", asbytes=True))
    except (msgspec.MsgspecError, pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"a snapshot of {task.topic}[{task.partition}] cannot be read: {error}") from error
    if hashlib.sha256(state).hexdigest() != head.digest:
        raise DamagedError(f"a snapshot of {task.topic}[{task.partition}] does not match its digest")
    if (head.topic, head.partition) != (task.topic, task.partition):
        raise DamagedError(f"a snapshot of {head.topic}[{head.partition}] is not this partition's")
    split = head.size - head.accounts
    try:
        config = _known_config(head.config)
        task.force = ActiveModels(shelf, head.models, config)
        task.admission.load(head.names, head.sources, head.clock, head.missing)
        task.adopt(fields.load(state[:split], head.layout or fields.LAYOUT), head.kinds)
        task.accounts.load(state[split:], head.account_scenarios)
    except (msgspec.MsgspecError, ValueError, LookupError, OverflowError) as error:
        raise DamagedError(f"a snapshot of {task.topic}[{task.partition}] cannot be taken up: {error}") from error
    task.next_offset = head.next_offset


def _can_be(head: Head) -> bool:
    """Whether a state of these instruments can have that size: nothing larger is unpacked."""
    count = len(head.names)
    size = fields.dumped_bytes(count, head.layout or fields.LAYOUT)
    bounded = 0 <= head.accounts <= 64 + count * MAX_BYTES and size <= OTHER_BUILDS * fields.dumped_bytes(count)
    return bounded and head.size == size + head.accounts


def _known_config(raw: msgspec.Raw) -> DetectorConfig:
    """A configuration as far as this build has what it names: a later one may know more scenarios and parameters."""
    try:
        return msgspec.json.decode(raw, type=DetectorConfig)
    except msgspec.ValidationError:
        given, known = msgspec.json.decode(raw, type=dict[str, Any]), msgspec.to_builtins(DetectorConfig())
        kinds = given.get("classes")
        if isinstance(kinds, dict):
            scenarios = {name: known[name] for name in ALL_SCENARIOS}
            known["classes"] = dict.fromkeys(kinds, scenarios)
        return msgspec.convert(_pruned(given, known), DetectorConfig)


def _pruned(given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Without the keys, here and below, that are not known."""
    return {
        name: _pruned(value, known[name]) if isinstance(value, dict) and isinstance(known[name], dict) else value
        for name, value in given.items()
        if name in known
    }


def chunks(data: bytes) -> list[bytes]:
    """The dump in records of at most 4 MiB."""
    return [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]


def chunk_key(task: Task, slot: int, index: int) -> bytes:
    """The compaction key of a chunk: a partition keeps two slots of running snapshots."""
    return f"{task.topic}|{task.partition}|{slot}|{index}".encode()


def chunk_headers(task: Task, count: int, index: int) -> list[tuple[str, bytes]]:
    """Headers by which a reader tells the chunks of one snapshot together."""
    named = {"next_offset": task.next_offset, "chunks": count, "chunk": index}
    return [(name, str(value).encode()) for name, value in named.items()]


def put(producer: Producer, partition: int, task: Task, slot: int, data: bytes, more: Headers = ()) -> Pointer:
    """Write a task's dumped state in chunks; where it lies, known once the broker has them.

    partition : of the topic; more : headers of each chunk beside those that every one has
    KafkaException where they are not acknowledged in time.
    """
    parts, first = chunks(data), list[int]()
    for index, part in enumerate(parts):
        kafka.enqueue(
            producer,
            topics.SNAPSHOTS,
            part,
            chunk_key(task, slot, index),
            [*chunk_headers(task, len(parts), index), *more],
            partition,
            lambda error, message: None if error else first.append(message.offset()),
        )
    producer.flush(transactions.TIMEOUT_MS / 1000)
    if len(first) != len(parts):
        raise transactions.unacknowledged("snapshot chunks")
    return Pointer(partition, min(first), len(parts), task.next_offset, slot)


def collect(pointer: Pointer, task: Task, read: Callable[[int, int], Iterable[Message]]) -> bytes:
    """The bytes of a snapshot; `read(partition, offset)` gives the records from there on up to the topic's end."""
    wanted = {chunk_key(task, pointer.slot, index): index for index in range(pointer.chunks)}
    found: dict[int, bytes] = {}
    for message in read(pointer.partition, pointer.offset):
        index = wanted.get(message.key() or b"")
        if index is None:
            continue
        if dict(message.headers() or ()).get("next_offset") == str(pointer.next_offset).encode():
            found[index] = message.value() or b""
        if len(found) == pointer.chunks:
            break
    if len(found) != pointer.chunks:
        raise DamagedError(f"{pointer.chunks - len(found)} of {pointer.chunks} chunks of a snapshot are gone")
    return b"".join(found[index] for index in range(pointer.chunks))
