"""The simulator's own record: usable however its writer ends, gone on from, and held against the log."""

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from producers.feed import FeedWriter, LiveWriter
from producers.keeping import before
from producers.live import Runner, SyntheticFeed
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.verifying.sent import SentReport, check_sent
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract import frames
from tapewatch.contract.rows import Rows, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log import sent_record
from tapewatch.market_log.sent_record import RunHeader, SentRecord
from tests.unit.fake_log import FakeRecord

AT = 1_760_000_000 * NANOS
PARTITIONS = 2
CONFIG = SyntheticConfig(instruments=6, sectors=2, rows_per_second=60.0, warmup_s=5.0)
SHOW = SyntheticFeed(CONFIG, 3, "t", 5, 6)
MARKET: dict[str, Any] = {"seed": 3}


class KilledError(Exception):
    """The process is no more."""


class Broker:
    """A log of two partitions, and a producer that dies at a frame. on_its_way : frames that its death takes with it"""

    def __init__(self) -> None:
        self.log: list[list[FakeRecord]] = [[] for _ in range(PARTITIONS)]
        self.dies_at = 2**31
        self.on_its_way = 0
        self._queue: list[tuple[int, bytes, Any, Any]] = []

    def produce(self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Any) -> None:
        self.dies_at -= 1
        if self.dies_at < 0:
            kept = self._queue[: len(self._queue) - self.on_its_way] if self.on_its_way else self._queue
            for record in kept:
                self._append(*record[:3])
            self._queue = []
            raise KilledError
        self._queue.append((partition, value, headers, on_delivery))

    def _append(self, partition: int, value: bytes, headers: Any) -> None:
        self.log[partition].append(FakeRecord(len(self.log[partition]), value, None, headers))

    def poll(self, timeout: float) -> int:
        done, self._queue = self._queue, []
        for partition, value, headers, report in done:
            self._append(partition, value, headers)
            report(None, None)
        return len(done)

    def flush(self, timeout: float) -> int:
        self.poll(0)
        return 0

    def rows(self) -> list[Rows]:
        return [frames.to_rows(record.value()) for records in self.log for record in records]


@dataclass
class Life:
    """One market over several lives of its writer."""

    path: Path
    broker: Broker
    clock: ManualClock
    epoch: int = 0

    def live(self, dies_at: int = 2**31, on_its_way: int = 0) -> None:
        self.epoch += 1
        self.broker.dies_at, self.broker.on_its_way = dies_at, on_its_way
        told = before(self.path, "t", MARKET, resume=True)
        start = told.started_ns if told else AT - SHOW.back_date_s * NANOS
        market = SyntheticMarket(CONFIG, SHOW.seed, start)
        record = SentRecord(self.path)
        record.begin(RunHeader("t", "synthetic", self.epoch, PARTITIONS, MARKET, start, told.done_ns if told else 0))
        ids = [each.id for each in market.instruments]
        writer = FeedWriter(self.broker, "t", "synthetic", self.epoch, PARTITIONS, ids, self.clock, record=record)
        newest = max((int(rows.ts_recv.max()) for rows in self.broker.rows()), default=0)
        runner = Runner(SHOW, market, LiveWriter(writer, newest), start, self.clock)
        runner.keep(record, told)
        try:
            runner.run(threading.Event())
        except KilledError:
            record.close()

    def checked(self) -> SentReport:
        return check_sent(sent_record.read(self.path), list(enumerate(self.broker.log)))


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "sent.log", Broker(), ManualClock(AT))


def market_rows(until_ns: int) -> Counter[tuple[object, ...]]:
    """Every row of the market up to a receipt time: type, instrument, venue time, price."""
    found: list[Rows] = []
    for chunk in SyntheticMarket(CONFIG, SHOW.seed, AT - SHOW.back_date_s * NANOS).chunks():
        found += [rows.take(rows.ts_recv <= until_ns) for rows in chunk.rows]
        if chunk.end_ns > until_ns:
            return told(found)
    raise AssertionError("a market has no end")


def told(found: list[Rows]) -> Counter[tuple[object, ...]]:
    rows: Counter[tuple[object, ...]] = Counter()
    for each in found:
        columns = each.columns
        marks = next(columns[name] for name in ("price", "bid_price", "kind") if name in columns)
        for at in range(len(each)):
            name = each.instruments[int(columns["instrument"][at])]
            rows[each.type.label, name, int(columns["ts_event"][at]), str(marks[at])] += 1
    return rows


def of_the_market(found: list[Rows]) -> list[Rows]:
    """Without what its writer adds: heartbeats and the gap."""
    added = (StatusKind.HEARTBEAT, StatusKind.GAP)
    return [rows if "kind" not in rows.columns else rows.take(~np.isin(rows.columns["kind"], added)) for rows in found]


def test_undisturbed_run_is_complete(life: Life) -> None:
    life.live()
    found = life.checked()
    assert found.sound
    assert not found.open
    assert found.handed == found.acknowledged == found.found == sum(map(len, life.broker.rows()))
    assert found.left_out == found.unanswered == found.repeated == 0


@pytest.mark.parametrize(("dies_at", "on_its_way"), [(0, 0), (3, 0), (41, 0), (41, 2), (150, 1), (222, 0)])
def test_killed_writer_goes_on_where_it_was_and_sends_no_row_twice(life: Life, dies_at: int, on_its_way: int) -> None:
    life.live(dies_at, on_its_way)
    assert life.checked().open
    life.live()
    found = life.checked()
    assert (found.sound, found.runs, found.open) == (True, 2, False)
    until = sent_record.read(life.path)[-1].flushes[1]
    wanted, sent = market_rows(until), told(of_the_market(life.broker.rows()))
    assert not sent - wanted
    beats = sum(table.unanswered for table in found.tables if table.type == "heartbeat")
    assert sum((wanted - sent).values()) == found.left_out + found.unanswered - beats


def test_gap_row_says_to_every_partition_that_the_writer_was_away(life: Life) -> None:
    life.live(dies_at=60)
    before_death = [len(records) for records in life.broker.log]
    life.live()
    for records, begin in zip(life.broker.log, before_death, strict=True):
        kinds = [kind for record in records[begin:] for kind in _kinds(frames.to_rows(record.value()))]
        assert kinds.count(StatusKind.GAP) == 1


def _kinds(rows: Rows) -> list[int]:
    return rows.columns["kind"].tolist() if "kind" in rows.columns else []


def test_two_deaths_in_one_second_lose_nothing_unsaid(life: Life) -> None:
    life.live(dies_at=50)
    life.live(dies_at=2)
    life.live()
    found = life.checked()
    assert (found.sound, found.runs) == (True, 3)


def test_acknowledged_frame_that_is_not_in_the_log_is_lost(life: Life) -> None:
    life.live()
    records = life.broker.log[1]
    place = next(at for at, record in enumerate(records) if frames.to_rows(record.value()).type.label == "quote")
    gone = records.pop(place)
    found = life.checked()
    assert (found.lost, found.duplicated, found.different) == (len(frames.to_rows(gone.value())), 0, 0)
    (table,) = [table for table in found.tables if table.lost]
    assert (table.partition, table.type) == (1, "quote")
    assert table.places[0].sequence == place


def test_frame_twice_under_one_number_is_repeated_and_not_wrong(life: Life) -> None:
    life.live()
    life.broker.log[0].insert(9, life.broker.log[0][7])
    found = life.checked()
    assert found.sound
    assert found.repeated == len(frames.to_rows(life.broker.log[0][7].value()))


def test_changed_frame_is_different(life: Life) -> None:
    life.live()
    record = life.broker.log[0][7]
    changed = record.value()[:-20] + b"\x01" + record.value()[-19:]
    life.broker.log[0][7] = FakeRecord(7, changed, None, record.headers())
    assert life.checked().different == len(frames.to_rows(record.value()))


def test_frame_that_the_record_does_not_know_is_different(life: Life) -> None:
    life.live()
    record = life.broker.log[0][7]
    headers = [(name, b"99999" if name == "sequence" else value) for name, value in record.headers()]
    life.broker.log[0].append(FakeRecord(0, record.value(), None, headers))
    assert life.checked().different == 1


def test_rows_sent_again_under_another_number_are_duplicated(life: Life) -> None:
    life.live()
    record = SentRecord(life.path)
    run = RunHeader("t", "synthetic", 2, PARTITIONS, MARKET, AT, AT)
    record.begin(run)
    again = next(each for each in life.broker.log[0] if frames.to_rows(each.value()).type.label == "quote")
    record.handed(0, 0, "quote", len(frames.to_rows(again.value())), again.value())
    headers = [(name, {"epoch": b"2", "sequence": b"0"}.get(name, value)) for name, value in again.headers()]
    life.broker.log[0].append(FakeRecord(0, again.value(), None, headers))
    assert life.checked().duplicated == len(frames.to_rows(again.value()))


def test_record_cut_in_mid_line_is_read_to_there_and_written_on(life: Life) -> None:
    life.live(dies_at=60)
    whole = life.path.read_bytes()
    life.path.write_bytes(whole[:-9])
    cut = sent_record.read(life.path)[0]
    assert sum(len(sent.rows) for sent in cut.sent) in (59, 60, 61)
    life.live()
    assert len(sent_record.read(life.path)) == 2


def test_record_of_another_market_is_refused(life: Life) -> None:
    life.live()
    with pytest.raises(TapewatchError, match="another market"):
        before(life.path, "t", {"seed": 4}, resume=True)
    with pytest.raises(TapewatchError, match="a record already"):
        before(life.path, "t", MARKET, resume=False)


def test_answers_are_counted_without_holes_in_any_order(tmp_path: Path) -> None:
    record = SentRecord(tmp_path / "sent.log")
    record.begin(RunHeader("t", "synthetic", 1, 1, {}, 0))
    for sequence in range(4):
        record.handed(0, sequence, "quote", 1, bytes([sequence]))
    for sequence in (0, 2, 3):
        record.acknowledged(0, sequence)
    record.sync()
    assert sent_record.read(tmp_path / "sent.log")[0].sent[0].acknowledged == 1
    record.acknowledged(0, 1)
    record.sync()
    record.close()
    assert sent_record.read(tmp_path / "sent.log")[0].sent[0].acknowledged == 4
    assert all(isinstance(msgspec.json.decode(line), list | dict) for line in _lines(tmp_path / "sent.log"))


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines() if line]
