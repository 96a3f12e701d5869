"""Frames of the engine hold the rows they were given, bit for bit, packed or not."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from streams.engine.output_frames import FEATURES, SCORES, SEALED, FrameWriter
from tapewatch.contract import frames

NAMES = [f"S{number}.SIMX" for number in range(5)]


def keys(rows: int) -> list[npt.NDArray[np.int64]]:
    places = np.arange(rows, dtype=np.int64)
    return [places % len(NAMES), places // len(NAMES) * 10**9, places // 256]


def features(rows: int) -> npt.NDArray[np.float32]:
    """A table with columns of one value: NaN, another NaN's bits, zero; and one that differs in its last row only."""
    table = np.random.default_rng(rows).normal(size=(len(FEATURES) - 3, rows)).astype(np.float32)
    table[0], table[2] = np.nan, 0.0
    table[1] = np.array([0x7FC00001], dtype=np.uint32).view(np.float32)
    table[3] = 1.0
    table[3, -1] = 2.0
    return table


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 300, 4096])
def test_every_row_comes_back_bit_for_bit(rows: int):
    table = features(rows)
    writer = FrameWriter(FEATURES)
    for _ in range(2):
        batch = frames.read_stream(writer.write(NAMES, keys(rows), table, 0, rows))
        assert batch.schema.equals(FEATURES)
        assert [column.null_count for column in batch.columns] == [0] * len(FEATURES)
        assert batch.column(0).to_pylist() == [NAMES[code] for code in keys(rows)[0]]
        assert batch.column(1).cast(pa.int64()).to_numpy().tolist() == keys(rows)[1].tolist()
        for wanted, column in zip(table, batch.columns[3:], strict=True):
            assert column.to_numpy().tobytes() == wanted.tobytes()


def test_a_part_of_a_table_is_written():
    table = features(200)
    batch = frames.read_stream(FrameWriter(FEATURES).write(NAMES, keys(200), table, 50, 150))
    assert batch.column("offset").to_numpy().tolist() == keys(200)[2][50:150].tolist()
    assert batch.column(3 + 7).to_numpy().tobytes() == table[7, 50:150].tobytes()


def test_columns_of_one_value_and_of_runs_take_almost_no_room():
    table = np.full((len(FEATURES) - 3, 4096), np.nan, dtype=np.float32)
    assert len(FrameWriter(FEATURES).write(NAMES, keys(4096), table, 0, 4096)) < table.nbytes / 20


def test_versions_stand_in_the_metadata_of_scores():
    detectors = np.ones(3, dtype=np.int64)
    table = np.ones((2, 3), dtype=np.float32)
    batch = frames.read_stream(FrameWriter(SCORES).write(NAMES, [*keys(3), detectors], table, 0, 3, ("kmeans=ab",)))
    assert batch.schema.metadata[b"tapewatch.versions"] == b"kmeans=ab"
    assert batch.column("detector").to_pylist() == [1, 1, 1]


def test_a_writer_follows_a_growing_list_of_names():
    writer = FrameWriter(SEALED)
    instruments = np.array([[3]], dtype=np.int64)
    for names in (["A.XXXX"], ["A.XXXX", "B.XXXX"]):
        batch = frames.read_stream(writer.write(names, keys(1), instruments, 0, 1))
        assert batch.column("instruments").to_pylist() == [3]
        assert batch.column(0).dictionary.to_pylist() == names
