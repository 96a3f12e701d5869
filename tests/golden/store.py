"""The rows that PostgreSQL's sink would write, from what it hands its database: bytes for COPY, rows for INSERT."""

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from sinks.postgres import merge
from sinks.postgres.batch import Batch
from sinks.postgres.binary import PackedRows
from sinks.postgres.intake import Intake, Refusals, is_wanted
from sinks.postgres.positions import Positions
from streams.engine.task import OutputRecord
from tapewatch.contract import topics
from tapewatch.market_log.registry import FixedRegistry
from tests.golden.engine import PARTITION, Row, letter, single, topic_of
from tests.golden.tape import Tape

BROKEN = (b"", b"no frame", b'{"version": "1.0"}', b'{"version": "2.0"}')

_INSERT = re.compile(r"\s*INSERT INTO (\w+)[^(]*\(([^)]*)\) VALUES")
_FORMATS = {"i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}


class Numbers:
    """Numbers for names, in the order in which they are asked for; and the names again."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def _number(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name) + 1

    def instruments(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        return np.array([self._number(name) for name in names], dtype=np.int32)

    def log(self, topic: str, partition: int) -> int:
        return self._number(f"{topic}[{partition}]")

    def model(self, detector: str, version: str) -> int:
        return self._number(f"{detector}={version}")

    def named(self, row: Row) -> Row:
        """A row with names in place of numbers."""
        keys = ("instrument_id", "log_id", "model_id")
        return {key: self.names[value - 1] if key in keys and value else value for key, value in row.items()}


class NoDatabase:
    """A connection, and its cursor, that finds nothing; of what is inserted it keeps table, columns and rows."""

    connection = SimpleNamespace(encoding="UTF8")

    def __init__(self) -> None:
        self.inserted: list[tuple[str, Row]] = []
        self._given: list[Sequence[Any]] = []

    def __enter__(self) -> "NoDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def cursor(self) -> "NoDatabase":
        return self

    def fetchone(self) -> None:
        return None

    def mogrify(self, _: object, values: Sequence[Any]) -> bytes:
        self._given.append(values)
        return b""

    def execute(self, statement: str | bytes, _: object = None) -> None:
        text = statement.decode() if isinstance(statement, bytes) else statement
        found, given, self._given = _INSERT.match(text), self._given, []
        if found and given:
            columns = [name.strip() for name in found[2].split(",")]
            self.inserted += [(found[1], dict(zip(columns, row, strict=True))) for row in given]


@dataclass(frozen=True)
class KafkaMessage:
    """A record where it lies, as a Kafka message. at : when the broker took it, UTC ns"""

    log: tuple[str, int]
    number: int
    content: bytes | None
    told: Sequence[tuple[str, bytes]] = ()
    at: int = 0

    def topic(self) -> str:
        return self.log[0]

    def partition(self) -> int:
        return self.log[1]

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self.told)

    def timestamp(self) -> tuple[int, int]:
        return 2, self.at // 1_000_000


def messages_of(name: str, tape: Tape, records: Iterable[OutputRecord]) -> Iterator[KafkaMessage]:
    """What the sink reads: reference data, the market, what came of it, and records of these topics that are none."""
    for number, instrument in enumerate(tape.instruments):
        yield KafkaMessage((topics.INSTRUMENTS, 0), number, msgspec.json.encode(instrument))
    for number, sent in enumerate(tape.records):
        yield KafkaMessage((topic_of(name), PARTITION), number, sent.value, sent.headers, sent.appended)
    given: Counter[str] = Counter()
    broken = [OutputRecord(topic, each) for topic in (topics.SCORES, topics.ALERTS) for each in BROKEN]
    for record in [*records, *broken]:
        if is_wanted(record.topic):
            yield KafkaMessage((record.topic, PARTITION), given[record.topic], record.value, record.headers)
            given[record.topic] += 1


def outputs(name: str, tape: Tape, records: Iterable[OutputRecord]) -> dict[str, list[Row]]:
    """Rows by table, as `postgres.<table>`, and what the sink refuses. records : of the engine and the desk"""
    database, numbers, batch = NoDatabase(), Numbers(), Batch()
    session, keys, columns = cast(Any, database), cast(Any, numbers), cast(Any, AnyColumns())
    intake = Intake(keys, Positions(session, FixedRegistry(tape.instruments)), columns, Refusals(session))
    for message in messages_of(name, tape, records):
        intake.take(cast(Any, message), batch)
    merge.merge(session, keys, batch.messages)
    copied = [(packed.table.name, row) for each in batch.packed.values() for packed in each for row in unpacked(packed)]
    found: dict[str, list[Row]] = {}
    for table, row in [*copied, *database.inserted]:
        found.setdefault(f"postgres.{table}", []).append(numbers.named(row))
    letters = ([(key, text.decode()) for key, text in each.letter.headers] for each in batch.dead)
    found["postgres/dead letters"] = [letter(dict(headers), b"") for headers in letters]
    found["postgres/counts"] = [{"rows": batch.rows, "refused": batch.refused, "duplicates": batch.duplicates}]
    return found


class AnyColumns:
    """A features table that has every column."""

    def ensure(self, names: Sequence[str]) -> None:
        pass


def unpacked(packed: PackedRows) -> Iterator[Row]:
    """Rows of PostgreSQL's binary COPY format: a count of fields, then each with its length, -1 for NULL."""
    data, at, table = packed.data, 0, packed.table
    kinds = [kind for _, kind in table.fixed]
    fixed = struct.Struct(">h" + "".join(f"i{_FORMATS[kind]}" for kind in kinds))
    lengths = tuple(int(kind[1]) for kind in kinds)
    for _ in range(packed.rows):
        count, *fields = fixed.unpack_from(data, at)
        if count != len(table.columns) or tuple(fields[::2]) != lengths:
            raise ValueError(f"no row of {table.name}")
        at += fixed.size
        values = [single(value) if kind == "f4" else value for kind, value in zip(kinds, fields[1::2], strict=True)]
        for _ in table.texts:
            (length,) = struct.unpack_from(">i", data, at)
            values.append(data[at + 4 : at + 4 + length].decode() if length >= 0 else None)
            at += 4 + max(length, 0)
        yield dict(zip(table.columns, values, strict=True))
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes behind the rows of {table.name}")
