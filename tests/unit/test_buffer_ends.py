"""A frame whose text column's offsets end a byte later than they have to, as no writer of ours makes it: sound to
Arrow, and so to engine and store.
"""

import pytest

from sinks.postgres.binary import texts_of
from streams.engine.string_columns import columns_of
from tapewatch.contract import frames
from tapewatch.contract.frames import Decoder, View
from tests.golden.tapes import order
from tests.unit import engine_market as m

NAMES = ["A.SIMX"]
IDS = ["ab", "abc"]


@pytest.fixture
def longer() -> View:
    """Three offsets of four bytes, said to be 13 bytes; the buffer is padded behind them."""
    value = frames.encode(m.rows_of([order(NAMES[0], 1.0, 1, 1, 99.0, 4.0, name) for name in IDS], NAMES))
    said = (12).to_bytes(8, "little")
    assert value.count(said) == 1
    view = Decoder().open(value.replace(said, (13).to_bytes(8, "little")))
    assert view.batch().column("order_id").buffers()[1].size == 13
    return view


def test_engine_reads_its_order_ids(longer: View) -> None:
    as_usual = Decoder().open(
        frames.encode(m.rows_of([order(NAMES[0], 1.0, 1, 1, 99.0, 4.0, name) for name in IDS], NAMES))
    )
    found = columns_of(longer).tolist()
    assert found == columns_of(as_usual).tolist()
    assert len(set(found)) == 2


def test_engine_takes_its_rows(longer: View) -> None:
    driver = m.new_driver(NAMES)
    driver.record(longer.data, frames.FrameHeaders("order", "test", 0, 0, 0).to_kafka())
    driver.outgoing()
    assert (driver.task.tally.frames, dict(driver.task.tally.rows)) == (1, {"order": 2})


def test_store_reads_its_texts(longer: View) -> None:
    texts = texts_of(longer.batch().column("order_id"))
    assert (texts.lengths.tolist(), texts.starts.tolist(), texts.data.tobytes()) == ([2, 3], [0, 2], b"ababc")
