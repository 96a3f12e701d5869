"""Rows of PostgreSQL's binary format are counted and hashed by record, however the stream is cut."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sinks.postgres.binary import TRAILER, StringColumn, pack, texts_of
from sinks.postgres.tables import QUOTES, STATUS
from sinks.reconcile.rows.digests import STRANGE, TableDigest
from sinks.reconcile.rows.repair import PickedRows
from sinks.reconcile.rows.report import RowPlace, RowsReport, RowTable

LOGS = np.array([-1, -1, 0, -1, 1], dtype=np.int64)
STARTS = np.array([0, 10, 30], dtype=np.int64)


def quotes(offsets: list[int], log: int = 2, price: float = 1.0) -> bytes:
    names = [name for name, _ in QUOTES.fixed]
    columns: dict[str, Any] = {name: np.full(len(offsets), price) for name in names}
    columns |= {"log_id": log, "log_offset": np.array(offsets), "instrument_id": 1}
    columns |= {name: np.full(len(offsets), 1_750_000_000 * 10**9) for name in ("ts_event_ns", "ts_recv_ns")}
    return pack(QUOTES, columns).data


def taken(*pieces: bytes, table=QUOTES) -> TableDigest:
    counted = TableDigest(table, LOGS, STARTS)
    for piece in pieces:
        counted.add(piece)
    return counted


def test_rows_are_counted_by_log_and_offset():
    found = taken(quotes([0, 3, 3, 9]), quotes([19], log=4), quotes([5], log=3), TRAILER)
    assert np.flatnonzero(found.counts).tolist() == [0, 3, 9, 29]
    assert found.counts[3] == 2
    assert found.told.tolist() == [5, 0]


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_a_stream_cut_anywhere_counts_the_same(size: int):
    data = quotes([1, 2, 2, 7]) + TRAILER
    whole, cut = taken(data), taken(*(data[at : at + size] for at in range(0, len(data), size)))
    assert (whole.counts == cut.counts).all()
    assert (whole.sums == cut.sums).all()


def test_order_does_not_count_and_every_byte_does():
    first, second = quotes([4], price=1.0), quotes([4], price=2.0)
    assert taken(first + second).sums[4] == taken(second + first).sums[4]
    for at in range(2, len(first)):
        changed = first[:at] + bytes([first[at] ^ 1]) + first[at + 1 :]
        if 0 <= at - first.find(b"\0\0\0\x04\0\0\0\x02") < 20:
            continue  # the log, the offset, and the lengths before them
        if taken(changed).counts[4]:
            assert taken(changed).sums[4] != taken(first).sums[4]


def test_missing_text_and_empty_text_are_not_the_same():
    columns = {name: np.ones(1) for name, _ in STATUS.fixed} | {"log_id": 2, "log_offset": np.array([1])}
    columns |= {name: np.full(1, 1_750_000_000 * 10**9) for name in ("ts_event_ns", "ts_recv_ns")}
    sums = [
        taken(
            pack(STATUS, columns, [StringColumn(np.array([n]), np.zeros(1, np.int64), np.zeros(1, np.uint8))]).data,
            table=STATUS,
        )
        for n in (-1, 0, 1)
    ]
    assert len({int(each.sums[1]) for each in sums}) == 3


def test_rows_behind_the_logs_end_are_strange():
    assert taken(quotes([10, 4])).told[STRANGE] == 1


def test_report_names_table_partition_and_place():
    place = RowPlace("lost", 17, 4, 3)
    table = RowTable("postgres", "quotes", 1, 40, 39, 1, 0, 0, "00", [place])
    told = RowsReport("f", 40, 1, 0, 0, 6, 1.0, 40.0, [table])
    assert told.differences == 1
    lines = told.lines()
    assert "WRONG     postgres quotes of input partition 1: 1 lost" in lines
    assert "    lost: input offset 17: 4 in the topics, 3 kept" in lines
    assert lines[-1].startswith("NOT complete: 1 lost, 0 doubled, 0 different of 40 rows")


@pytest.mark.parametrize("table", [QUOTES, STATUS])
def test_rows_of_chosen_records_are_cut_out_whole(table):
    columns: dict[str, Any] = {name: np.ones(5) for name, _ in table.fixed}
    columns |= {"log_id": np.array([2, 2, 3, 4, 2]), "log_offset": np.array([1, 4, 1, 1, 1]), "instrument_id": 1}
    columns |= {name: np.full(5, 1_750_000_000 * 10**9) for name in ("ts_event_ns", "ts_recv_ns")}
    texts = [texts_of(pa.array(["a", "", None, "long", "é"]))] if table.texts else []
    packed = pack(table, columns, texts)
    wanted = np.zeros(30, dtype=np.bool_)
    wanted[1] = True
    picked = PickedRows(table, LOGS, STARTS, wanted)
    picked.add(packed.data, packed.days)
    picked.add(packed.data, packed.days)
    found, whole = taken(*picked.parts, table=table), taken(packed.data, table=table)
    assert np.flatnonzero(found.counts).tolist() == [1]
    assert found.counts[1] == 2 * whole.counts[1] == 4
    assert int(found.sums[1]) == 2 * int(whole.sums[1]) % 2**64
    assert picked.days == {(table.name, packed.days[0])}
