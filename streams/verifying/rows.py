"""What records hold, as rows to compare: one 64-bit hash of every byte of a row, and which row it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.engine.build import build_hash
from tapewatch.contract import topics
from tapewatch.contract.frames import check_size
from tapewatch.contract.messages import Cause, from_rfc3339
from tapewatch.errors import ContractError
from tapewatch.market_log import dead_letters

U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]

FRAMES = (topics.FEATURES, topics.SCORES, topics.BARS)
MESSAGES = (topics.ALERTS, topics.SIGNALS, topics.SHADOW_SIGNALS)

_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_IDENTIFYING = ("ts", "detector", "interval_s")
"""Columns that tell a row of an instrument from its others."""
_MAX_KNOWN = 4096
_ENGINE = dead_letters.ENGINE.encode()
"""Who must have refused: producers and sinks put letters beside those of the engine."""


def digest(*parts: bytes) -> int:
    """64 bits of a hash over byte strings, the lengths of all among them."""
    hashed = blake2b(digest_size=8)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little") + part)
    return int.from_bytes(hashed.digest(), "little")


@dataclass(slots=True)
class Block:
    """Rows of one stream, in order.

    keys : uint64[rows], which row it is; hashes : uint64[rows], of everything in it
    order : int64[rows], what does not go back along the stream: the input offset, for alerts the second (UTC ns)
    offsets : int64[rows], the input offset that caused it; times : int64[rows], UTC nanoseconds, 0 for none
    names : uint64[rows], hash of the instrument (see `Names`)
    """

    keys: U8
    hashes: U8
    order: I8
    offsets: I8
    times: I8
    names: U8

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, part: Any) -> "Block":
        """Some of the rows. part : a slice, a mask or places"""
        return Block(*(getattr(self, each.name)[part] for each in fields(self)))


def joined(blocks: Sequence[Block]) -> Block:
    """Blocks one behind the other."""
    if len(blocks) == 1:
        return blocks[0]
    if not blocks:
        return Block(*(np.zeros(0, dtype=kind) for kind in (np.uint64, np.uint64, *[np.int64] * 3, np.uint64)))
    return Block(*(np.concatenate([getattr(block, each.name) for block in blocks]) for each in fields(Block)))


def _one(key: int, content: int, order: int, offset: int, time: int, name: int) -> Block:
    """A block of one row."""
    unsigned = np.array([[key], [content], [name]], dtype=np.uint64)
    signed = np.array([[order], [offset], [time]], dtype=np.int64)
    return Block(unsigned[0], unsigned[1], signed[0], signed[1], signed[2], unsigned[2])


def _mixed(state: U8, values: U8) -> U8:
    """Take one more value into each row's hash; two rows that differ in one value alone never come out alike."""
    state = (state ^ values) * _ODD
    return state ^ (state >> _SHIFT)


def _bits(column: pa.Array) -> U8:
    """Each value's bits; NaNs keep theirs."""
    width = column.type.bit_width // 8
    values = np.frombuffer(column.buffers()[1], dtype=f"u{width}")
    return values[column.offset : column.offset + len(column)].astype(np.uint64)


class Names:
    """Instruments by the hash that stands for them in blocks."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._dictionaries: dict[bytes, U8] = {}

    def add(self, name: str) -> int:
        """The hash of an instrument's id."""
        found = digest(name.encode())
        self._known[found] = name
        return found

    def of(self, hashed: int) -> str:
        """The instrument."""
        return self._known.get(hashed, "")

    def of_dictionary(self, texts: pa.Array) -> U8:
        """uint64[texts], the hash of each entry of a frame's dictionary."""
        raw = b"".join(part.to_pybytes() for part in texts.buffers() if part is not None) + bytes([texts.offset])
        known = self._dictionaries.get(raw)
        if known is None:
            if len(self._dictionaries) >= _MAX_KNOWN:
                self._dictionaries.clear()
            known = np.array([self.add(text or "") for text in texts.to_pylist()], dtype=np.uint64)
            self._dictionaries[raw] = known
        return known


Headers = Sequence[tuple[str, bytes]]


class _Provenance(msgspec.Struct):
    topic: str
    partition: int
    updated_offset: int
    build: str


class _Alert(msgspec.Struct):
    """The part of an alert that says where it belongs."""

    id: str
    instrument: str
    updated: str
    revision: int
    provenance: _Provenance


class _Signal(msgspec.Struct):
    """The part of a signal that says where it belongs."""

    id: str
    instrument: str
    ts: str
    cause: Cause
    build: str


class _Coverage(msgspec.Struct):
    """The part of a coverage record that says where it belongs."""

    instrument: str
    start: str
    reason: str
    cause: Cause


@dataclass(slots=True)
class RowDecoder:
    """Makes rows of records.

    other_builds : messages by another build than this one; its name is left out of their comparison
    """

    names: Names = field(default_factory=Names)
    other_builds: int = 0
    _schemas: dict[bytes, tuple[int, list[tuple[str, bool]]]] = field(default_factory=dict)

    def rows(self, topic: str, value: bytes, key: bytes | None, headers: Headers) -> tuple[str, Block]:
        """The row type of a record, and its rows; ContractError where it cannot be read."""
        if topic in FRAMES:
            kind = dict(headers).get("type", b"").decode("utf-8", "replace")
            return kind, self._frame(value, headers)
        try:
            if topic == topics.ALERTS:
                return "alert", self._alert(value, key, headers)
            if topic in MESSAGES:
                return "signal", self._signal(value, key, headers)
            if topic == topics.COVERAGE:
                return "coverage", self._coverage(value, key, headers)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise ContractError("unreadable", str(error)) from error
        return "dead letter", self._letter(value, headers)

    def _frame(self, value: bytes, headers: Headers) -> Block:
        check_size(value)
        try:
            with pa.ipc.open_stream(value) as reader:
                batch = reader.read_next_batch()
                seed, columns = self._schema(value[: 8 + int.from_bytes(value[4:8], "little")], batch.schema, headers)
                names = self.names.of_dictionary(batch.column(0).dictionary)[batch.column(0).indices.to_numpy()]
            values = {name: _bits(batch.column(at + 1)) for at, (name, _) in enumerate(columns)}
        except (pa.ArrowException, StopIteration, OSError, ValueError, IndexError, AttributeError) as error:
            raise ContractError("unreadable", str(error)) from error
        keys, hashes = names, names ^ np.uint64(seed)
        for name, identifies in columns:
            hashes = _mixed(hashes, values[name])
            if identifies:
                keys = _mixed(keys, values[name])
        if "offset" not in values or "ts" not in values:
            raise ContractError("wrong_schema", "no offset or no time")
        offsets = values["offset"].view(np.int64)
        return Block(keys, hashes, offsets, offsets, values["ts"].view(np.int64), names)

    def _schema(self, raw: bytes, schema: pa.Schema, headers: Headers) -> tuple[int, list[tuple[str, bool]]]:
        """What a frame's schema and headers add to its rows' hashes; its columns behind the instrument, and whether
        each identifies a row.
        """
        begin = raw + b"".join(name.encode() + b"=" + value for name, value in headers)
        known = self._schemas.get(begin)
        if known is None:
            if len(self._schemas) >= _MAX_KNOWN:
                self._schemas.clear()
            described = sorted((schema.metadata or {}).items())
            texts = [repr(described), repr(sorted(headers)), *(f"{each.name} {each.type}" for each in schema)]
            columns = [(name, name in _IDENTIFYING) for name in schema.names[1:]]
            known = self._schemas[begin] = digest(*(text.encode() for text in texts)), columns
        return known

    def _alert(self, value: bytes, key: bytes | None, headers: Headers) -> Block:
        found = msgspec.json.decode(value, type=_Alert)
        content = self._content(value, found.provenance.build, key, headers)
        updated, origin = from_rfc3339(found.updated), found.provenance
        name = self.names.add(found.instrument)
        which = digest(found.id.encode(), str(found.revision).encode())
        return _one(which, content, updated, origin.updated_offset, updated, name)

    def _signal(self, value: bytes, key: bytes | None, headers: Headers) -> Block:
        found = msgspec.json.decode(value, type=_Signal)
        content = self._content(value, found.build, key, headers)
        name, offset = self.names.add(found.instrument), found.cause.offset
        return _one(digest(found.id.encode()), content, offset, offset, from_rfc3339(found.ts), name)

    def _coverage(self, value: bytes, key: bytes | None, headers: Headers) -> Block:
        found = msgspec.json.decode(value, type=_Coverage)
        which = digest(found.instrument.encode(), found.start.encode(), found.reason.encode())
        content = digest(value, key or b"", repr(sorted(headers)).encode())
        name, offset = self.names.add(found.instrument), found.cause.offset
        return _one(which, content, offset, offset, from_rfc3339(found.start), name)

    def _letter(self, value: bytes, headers: Headers) -> Block:
        found = dict(headers)
        content = digest(value, repr(sorted(headers)).encode())
        offset = int(found["origin_offset"])
        which = digest(found["origin_offset"], found.get("row", b""), found.get("reason", b""))
        return _one(which, content, offset, offset, 0, self.names.add(""))

    def _content(self, value: bytes, build: str, key: bytes | None, headers: Headers) -> int:
        """Of a whole message; another build's name differs by right, nothing else may."""
        if build != build_hash():
            self.other_builds += 1
            value = value.replace(build.encode(), build_hash().encode())
        return digest(value, key or b"", repr(sorted(headers)).encode())


def origin_of(topic: str, feed: str, value: bytes, headers: Headers) -> int | None:
    """The input partition that a record of an output topic names, if its input is this feed; None otherwise."""
    if topic in MESSAGES:
        return _origin_of_message(market=topics.market(feed), value=value)
    found = dict(headers)
    if topic == topics.dead_letters(topics.market(feed)):
        of_engine = "origin_offset" in found and found.get("refused_by", _ENGINE) == _ENGINE
        return _number(found.get("origin_partition")) if of_engine else None
    return _number(found.get("partition")) if found.get("feed") == feed.encode() else None


def _origin_of_message(market: str, value: bytes) -> int | None:
    before = f'"topic":"{market}","partition":'.encode()
    at = value.find(before)
    if at < 0:
        return None
    return _number(value[at + len(before) :].split(b",", 1)[0].split(b"}", 1)[0])


def _number(text: bytes | None) -> int | None:
    """A whole number of 0 or more; None for anything else."""
    return int(text) if text is not None and text.isdigit() else None


def streams_of(topic: str) -> Iterator[str]:
    """The row types that the engine writes to a topic."""
    yield from {
        topics.FEATURES: ("features", "sealed"),
        topics.SCORES: ("scores",),
        topics.BARS: ("bars", "sealed-minutes"),
        topics.ALERTS: ("alert",),
        topics.SIGNALS: ("signal",),
        topics.SHADOW_SIGNALS: ("signal",),
        topics.COVERAGE: ("coverage",),
    }.get(topic, ("dead letter",))
