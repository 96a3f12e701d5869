"""The quotes of the benchmarks are what docs/performance.md says they are."""

import numpy as np

from benchmarks.engine_run import Shape, frames_of, partition_rows
from streams.driver import Driver, table
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.market_log.registry import FixedRegistry

SHAPE = Shape(instruments=40, seconds=30, partitions=4)


def test_every_instrument_lies_in_one_partition():
    names = [name for own in SHAPE.by_partition() for name in own]
    assert sorted(names) == sorted(SHAPE.names)


def test_every_row_is_a_new_second_of_its_instrument():
    for partition, names in enumerate(SHAPE.by_partition()):
        rows = partition_rows(SHAPE, partition, names)
        pairs = np.stack([rows.columns["instrument"], rows.ts_recv // NANOS])
        assert len(rows) == len(names) * SHAPE.seconds
        assert np.unique(pairs, axis=1).shape[1] == len(rows)
        assert (np.diff(rows.ts_recv) >= 0).all()


def test_quotes_are_never_crossed_and_move():
    rows = partition_rows(SHAPE, 0, SHAPE.by_partition()[0])
    bid, ask = rows.columns["bid_price"], rows.columns["ask_price"]
    assert (bid < ask).all()
    assert np.unique(bid).size > 20
    assert np.array_equal(np.round(bid, 2), bid)


def test_the_same_seed_gives_the_same_quotes():
    first, second = (partition_rows(SHAPE, 1, SHAPE.by_partition()[1]) for _ in range(2))
    assert all(np.array_equal(first.columns[name], second.columns[name]) for name in first.columns)


def test_every_quote_gives_one_feature_row():
    names = SHAPE.by_partition()[0]
    rows = partition_rows(SHAPE, 0, names)
    driver = Driver(FixedRegistry(SHAPE.reference_data()))
    for part in frames_of(rows, 16):
        driver.send(part)
    features = table(driver.collect()[topics.FEATURES], "features")
    # The last second stays open without the heartbeat that closes it.
    assert len(features["ts"]) == len(rows) - len(names)
    assert driver.task.tally.refused.total() == 0
