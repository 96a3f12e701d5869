"""Offsets as Spark's checkpoint holds them, tables of records, and files that are there whole or not at all."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streams.driver import Driver
from streams.engine import opening_snapshots
from streams.spark.backfill import TableFiles
from streams.spark.stage import capped, stretches
from streams.spark.stored_log import span
from streams.spark.tables import Digest, rows_of
from tapewatch.contract import topics
from tests.unit import engine_market as m

NAMES = ["A.SIMX", "B.SIMX"]


def test_batch_goes_no_further_than_its_cap_and_a_new_partition_begins_at_0() -> None:
    start, high = {"market.a/0": 10, "market.a/1": 500}, {"market.a/0": 1000, "market.a/1": 500, "market.b/0": 7}
    end = capped(start, high, 100)
    assert end == {"market.a/0": 110, "market.a/1": 500, "market.b/0": 7}
    assert stretches(start, end) == [("market.a", 0, 10, 110), ("market.b", 0, 0, 7)]
    assert capped(end, {**high, "market.a/0": 90}, 100)["market.a/0"] == 110


def market() -> Driver:
    trades = [m.trade(name, second + 0.5, 100.0 + second % 3) for second in range(90) for name in NAMES]
    return m.run(m.in_order(m.heartbeats(91), trades))


def test_digest_is_the_same_however_rows_are_cut_and_another_with_one_bit_changed(tmp_path: Path) -> None:
    records = [each for each in market().outgoing() if each.topic in (topics.FEATURES, topics.SCORES)]
    one, other, stored = Digest(), Digest(), Digest()
    files = TableFiles(lambda table: tmp_path / table, "part")
    for record in records:
        table, batch = rows_of(record.topic, record.value, record.key, record.headers)
        one.add(table, batch)
        for row in range(batch.num_rows):
            other.add(table, batch.slice(row, 1))
        files.add(table, batch)
    for path in files.finish():
        for batch in pq.ParquetFile(path).iter_batches(batch_size=7):
            stored.add(path.parent.name, batch)
    assert one.rows["features"] > 150
    for table in one.rows:
        assert one.of(table) == other.of(table) == stored.of(table)
    changed = Digest()
    for record in records:
        table, batch = rows_of(record.topic, record.value, record.key, record.headers)
        values = batch.column("offset").to_numpy().copy()
        values[0] ^= 1
        place = batch.schema.get_field_index("offset")
        changed.add(table, batch.set_column(place, "offset", pa.array(values)))
    assert changed.of("features") != one.of("features")


def test_two_nans_stay_two_in_parquet(tmp_path: Path) -> None:
    bits = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0x80000000, 0] * 50, dtype=np.uint32)
    files = TableFiles(lambda table: tmp_path / table, "0-9")
    files.add("t", pa.record_batch({"x": bits.view(np.float32)}))
    (path,) = files.finish()
    assert np.array_equal(pq.read_table(path)["x"].to_numpy().view(np.uint32), bits)
    assert span(path) == (0, 9)


def test_files_that_are_dropped_leave_nothing_and_other_columns_have_a_file_of_their_own(tmp_path: Path) -> None:
    files = TableFiles(lambda table: tmp_path / table, "3-8")
    files.add("t", pa.record_batch({"x": [1]}))
    files.drop()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    for batch in (pa.record_batch({"x": [1]}), pa.record_batch({"x": [1], "y": [2]}), pa.record_batch({"x": [3]})):
        files.add("t", batch)
    paths = files.finish()
    assert [path.name for path in paths] == ["3-8.parquet", "3-8-1.parquet"]
    assert [span(path) for path in paths] == [(3, 8)] * 2
    assert pq.read_table(paths[0])["x"].to_pylist() == [1, 3]


def test_slot_of_a_day_comes_round_only_when_its_log_is_gone() -> None:
    slots = [opening_snapshots.slot_of(day, 168) for day in range(20_000, 20_009)]
    assert len(set(slots)) == 9
    assert min(slots) >= opening_snapshots.FIRST_SLOT
    assert opening_snapshots.slot_of(20_009, 168) == slots[0]
    assert opening_snapshots.name_of(20_255) == "2025-06-16"
