"""What the engine keeps of what it refuses: all of it as far as it is small, and never more than a message may be."""

import hashlib
import math
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.driver import Driver
from streams.engine.task import OutputRecord
from tapewatch.contract import frames
from tapewatch.contract.checks import Reason
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.market_log import dead_letters
from tapewatch.market_log.dead_letters import SINGLE_ROWS, DeadLetter
from tapewatch.runtime.batches import KEPT_BYTES
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, quote, status
from tests.unit.hostile_frames import MIB, with_columns, written

A = "A.SIMX"
ORIGIN = ("market.driver", 0, 3)
LARGEST_MESSAGE = 1_048_576
"""Kafka's own default; ours is 16 MB."""


def refused(driver: Driver) -> list[OutputRecord]:
    return driver.collect().get("market.driver.dlq", [])


def told(letter: OutputRecord | DeadLetter) -> dict[str, str]:
    return {name: text.decode() for name, text in letter.headers}


def size(letter: OutputRecord | DeadLetter) -> int:
    return len(letter.value) + sum(len(name) + len(value) for name, value in letter.headers)


def places(letters: list[OutputRecord]) -> list[tuple[str, int, int]]:
    """Reason, first row and number of rows of each letter."""
    return [(found["reason"], int(found["row"]), int(found.get("rows", "1"))) for found in map(told, letters)]


def crossed(count: int) -> list[Event]:
    return [quote(A, 1 + number / 10_000, 102, 101, last=1.0 + number) for number in range(count)]


@pytest.mark.parametrize("count", [1, SINGLE_ROWS])
def test_few_rows_of_a_reason_have_a_letter_each(count: int) -> None:
    driver = m.new_driver([A])
    m.send(driver, crossed(count), [A])
    assert places(refused(driver)) == [("crossed_quote", row, 1) for row in range(count)]


def test_more_rows_of_a_reason_have_one_letter_among_the_others_in_the_order_of_first_rows() -> None:
    driver = m.new_driver([A])
    strangers = [quote("X.SIMX", 1, 99, 101), quote("Y.SIMX", 1, 99, 101)]
    m.send(driver, [strangers[0], *crossed(SINGLE_ROWS + 1), strangers[1]], [A, "X.SIMX", "Y.SIMX"])
    letters = refused(driver)
    assert places(letters) == [
        ("unregistered_instrument", 0, 1), ("crossed_quote", 1, SINGLE_ROWS + 1), ("unregistered_instrument", 6, 1),
    ]  # fmt: skip
    assert told(letters[1])["kind"] == "rows"
    kept = frames.to_rows(letters[1].value)
    assert kept.columns["last_price"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert kept.instruments == [A]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 0, 1, 4, 6, 10]), min_size=1, max_size=60), st.integers(1, 3_000))
def test_every_refused_row_lies_in_one_letter_of_its_reason(drawn: list[int], repeated: int) -> None:
    reasons = np.tile(np.array(drawn, dtype=np.uint8), repeated)[: frames.MAX_ROWS]
    batch = with_columns(RowType.QUOTE, len(reasons), last_price=np.arange(len(reasons), dtype=np.float64))
    rows = frames.to_rows(written(batch))
    found: dict[int, str] = {}
    for letter in dead_letters.of_refused(ORIGIN, rows, reasons, frames.MAX_FRAME_BYTES):
        assert len(letter.value) <= KEPT_BYTES
        for row in frames.to_rows(letter.value).columns["last_price"].astype(int).tolist():
            assert row not in found
            found[row] = letter.reason
    wanted = {row: Reason(int(reasons[row])).label for row in np.flatnonzero(reasons).tolist()}
    assert found == wanted


def test_of_rows_beyond_twice_the_record_number_and_hash_are_kept() -> None:
    """A frame that was packed well: 40,000 rows in few bytes."""
    rows = frames.to_rows(written(with_columns(RowType.QUOTE, 40_000)))
    reasons = np.full(40_000, int(Reason.CROSSED_QUOTE), dtype=np.uint8)
    *kept, last = dead_letters.of_refused(ORIGIN, rows, reasons, 5_000)
    assert sum(size(letter) for letter in kept) < 4 * KEPT_BYTES
    before = sum(len(frames.to_rows(letter.value)) for letter in kept)
    rest = frames.encode(rows.take(slice(before, None)))
    assert (last.value, told(last)["row"], told(last)["rows"]) == (b"", str(before), str(40_000 - before))
    assert (told(last)["bytes"], told(last)["sha256"]) == (str(len(rest)), hashlib.sha256(rest).hexdigest())


def large_text(kind: RowType) -> pa.RecordBatch:
    """A row with a text of 20 MiB, where rows of its type have one."""
    text = "x" * (20 * MIB)
    texts: dict[RowType, dict[str, list[str]]] = {
        RowType.STATUS: {"detail": [text]},
        RowType.ORDER: {"order_id": [text], "account": [text[:100]]},
        RowType.TRADE: {"trade_id": [text], "buyer_account": [text[: MIB // 2]]},
        RowType.QUOTE: {"instrument": [text]},
    }
    return with_columns(kind, 1, **texts[kind])


@pytest.mark.parametrize("row_type", [RowType.STATUS, RowType.ORDER, RowType.TRADE, RowType.QUOTE])
def test_no_text_of_a_small_record_makes_a_letter_larger_than_a_message(row_type: RowType) -> None:
    driver, kind = m.new_driver([A]), row_type.label
    value = written(large_text(row_type), compression="zstd")
    driver.record(value, FrameHeaders(kind, "x", 0, 0, 0).to_kafka())
    assert len(value) < 10_000
    (letter,) = refused(driver)
    found = told(letter)
    assert size(letter) < KEPT_BYTES + 4_096
    assert (found["kind"], found["row"], found["type"]) == ("row", "0", kind)
    assert int(found["bytes"]) > 20 * MIB
    assert len(found["sha256"]) == 64


def test_control_row_with_a_long_detail_is_kept_by_its_beginning() -> None:
    driver = m.new_driver([A])
    event = status(StatusKind.CONTROL, 1, "*", "{" + "x" * 3 * MIB)
    driver.record(m.frame([event], ["*"]), FrameHeaders("status", "control", 0, 0, 0).to_kafka())
    (letter,) = refused(driver)
    assert size(letter) < KEPT_BYTES + 4_096
    assert told(letter)["reason"] == "bad_control"


def test_accounts_with_long_names_give_outputs_below_the_size_of_a_message() -> None:
    driver = m.new_driver([A])
    for second in range(60):
        texts = {"buyer_account": ["b" * MIB, "b" * MIB], "seller_account": ["b" * MIB, "s" * MIB]}
        ts = np.array([m.at(second), m.at(second)])
        batch = with_columns(
            RowType.TRADE, 2, ts_event=ts, ts_recv=ts, price=[100.0, 100.0], qty=[500.0, 500.0],
            **texts,
        )  # fmt: skip
        driver.record(written(batch, compression="zstd"), FrameHeaders("trade", "x", 0, second, 0).to_kafka())
    outgoing = driver.outgoing()
    assert outgoing
    assert max(len(record.value) for record in outgoing) < LARGEST_MESSAGE


HEADERS = st.text(max_size=3_000)


@given(HEADERS, HEADERS, st.binary(max_size=100))
def test_headers_are_short_whatever_a_letter_tells(detail: str, more: str, value: bytes) -> None:
    record = dead_letters.of_record(ORIGIN, "unreadable", detail + "\ud800", value, "engine")
    named = dead_letters.of_input("market.driver", "bad", detail, value, {"source": more, "file": more * 100})
    for letter in (record, named):
        assert max(len(text) for _, text in letter.headers) <= 4 * dead_letters.HEADER_LETTERS
        assert size(letter) < KEPT_BYTES + 40_000


def test_a_batch_of_refused_rows_takes_about_the_memory_of_its_records() -> None:
    names = [f"S{number:03}.SIMX" for number in range(1_000)]
    driver = m.new_driver([A])
    times = m.START * 10**9 + np.arange(30_000)
    batch = with_columns(
        RowType.QUOTE, 30_000, ts_event=times, ts_recv=times, bid_price=np.full(30_000, 99.0),
        instrument=[names[row % 1_000] for row in range(30_000)],
    )  # fmt: skip
    value = written(batch)
    driver.record(value, FrameHeaders("quote", "x", 0, 0, 0).to_kafka())
    driver.task.take()
    tracemalloc.start()
    for sequence in range(1, 6):
        driver.record(value, FrameHeaders("quote", "x", 0, sequence, 0).to_kafka())
    kept = driver.task.take()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) <= 5 * math.ceil(len(value) / KEPT_BYTES) * 3
    assert peak < 4 * 5 * len(value)
    assert driver.task.tally.refused == {"unregistered_instrument": 180_000}
