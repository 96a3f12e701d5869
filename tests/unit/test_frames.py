"""Frames as they come: our own, other Arrow writers', damaged and hostile ones."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewatch.contract import frames, ipc
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.rows import OPTIONAL, REQUIRED, Rows, RowType, StatusKind, schema
from tapewatch.errors import ContractError
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, bar, book, quote, status, trade
from tests.unit.hostile_frames import HOSTILE, MIB, with_columns, written

A, B = "A.SIMX", "B.SIMX"
ORDER = Event(RowType.ORDER, A, m.at(1), {"action": 1, "side": 1, "price": 100.0, "qty": 1.0, "order_id": "7"})
EVENTS: dict[RowType, list[Event]] = {
    RowType.STATUS: [status(StatusKind.OPEN, 1, A, "begin"), status(StatusKind.GAP, 2, B, "世界")],
    RowType.TRADE: [trade(A, 1, 100.0), trade(B, 2, 101.0, 3.0, -1)],
    RowType.ORDER: [ORDER, ORDER],
    RowType.QUOTE: [quote(A, 1, 99, 101), quote(B, 2, 98, 102)],
    RowType.BOOK: [book(A, 1, [(99.0, 1.0)], [(101.0, 2.0)]), book(B, 2, [], [(5.0, 1.0)])],
    RowType.BAR: [bar(A, 1, (5, 6, 4, 5), 7.0, 8), bar(B, 2, (5, 6, 4, 5), 7.0, 8)],
}


def of(row_type: RowType) -> bytes:
    return m.frame(EVENTS[row_type], [A, B])


def same(found: Rows, wanted: Rows) -> None:
    assert found.type is wanted.type
    names = [[rows.instruments[code] for code in rows.columns["instrument"]] for rows in (found, wanted)]
    assert names[0] == names[1]
    for name, _ in REQUIRED[wanted.type][1:]:
        np.testing.assert_array_equal(found.columns[name], wanted.columns[name])


@pytest.mark.parametrize("row_type", RowType)
def test_frame_comes_back_as_it_was_sent(row_type: RowType) -> None:
    same(frames.to_rows(of(row_type)), m.rows_of(EVENTS[row_type], [A, B]))


def with_column(batch: pa.RecordBatch, name: str, array: pa.Array) -> pa.RecordBatch:
    arrays = [array if field.name == name else batch.column(field.name) for field in batch.schema]
    named = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
    return named.replace_schema_metadata(batch.schema.metadata)


def original(row_type: RowType = RowType.QUOTE) -> pa.RecordBatch:
    return frames.read_stream(of(row_type))


def plain(batch: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    return with_column(batch, "instrument", batch.column("instrument").cast(pa.utf8()).cast(kind))


def reversed_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(batch.schema.names[::-1]).replace_schema_metadata(batch.schema.metadata)


OTHER_WRITERS = {
    "nullable fields": lambda b: pa.RecordBatch.from_arrays(b.columns, names=b.schema.names).replace_schema_metadata(
        b.schema.metadata
    ),
    "other column order": reversed_columns,
    "additional column": lambda b: b.append_column("venue_flag", pa.array([1, 2])),
    "additional metadata": lambda b: b.replace_schema_metadata({**b.schema.metadata, "pandas": "{}"}),
    "plain text instrument": lambda b: plain(b, pa.utf8()),
    "large text instrument": lambda b: plain(b, pa.large_utf8()),
    "narrow dictionary": lambda b: plain(b, pa.dictionary(pa.int8(), pa.utf8())),
    "wide dictionary of large text": lambda b: plain(b, pa.dictionary(pa.int64(), pa.large_utf8())),
    "microseconds": lambda b: with_column(b, "ts_event", b.column("ts_event").cast(pa.timestamp("us", "UTC"))),
    "other time zone": lambda b: with_column(b, "ts_recv", b.column("ts_recv").cast(pa.timestamp("ns", "Asia/Taipei"))),
    "whole-number prices": lambda b: with_column(b, "bid_price", b.column("bid_price").cast(pa.int32())),
    "single precision": lambda b: with_column(b, "ask_price", b.column("ask_price").cast(pa.float32())),
    "minor version": lambda b: versioned(b, "1.7"),
}


@pytest.mark.parametrize("name", OTHER_WRITERS)
def test_other_arrow_writers_are_understood(name: str) -> None:
    value = written(OTHER_WRITERS[name](original()))
    decoder = Decoder()
    for _ in range(2):
        view = decoder.open(value)
        same(frames.to_rows(view.data), m.rows_of(EVENTS[RowType.QUOTE], [A, B]))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_frames_are_understood(codec: str) -> None:
    rows = [quote(A, number / 100, 99, 101) for number in range(500)]
    value = written(frames.read_stream(m.frame(rows, [A, B])), compression=codec)
    decoder = Decoder()
    decoder.open(of(RowType.QUOTE))
    same(frames.to_rows(decoder.open(value).data), m.rows_of(rows, [A, B]))


def test_large_texts_are_understood() -> None:
    batch = original(RowType.STATUS)
    value = written(with_column(batch, "detail", batch.column("detail").cast(pa.large_utf8())))
    same(frames.to_rows(Decoder().open(value).data), m.rows_of(EVENTS[RowType.STATUS], [A, B]))


def test_sliced_batch_is_understood() -> None:
    rows = [quote(A, number, 99, 101) for number in range(10)]
    value = written(frames.read_stream(m.frame(rows, [A, B])).slice(3, 4))
    same(frames.to_rows(Decoder().open(value).data), m.rows_of(rows[3:7], [A, B]))


def with_null(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    values = batch.column(name).to_pylist()
    return with_column(batch, name, pa.array([None, *values[1:]], type=batch.column(name).type))


def null_level(batch: pa.RecordBatch) -> pa.RecordBatch:
    levels = pa.array([[None] + [1.0] * 9] * 2, type=pa.list_(pa.float64(), 10))
    return with_column(batch, "bid_price", levels)


def versioned(batch: pa.RecordBatch, version: str) -> pa.RecordBatch:
    return batch.replace_schema_metadata({**batch.schema.metadata, b"tapewatch.version": version})


REFUSED: list[tuple[str, str, Any]] = [
    ("unsupported_version", "next major", lambda: written(versioned(original(), "2.0"))),
    (
        "unsupported_version",
        "no version",
        lambda: written(original().replace_schema_metadata({"tapewatch.type": "quote"})),
    ),
    ("unsupported_version", "no metadata", lambda: written(original().replace_schema_metadata(None))),
    ("wrong_schema", "unknown type", lambda: written(original().replace_schema_metadata(
        {"tapewatch.type": "rumour", "tapewatch.version": "1.0"}))),
    ("wrong_schema", "missing column", lambda: written(original().drop_columns(["bid_qty"]))),
    ("wrong_schema", "doubled column", lambda: written(original().append_column("bid_qty", pa.array([1.0, 2.0])))),
    ("wrong_schema", "text price", lambda: written(with_column(original(), "bid_price", pa.array(["a", "b"])))),
    ("wrong_schema", "fractional code", lambda: written(
        with_column(original(RowType.TRADE), "condition", pa.array([0.5, 1.0])))),
    ("wrong_schema", "code too large", lambda: written(
        with_column(original(RowType.TRADE), "condition", pa.array([300, 1])))),
    ("wrong_schema", "five levels", lambda: written(
        with_column(original(RowType.BOOK), "bid_price", pa.array([[1.0] * 5] * 2, type=pa.list_(pa.float64(), 5))))),
    ("wrong_schema", "no rows", lambda: written(original().slice(0, 0))),
    ("null_value", "null price", lambda: written(with_null(original(), "bid_price"))),
    ("null_value", "null time", lambda: written(with_null(original(), "ts_event"))),
    ("null_value", "null text", lambda: written(with_null(original(RowType.STATUS), "detail"))),
    ("null_value", "null instrument", lambda: written(with_null(plain(original(), pa.utf8()), "instrument"))),
    ("null_value", "null level", lambda: written(null_level(original(RowType.BOOK)))),
    ("unreadable", "nothing", lambda: b""),
    ("unreadable", "short", lambda: b"\xff\xff\xff\xff"),
    ("unreadable", "text", lambda: b"this is no frame at all, but a text"),
    ("unreadable", "schema only", lambda: written_schema()),
    ("unreadable", "two batches", lambda: two_batches()),
    ("unreadable", "instrument that is no UTF-8", lambda: of(RowType.QUOTE).replace(b"A.SIMX", b"\xff.SIMX")),
    ("unreadable", "column name that is no UTF-8", lambda: of(RowType.QUOTE).replace(b"bid_qty", b"\xffid_qty")),
]  # fmt: skip


def written_schema() -> bytes:
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, schema(RowType.QUOTE)).close()
    return bytes(sink.getvalue().to_pybytes())


def two_batches() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, original().schema) as writer:
        writer.write_batch(original())
        writer.write_batch(original())
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize(("reason", "what", "make"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("known", [False, True], ids=["new writer", "known writer"])
def test_bad_frame_is_refused_with_its_reason(reason: str, what: str, make: Any, known: bool) -> None:
    decoder, value = Decoder(), make()
    for row_type in RowType if known else ():
        decoder.open(of(row_type))
    with pytest.raises(ContractError) as error:
        view = decoder.open(value)
        view.names()
    assert error.value.reason == reason, error.value.message


def damaged(value: bytes, flips: list[tuple[int, int]], cut: int) -> bytes:
    data = bytearray(value)
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    return bytes(data[: len(data) - cut % len(data)] if cut else data)


FLIPS = st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 7)), max_size=6)
CUTS = st.one_of(st.just(0), st.integers(1, 100_000))


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(st.sampled_from(RowType), FLIPS, CUTS)
def test_damaged_frame_is_refused_or_read_and_never_more(
    row_type: RowType, flips: list[tuple[int, int]], cut: int
) -> None:
    decoder = Decoder()
    decoder.open(of(row_type))
    value = damaged(of(row_type), flips, cut)
    try:
        view = decoder.open(value)
        rows = frames.to_rows(value)
        names = view.names()
    except ContractError as error:
        assert error.reason in {"unreadable", "oversized", "unsupported_version", "wrong_schema", "null_value"}
    else:
        assert 0 < view.rows <= frames.MAX_ROWS
        assert len(rows) == view.rows
        codes = view.column("instrument")
        assert codes.min() >= 0
        assert codes.max() < len(names)
    same(frames.to_rows(decoder.open(of(row_type)).data), m.rows_of(EVENTS[row_type], [A, B]))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from([RowType.STATUS, RowType.TRADE, RowType.QUOTE, RowType.BOOK]), FLIPS, CUTS)
def test_damaged_frame_ends_in_the_dead_letters_or_is_used_and_the_stream_goes_on(
    row_type: RowType, flips: list[tuple[int, int]], cut: int
) -> None:
    driver = m.new_driver([A, B])
    m.send(driver, [status(StatusKind.HEARTBEAT, 0)], ["*", A, B])
    driver.record(damaged(of(row_type), flips, cut), FrameHeaders(row_type.label, "bad", 0, 1, 0).to_kafka())
    clock = max(int(driver.task.admission.clock[0]) - m.START, 0)
    assert driver.task.next_offset == 2
    for second in range(clock, clock + 3) if clock < 10**9 else ():
        m.send(driver, [quote(A, second + 0.5, 99, 101)], [A, B])
    driver.outgoing()
    assert clock >= 10**9 or driver.task.tally.rows["quote"] >= 3


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_as_unreadable(value: bytes) -> None:
    with pytest.raises(ContractError) as error:
        Decoder().open(value)
    assert error.value.reason == "unreadable"


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["type", "version", "source", "epoch", "sequence", "produced_at"]),
            st.one_of(st.none(), st.binary(max_size=30), st.integers(-(10**30), 10**30).map(lambda n: str(n).encode())),
        ),
        max_size=8,
    )
)
def test_any_headers_are_read_or_refused(changes: list[tuple[str, bytes | None]]) -> None:
    headers: list[Any] = [*FrameHeaders("quote", "test", 0, 0, 0).to_kafka(), *changes]
    driver = m.new_driver([A])
    driver.record(m.frame([quote(A, 0, 99, 101)], [A]), headers)
    reasons = set(driver.task.tally.refused)
    assert reasons <= {"bad_headers", "unsupported_version"}
    assert driver.task.tally.frames + sum(driver.task.tally.refused.values()) == 1


def test_frame_whose_header_names_another_type_is_refused() -> None:
    driver = m.new_driver([A])
    driver.record(m.frame([quote(A, 0, 99, 101)], [A]), FrameHeaders("trade", "test", 0, 0, 0).to_kafka())
    assert dict(driver.task.tally.refused) == {"bad_headers": 1}


def test_bad_row_in_a_frame_whose_texts_are_no_utf8_is_kept_as_the_whole_frame() -> None:
    value = m.frame([status(StatusKind.OPEN, 1, A, "begin"), status(StatusKind.OPEN, 1, "bad", "begin")], [A, "bad"])
    driver = m.new_driver([A])
    m.send(driver, [status(StatusKind.OPEN, 0, A, "begin"), status(StatusKind.OPEN, 0, A, "x")], [A, "bad"])
    hostile = value.replace(b"beginbegin", b"begin\xff\xfe\xff\xfe\xff")
    driver.record(hostile, FrameHeaders("status", "bad", 0, 0, 0).to_kafka())
    (letter,) = driver.collect()["market.driver.dlq"]
    assert letter.value == hostile
    assert ("reason", b"malformed_instrument") in letter.headers


@pytest.mark.parametrize(
    "make",
    [
        lambda: m.frame([status(StatusKind.OPEN, 1, A, "begin")], [A]).replace(b"begin", b"b\xffgin"),
        lambda: noted(original(), 70_000),
        lambda: written(original().append_column("more", pa.array([1, 2]))),
    ],
    ids=["text that is no UTF-8", "a batch's own metadata too long", "another schema"],
)
def test_a_decoder_that_met_the_writer_takes_what_a_new_one_takes(make: Any) -> None:
    value, found = make(), []
    used = Decoder()
    for row_type in RowType:
        used.open(of(row_type))
    for decoder in (Decoder(), used):
        try:
            found.append(str(decoder.open(value).rows))
        except ContractError as error:
            found.append(error.reason)
    assert found[0] == found[1]


def noted(batch: pa.RecordBatch, letters: int) -> bytes:
    """A stream whose batch has metadata of its own."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch, custom_metadata={"note": "x" * letters})
    return bytes(sink.getvalue().to_pybytes())


def test_a_decoder_tells_writers_with_equal_schemas_and_other_dictionaries_apart() -> None:
    decoder = Decoder()
    lists = [[A, B], [B, A], *([f"S{number}.SIMX", A, B] for number in range(20))]
    for names in lists * 2:
        value = m.frame(EVENTS[RowType.QUOTE], names)
        view = decoder.open(value)
        assert view.names() == names
        assert view.column("bid_price").tolist() == [99.0, 98.0]


def test_names_beyond_ascii_come_back() -> None:
    view = Decoder().open(m.frame([status(StatusKind.GAP, 2, "世界.SIMX")], ["世界.SIMX", A]))
    assert view.names() == ["世界.SIMX", A]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_decoder_that_knows_the_beginning_survives_any_damage(data: st.DataObject) -> None:
    decoder, value = Decoder(), of(RowType.QUOTE)
    decoder.open(value)
    damaged = bytearray(value)
    for place in data.draw(st.lists(st.integers(0, len(value) - 1), min_size=1, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(value)))
    try:
        view = decoder.open(bytes(damaged[:cut]))
        view.names()
    except ContractError:
        pass
    assert decoder.open(value).names() == [A, B]


@pytest.fixture(scope="module")
def hostile_read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """Of each hostile frame, why a process with little memory refused it and by how many bytes its peak rose."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    for name, (_, make) in HOSTILE.items():
        (folder / name).write_bytes(make())
    command = [sys.executable, "-m", "tests.unit.hostile_frames", str(folder)]
    # Arrow's own pool sets address space aside that it does not use.
    done = subprocess.run(
        command, env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}, capture_output=True, text=True, check=False
    )
    found = (line.split("\t") for line in done.stdout.splitlines())
    return {name: (reason, int(grown)) for name, reason, grown in found}


@pytest.mark.parametrize("name", HOSTILE)
def test_small_frame_that_would_be_large_is_refused_before_it_is_unpacked(
    name: str, hostile_read: dict[str, tuple[str, int]]
) -> None:
    reason, grown = hostile_read.get(name, ("the process died", 0))
    assert reason == HOSTILE[name][0]
    assert grown < 8 * MIB


@pytest.mark.parametrize("row_type", RowType)
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_frame_of_the_most_rows_is_taken_packed_with_texts_in_every_column(row_type: RowType, codec: str) -> None:
    texts = {
        field.name: pa.array([f"{row:036}" for row in range(frames.MAX_ROWS)])
        for field in schema(row_type, [name for name, _ in OPTIONAL[row_type]])
        if pa.types.is_string(field.type)
    }
    view = Decoder().open(written(with_columns(row_type, frames.MAX_ROWS, **texts), compression=codec))
    assert view.rows == frames.MAX_ROWS
    with pytest.raises(ContractError, match="1 to 65536 rows"):
        Decoder().open(written(with_columns(row_type, frames.MAX_ROWS + 1), compression=codec))


@pytest.mark.parametrize("lie", [-(2**62), -2, 0, 8, 4_088, 4_104, 2**24, 2**62])
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_buffer_that_is_not_as_long_as_it_says_is_refused(codec: str, lie: int) -> None:
    value = written(with_columns(RowType.QUOTE, 512), compression=codec)
    told = (4_096).to_bytes(8, "little")
    at = value.rindex(told)
    with pytest.raises(ContractError) as error:
        Decoder().open(value[:at] + lie.to_bytes(8, "little", signed=True) + value[at + 8 :])
    assert error.value.reason == ("oversized" if lie == 2**62 else "unreadable")


FIELDS = st.sampled_from(
    [
        pa.array([1, None, 3]),
        pa.array([0.5, 1.5, 2.5]),
        pa.array(["a", "", "世界"]),
        pa.array(["a", None, "b"], type=pa.large_utf8()),
        pa.array([b"a", b"", None]),
        pa.array([True, False, None]),
        pa.array(["x", "y", "x"]).dictionary_encode(),
        pa.array([[1.0], [], None]),
        pa.array([[1, 2], [3, 4], None], type=pa.list_(pa.int8(), 2)),
        pa.array([{"a": 1, "b": ["x"]}, None, {"a": 2, "b": []}]),
        pa.nulls(3),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=6), st.sampled_from([None, "lz4", "zstd"]), st.integers(1, 400))
def test_what_a_frame_is_told_to_be_is_what_arrow_makes_of_it(fields: list[Any], codec: str, repeated: int) -> None:
    arrays = [pa.concat_arrays([field] * repeated) for field in fields]
    value = written(
        pa.RecordBatch.from_arrays(arrays, names=[str(number) for number in range(len(fields))]), compression=codec
    )
    weight, waiting = np.empty(6, dtype=np.int64), np.empty(1 + ipc.MAX_COLUMNS, dtype=np.int64)
    assert ipc.weigh(np.frombuffer(value, dtype=np.uint8), weight, waiting) == ipc.OK
    before = pa.total_allocated_bytes()
    batch = frames.read_stream(value)
    taken = pa.total_allocated_bytes() - before
    assert batch.num_rows == 3 * repeated
    assert taken <= weight[0] + 64 * 8 * len(fields)
    assert batch.nbytes <= weight[0]
    assert weight[5] == batch.num_rows
    assert weight[1] >= batch.num_rows * batch.num_columns


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(st.sampled_from(RowType), st.sampled_from(["lz4", "zstd"]), FLIPS, CUTS)
def test_damage_to_a_packed_frame_takes_no_more_memory_than_a_frame_may(
    row_type: RowType, codec: str, flips: list[tuple[int, int]], cut: int
) -> None:
    value = damaged(written(original(row_type), compression=codec), flips, cut)
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    try:
        frames.to_rows(value)
    except ContractError as error:
        assert error.reason in {"unreadable", "oversized", "unsupported_version", "wrong_schema", "null_value"}
    finally:
        pa.set_memory_pool(usual)
    assert pool.max_memory() <= 4 * ipc.MAX_DATA
