"""More instruments than the first arrays hold, and more output than one buffer takes."""

import numpy as np

from streams.driver import Driver, table
from streams.engine import snapshots, state
from streams.engine.models import ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import Rows, RowType
from tapewatch.runtime import batches
from tests.unit import engine_market as m
from tests.unit.engine_market import START, heartbeats


def quotes(driver: Driver, names: list[str], seconds: range) -> None:
    """One quote of every instrument each second, in one frame a second."""
    count = len(names)
    bids = 100.0 + np.arange(count)
    for second in seconds:
        times = np.full(count, (START + second) * NANOS, dtype=np.int64)
        columns: dict[str, np.ndarray] = {
            "instrument": np.arange(count, dtype=np.int32), "ts_event": times, "ts_recv": times,
            "bid_price": bids + second, "bid_qty": np.ones(count),
            "ask_price": bids + second + 1.0, "ask_qty": np.ones(count),
            "last_price": np.full(count, np.nan), "volume": np.full(count, np.nan),
        }  # fmt: skip
        headers = FrameHeaders("quote", "many", 0, second, 0)
        driver.record(frames.encode(Rows(RowType.QUOTE, names, columns)), headers.to_kafka())


def test_five_thousand_instruments_close_every_second() -> None:
    names = [f"S{number:04}.SIMX" for number in range(5_000)]
    driver = m.new_driver(names)
    quotes(driver, names[:50], range(2))
    quotes(driver, names, range(2, 5))
    found = table(driver.outgoing(), "features")
    assert len(found["ts"]) == 2 * 50 + 2 * 5_000
    last = found["ts"] == (START + 4) * NANOS
    assert found["instrument"][last].tolist() == names
    prices = 100.5 + np.arange(5_000)
    np.testing.assert_allclose(found["ret_1s"][last], np.log((prices + 3) / (prices + 2)), rtol=1e-5)


def test_instruments_beyond_the_first_arrays_keep_what_was_known() -> None:
    names = [f"S{number:03}.SIMX" for number in range(200)]
    grown, roomy = m.new_driver(names), m.new_driver(names)
    roomy.task.state = state.grow(roomy.task.state, 200)
    for driver in (grown, roomy):
        quotes(driver, names[:10], range(5))
        quotes(driver, names[:70], range(5, 10))
        quotes(driver, names[:73], range(10, 15))
        quotes(driver, names, range(15, 20))
    assert state.capacity(grown.task.state) >= 200
    assert m.bits(grown.outgoing()) == m.bits(roomy.outgoing())
    assert snapshots.dump(grown.task) == snapshots.dump(roomy.task)


def test_snapshot_of_many_instruments_is_whole_again() -> None:
    names = [f"S{number:03}.SIMX" for number in range(300)]
    driver = m.new_driver(names)
    quotes(driver, names, range(5))
    new, old = m.new_driver(names).task, driver.task
    snapshots.restore(new, snapshots.dump(old), ModelStore())
    assert snapshots.dump(new) == snapshots.dump(old)
    driver.outgoing()
    quotes(driver, names, range(5, 8))
    wanted = old.take()
    beat = m.new_driver(names)
    beat.task, beat._sequence = new, 5
    quotes(beat, names, range(5, 8))
    assert m.bits(beat.outgoing()) == m.bits(wanted)


def test_jump_of_many_seconds_in_one_frame_fills_the_buffers_more_than_once() -> None:
    names = [f"S{number:03}.SIMX" for number in range(1_000)]
    driver = m.new_driver(names)
    quotes(driver, names, range(1))
    beats = heartbeats(60)
    m.send(driver, beats, ["*"])
    found = table(driver.outgoing(), "features")
    assert len(found["ts"]) == 60 * 1_000
    assert np.all(np.diff(found["ts"]) >= 0)


def test_thousands_of_refused_rows_of_one_frame_are_all_kept_in_few_letters() -> None:
    names = [f"S{number:04}.SIMX" for number in range(3_000)]
    driver = m.new_driver(names[:1_000])
    quotes(driver, names, range(2))
    letters = driver.collect()["market.driver.dlq"]
    assert len(letters) <= 10
    assert max(len(letter.value) for letter in letters) <= batches.KEPT_BYTES
    kept = [frames.to_rows(letter.value) for letter in letters]
    told = [int(dict(letter.headers)["rows"]) for letter in letters]
    assert told == [len(rows) for rows in kept]
    found = [rows.instruments[code] for rows in kept for code in rows.columns["instrument"]]
    assert found == names[1_000:] * 2
    assert driver.task.tally.refused == {"unregistered_instrument": 4_000}
