"""The market log into the scratch database: frames opened, repeats dropped, refused rows left out.

`rows` holds every row that counts, with a digest of what a store keeps of it; `quotes`, `books`, `trades`, `bars_in`
and `statuses` hold what the features are computed from. An absent value is NULL, since DuckDB's NaN is a large number.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from tests.foreign.broker import headers_of
from tests.foreign.scratch import ROWS, Scratch, table

LATE = 63
"""A frame counts though so many later ones of its source have come before it."""
CONTROL, REPLAYED, CLOSES = "control", "dead-letters", "generation.closes"
"""Sources whose frames lie beside the writer's, and the one whose frame ends the topic."""
HEARTBEAT, STATUS_CONTROL = 6, 9
KINDS = ("status", "trade", "order", "quote", "book", "bar")
FLUSH_ROWS, FLUSH_FRAMES = 250_000, 10_000

SIDES = [f"{side}_{what}_{level}" for side in ("bid", "ask") for what in ("price", "qty") for level in range(1, 6)]
TOUCH = ["bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume"]


@dataclass(frozen=True)
class TableSchema:
    """What PostgreSQL keeps of a row type. time : the column that dates a row"""

    table: str
    longs: tuple[str, ...]
    doubles: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    time: str = "ts_recv_ns"

    @property
    def digest(self) -> str:
        """SQL of a row's digest, the same whether the row comes from the log or from a table."""
        columns = [f"{name}::BIGINT" for name in self.longs] + [f"{name}::DOUBLE" for name in self.doubles]
        return f"hash({', '.join([*columns, *(['texts'] if self.texts else [])])})"


_TIMES = ("ts_event_ns", "ts_recv_ns")
STORED = {
    "status": TableSchema("status", (*_TIMES, "kind"), texts=("detail",)),
    "trade": TableSchema(
        "trades",
        (*_TIMES, "aggressor_side", "condition"),
        ("price", "qty"),
        ("trade_id", "buyer_account", "seller_account", "buyer_order_id", "seller_order_id"),
    ),
    "order": TableSchema("orders", (*_TIMES, "action", "side"), ("price", "qty"), ("order_id", "account", "capacity")),
    "quote": TableSchema("quotes", _TIMES, tuple(TOUCH)),
    "book": TableSchema("books", (*_TIMES, "sequence"), tuple(SIDES)),
    "bar": TableSchema(
        "bars",
        ("ts_recv_ns", "ts_open_ns", "interval_s", "trades"),
        ("open", "high", "low", "close", "volume"),
    ),
}

_TABLES = """
CREATE TABLE rows (partition INT, kind TINYINT, place BIGINT, instrument INT, ts BIGINT, second BIGINT, digest UBIGINT,
    moves BOOL, replayed BOOL, sealed BOOL);
CREATE TABLE quotes (partition INT, place BIGINT, instrument INT, second BIGINT, bid DOUBLE, bid_qty DOUBLE,
    ask DOUBLE, ask_qty DOUBLE, last DOUBLE, volume DOUBLE);
CREATE TABLE books (partition INT, place BIGINT, instrument INT, second BIGINT, bid DOUBLE, bid_qty DOUBLE,
    ask DOUBLE, ask_qty DOUBLE, bid5 DOUBLE, ask5 DOUBLE, bid10 DOUBLE, ask10 DOUBLE);
CREATE TABLE trades (partition INT, place BIGINT, instrument INT, second BIGINT, price DOUBLE, qty DOUBLE, side INT,
    condition INT);
CREATE TABLE bars_in (partition INT, place BIGINT, instrument INT, second BIGINT, open DOUBLE, high DOUBLE, low DOUBLE,
    close DOUBLE, volume DOUBLE, trades BIGINT);
CREATE TABLE statuses (partition INT, place BIGINT, instrument INT, second BIGINT, kind INT);
CREATE TABLE frames (partition INT, pos BIGINT, kind VARCHAR, size INT, outcome VARCHAR);
CREATE TABLE refused_rows (partition INT, place BIGINT);
"""

_INTO = {
    "quote": """quotes SELECT partition, place, instrument, second, nullif(bid_price, 'nan'::DOUBLE), bid_qty,
        nullif(ask_price, 'nan'::DOUBLE), ask_qty, nullif(last_price, 'nan'::DOUBLE), nullif(volume, 'nan'::DOUBLE)""",
    "book": """books SELECT partition, place, instrument, second, nullif(bid_price_1, 'nan'::DOUBLE), bid_qty_1,
        nullif(ask_price_1, 'nan'::DOUBLE), ask_qty_1, bid5, ask5, bid10, ask10""",
    "trade": "trades SELECT partition, place, instrument, second, price, qty, aggressor_side, condition",
    "bar": "bars_in SELECT partition, place, instrument, second, open, high, low, close, volume, trades",
    "status": "statuses SELECT partition, place, instrument, second, kind",
}


@dataclass
class Refusals:
    """What the dead letters say was refused of one partition.

    records : whole ones, by offset; rows : by place
    shared : by offset, letters that several rows share: first row, how many, their frame, empty where it was cut
    """

    records: set[int] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    shared: dict[int, list[tuple[int, int, bytes]]] = field(default_factory=dict)


def rows_of_letter(batch: pa.RecordBatch, first: int, count: int, frame: bytes) -> list[int]:
    """Which rows of a frame share a letter: those that the letter's own frame holds, in order, the first one known.

    Of a letter that was cut it is not known; then as many follow one another as it says.
    """
    if not frame:
        return list(range(first, first + count))
    letter = pa.ipc.open_stream(frame).read_all()
    mine = enumerate(_told(batch.select(letter.schema.names), first, letter.num_rows), first)
    wanted = _told(letter, 0, letter.num_rows)
    return [next(place for place, row in mine if row == each) for each in wanted]


def _told(rows: Any, first: int, step: int) -> Iterator[str]:
    """Rows from the first on as texts, in which NaN is NaN; so many at a time, for most stand one behind the other."""
    for at in range(first, rows.num_rows, step):
        yield from map(str, rows.slice(at, step).to_pylist())


class SeenSequences:
    """Which frames of a partition have come, by source: its newest epoch and sequence, and those just before."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._sequences: dict[str, set[int]] = {}
        self._newest: dict[str, int] = {}

    def has(self, source: str, epoch: int, sequence: int) -> bool:
        """Whether a frame is a repeat."""
        known = self._epochs.get(source, -1)
        if epoch != known:
            return epoch < known
        return sequence in self._sequences[source] or sequence < self._newest[source] - LATE

    def add(self, source: str, epoch: int, sequence: int) -> None:
        """A frame has come."""
        if self._epochs.get(source) != epoch:
            self._epochs[source], self._sequences[source], self._newest[source] = epoch, set(), sequence
        self._newest[source] = newest = max(self._newest[source], sequence)
        mine = self._sequences[source]
        mine.add(sequence)
        if len(mine) > 100 * LATE:
            self._sequences[source] = {each for each in mine if each >= newest - LATE}


class Market:
    """Takes up frames. rows : of all that are no repeats; repeats : how many are, by partition"""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self.rows = 0
        self.repeats: Counter[int] = Counter()
        scratch.sql.execute(_TABLES)

    def take(self, partition: int, messages: Iterable[Message], refused: Refusals, until: int) -> None:
        """All frames of one partition. until : where the engine's last commit ends; later ones are noted alone"""
        places = table({"place": np.fromiter(refused.rows, dtype=np.int64)})
        self._scratch.insert(f"INSERT INTO refused_rows SELECT {partition}, place FROM given", places)
        pending: defaultdict[tuple[Any, ...], list[tuple[int, pa.RecordBatch]]] = defaultdict(list)
        held: Counter[tuple[Any, ...]] = Counter()
        frames: list[tuple[int, str, int, str]] = []
        for offset, source, kind, batch, outcome in self._opened(partition, messages, refused, until):
            size = 0 if batch is None else batch.num_rows
            frames.append((offset, kind, size, outcome))
            if batch is not None:
                self.rows += size
                for letter in refused.shared.get(offset, ()):
                    at = np.array(rows_of_letter(batch, *letter), dtype=np.int64) + offset * ROWS
                    given = table({"place": at})
                    self._scratch.insert(f"INSERT INTO refused_rows SELECT {partition}, place FROM given", given)
                key = (kind, source if source in (CONTROL, REPLAYED) else "", tuple(batch.schema.names))
                pending[key].append((offset, batch))
                held[key] += size
                if held[key] > FLUSH_ROWS or len(pending[key]) > FLUSH_FRAMES:
                    self._flush(partition, key, pending.pop(key))
                    held.pop(key)
            if len(frames) > FLUSH_ROWS:
                self._note(partition, frames)
                frames = []
        for key, batches in pending.items():
            self._flush(partition, key, batches)
        self._note(partition, frames)
        self._seal_replays(partition)

    def _opened(
        self, partition: int, messages: Iterable[Message], refused: Refusals, until: int
    ) -> Iterator[tuple[int, str, str, pa.RecordBatch | None, str]]:
        """Offset, source, row type and rows of each frame, and what became of it: taken, repeat, refused, unread."""
        seen, closed = SeenSequences(), False
        for message in messages:
            offset, headers = message.offset(), headers_of(message)
            source, kind = headers.get("source", ""), headers.get("type", "")
            numbers = headers.get("epoch", ""), headers.get("sequence", "")
            readable = all(number.isdecimal() for number in numbers)
            epoch, sequence = (int(number) for number in numbers) if readable else (0, 0)
            if offset >= until:
                yield offset, source, kind, None, "unread"
            elif readable and (seen.has(source, epoch, sequence) or (closed and source == CONTROL)):
                self.repeats[partition] += 1
                yield offset, source, kind, None, "repeat"
            elif offset in refused.records:
                yield offset, source, kind, None, "refused"
            else:
                batch = pa.ipc.open_stream(message.value()).read_next_batch().replace_schema_metadata(None)
                seen.add(source, epoch, sequence)
                closed = closed or source == CLOSES
                yield offset, source, kind, batch, "taken"

    def _note(self, partition: int, frames: list[tuple[int, str, int, str]]) -> None:
        """Write down what became of records."""
        positions, kind, size, outcome = zip(*frames, strict=True) if frames else ((), (), (), ())
        columns = {
            "pos": pa.array(positions, pa.int64()),
            "kind": pa.array(kind, pa.utf8()),
            "size": pa.array(size, pa.int32()),
        }
        given = table({**columns, "outcome": pa.array(outcome, pa.utf8())})
        self._scratch.insert(f"INSERT INTO frames SELECT {partition}, * FROM given", given)

    def _flush(self, partition: int, key: tuple[Any, ...], batches: list[tuple[int, pa.RecordBatch]]) -> None:
        """Write frames alike to the database."""
        kind, source, _ = key
        stored, rows = STORED[kind], pa.Table.from_batches([batch for _, batch in batches])
        sizes = np.array([batch.num_rows for _, batch in batches])
        offsets = np.repeat(np.array([offset for offset, _ in batches], dtype=np.int64), sizes)
        row = np.arange(len(offsets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        columns = {"place": offsets * ROWS + row, "instrument": self._scratch.numbers(rows.column("instrument"))}
        for name in rows.schema.names:
            columns |= {} if name == "instrument" else _columns(name, rows.column(name))
        columns["second"] = columns["ts_recv_ns"] // 1_000_000_000
        missing = {name: pa.nulls(len(offsets), pa.utf8()) for name in stored.texts if name not in columns}
        given = table({**columns, **missing})
        texts = ", ".join(f"coalesce(replace({name}, chr(0), '?'), chr(30))" for name in stored.texts)
        own = f", md5(concat_ws(chr(31), {texts})) AS texts" if texts else ""
        chosen = f"""
            FROM (SELECT {partition} AS partition, *{own} FROM given)
            ANTI JOIN (SELECT place FROM refused_rows WHERE partition = {partition}) USING (place)
        """
        moves = "kind <> 9" if kind == "status" else "true"
        self._scratch.insert(
            f"""
            INSERT INTO rows SELECT partition, {KINDS.index(kind)}, place, instrument, ts_recv_ns, second,
                {stored.digest}, {moves} AND {not source}, {source == REPLAYED}, false {chosen}
            """,
            given,
        )
        if kind in _INTO:
            self._scratch.insert(f"INSERT INTO {_INTO[kind]} {chosen}", given)

    def _seal_replays(self, partition: int) -> None:
        """Replayed rows of a second that was over when they came: stores keep them, the engine passes over them."""
        here = f"partition = {partition}"
        if not self._scratch.one(f"SELECT count(*) FROM rows WHERE {here} AND replayed"):
            return
        self._scratch.sql.execute(
            f"""
            UPDATE rows SET sealed = true WHERE {here} AND replayed AND place IN (
                SELECT r.place FROM rows r JOIN rows m ON m.partition = r.partition AND m.moves AND m.place < r.place
                WHERE r.partition = {partition} AND r.replayed
                GROUP BY r.place, r.second HAVING r.second < max(m.second))
            """
        )
        for name in ("quotes", "books", "trades", "bars_in", "statuses"):
            over = f"SELECT place FROM rows WHERE {here} AND sealed"
            self._scratch.sql.execute(f"DELETE FROM {name} WHERE {here} AND place IN ({over})")


def _columns(name: str, column: pa.ChunkedArray) -> dict[str, Any]:
    """A frame's column under the names of the stores: times in nanoseconds, a book's best levels side by side."""
    if pa.types.is_timestamp(column.type):
        return {f"{name}_ns": column.cast(pa.int64()).to_numpy()}
    if not pa.types.is_fixed_size_list(column.type):
        return {name: column}
    levels = np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks]).reshape(-1, column.type.list_size)
    found: dict[str, Any] = {f"{name}_{level + 1}": np.ascontiguousarray(levels[:, level]) for level in range(5)}
    if name.endswith("qty"):
        # An absent level has no price, and its quantity is none.
        there = np.nan_to_num(levels)
        found |= {f"{name[:3]}{count}": there[:, :count].sum(axis=1) for count in (5, 10)}
    return found
