"""The second verifier over the golden tapes, without a broker: it says what the engine says, and tells every change."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tapewatch.contract import topics
from tests.foreign.market import Market, SeenSequences, rows_of_letter
from tests.foreign.once import check_commits, check_counts, check_keys, check_revisions
from tests.foreign.outputs import Outputs
from tests.foreign.recount import BARS, FEATURES, recount
from tests.foreign.report import Report
from tests.foreign.scratch import Scratch
from tests.golden import engine, tape
from tests.golden.engine import PARTITION
from tests.golden.store import KafkaMessage

Records = dict[str, list[KafkaMessage]]


class MemoryTopics:
    """Topics in memory, in the place of a cluster. records : by topic"""

    def __init__(self, records: Records) -> None:
        self._records = records

    def read_all(self, topic: str) -> Iterator[KafkaMessage]:
        yield from self._records.get(topic, ())


class TapeVerification:
    """A tape's log and what the engine made of it, in a scratch database."""

    def __init__(self, name: str, folder: Path) -> None:
        log = tape.read(name)
        self.report, self.scratch = Report(), Scratch(folder)
        topic = engine.topic_of(name)
        records: Records = {}
        for number, record in enumerate(engine.written(name, log)):
            records.setdefault(record.topic, []).append(
                KafkaMessage((record.topic, 0), number, record.value, record.headers or ())
            )
        self.market = Market(self.scratch)
        self.outputs = Outputs(self.scratch, MemoryTopics(records), topics.feed_of(topic))
        refused, _ = self.outputs.letters(self.report)
        frames = [
            KafkaMessage((topic, PARTITION), number, record.value, record.headers, record.appended)
            for number, record in enumerate(log.records)
        ]
        self.market.take(PARTITION, frames, refused[PARTITION], self.outputs.commits()[PARTITION])
        for each in ("features", "scores", "bars"):
            self.outputs.frames(each, self.report)
        self.next_offset = len(frames)

    def check(self) -> dict[str, dict[str, int]]:
        """Counts of each check that found anything."""
        report = Report()
        written = {
            name: {PARTITION: len(self.outputs.messages(name, place))}
            for name, place in (("alerts", "provenance"), ("signals", "cause"))
        }
        alerts = [alert for _, alert in self.outputs.messages("alerts", "provenance")]
        check_keys(self.scratch, report)
        check_revisions("alerts", alerts, report)
        check_commits(self.scratch, {PARTITION: self.next_offset}, report)
        check_counts(self.scratch, self.market.repeats, written, report)
        recount(self.scratch, PARTITION, report)
        self.report = report
        counted = report.document["checks"]
        kinds = ("lost", "doubled", "different")
        return {
            name: {kind: found[kind] for kind in kinds if found[kind]}
            for name, found in counted.items()
            if any(found[kind] for kind in kinds)
        }

    def change(self, statement: str) -> None:
        self.scratch.sql.execute(statement)


@pytest.fixture(scope="module", params=tape.NAMES)
def verified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeVerification]:
    found = TapeVerification(request.param, tmp_path_factory.mktemp("scratch"))
    yield found
    found.scratch.close()


def test_tape_is_counted_again_without_a_difference(verified: TapeVerification) -> None:
    assert verified.check() == {}
    assert verified.report.seen["features from the log"] > 800
    assert verified.report.seen["bars from the log"] > 10


ONE = "WHERE place = (SELECT min(place) FROM features WHERE trades_1s BETWEEN 1 AND 100)"
COLD = {
    "market": {"ret_300s", "ret_900s", "volume_change_1m_pct"},
    "abuse": {"ret_900s"},
}
"""Features whose windows are longer than the tape; test_foreign_verifier.py has a longer log."""


@pytest.fixture
def changed(tmp_path: Path) -> Iterator[TapeVerification]:
    found = TapeVerification("market", tmp_path)
    yield found
    found.scratch.close()


@pytest.mark.parametrize("name", tape.NAMES)
def test_change_of_any_value_that_is_counted_again_is_told(name: str, tmp_path: Path) -> None:
    changed = TapeVerification(name, tmp_path)
    told: dict[str, set[str]] = {}
    for table, columns in (("features", FEATURES), ("bars", BARS)):
        for number, column in enumerate(columns):
            # In a row of its own where there are enough, by a little more than rounding.
            filled = changed.scratch.one(f"SELECT count(*) FROM {table} WHERE NOT isnan({column})")
            if filled:
                told.setdefault(table, set()).add(column)
                place = f"SELECT place FROM {table} WHERE NOT isnan({column}) ORDER BY place"
                row = f"({place} OFFSET {number % filled} LIMIT 1)"
                changed.change(
                    f"UPDATE {table} SET {column} = {column} + 0.001 * (1 + abs({column})) WHERE place = {row}"
                )
    assert set(FEATURES) - told["features"] == COLD[name]
    report = Report()
    recount(changed.scratch, PARTITION, report)
    for table in ("features", "bars"):
        found = changed.scratch.sql.execute(f"SELECT wrong FROM held_{table} WHERE len(wrong) > 0").fetchall()
        assert {each["column"] for (wrong,) in found for each in wrong} == told[table]
    changed.scratch.close()


def test_value_that_is_not_there_is_told(changed: TapeVerification) -> None:
    changed.change(f"UPDATE features SET trades_1s = 'nan' {ONE}")
    assert changed.check() == {"features from the log": {"different": 1}}
    (example,) = changed.report.document["checks"]["features from the log"]["examples"]["different"]
    assert example["wrong"][0]["column"] == "trades_1s"


@pytest.mark.parametrize("name", ["features", "bars", "scores"])
def test_row_taken_out_and_row_put_in_twice_are_told(changed: TapeVerification, name: str) -> None:
    places = changed.scratch.rows(f"SELECT place FROM {name} ORDER BY place LIMIT 2")
    gone, again = (each["place"] for each in places)
    changed.change(f"DELETE FROM {name} WHERE place = {gone}")
    changed.change(f"INSERT INTO {name} SELECT * FROM {name} WHERE place = {again}")
    found = changed.check()
    assert found[f"{name} once"] == {"doubled": 1}
    if name != "scores":
        assert found[f"{name} from the log"] == {"lost": 1}


def test_row_that_the_log_does_not_give_is_told(changed: TapeVerification) -> None:
    changed.change("INSERT INTO features SELECT * REPLACE (ts + 7_000_000_000_000 AS ts) FROM features LIMIT 1")
    assert changed.check()["features from the log"] == {"different": 1}


def test_second_without_its_marker_and_second_marked_twice_are_told(changed: TapeVerification) -> None:
    order = "SELECT place FROM markers WHERE topic = 'features' ORDER BY place"
    changed.change(f"DELETE FROM markers WHERE place = ({order} LIMIT 1)")
    changed.change(f"INSERT INTO markers SELECT * FROM markers WHERE place = ({order} OFFSET 3 LIMIT 1)")
    assert changed.check() == {"sealed seconds": {"lost": 1, "doubled": 1}}


def test_hole_and_overlap_of_input_ranges_and_another_offset_of_the_group_are_told(changed: TapeVerification) -> None:
    first, second = changed.scratch.sql.execute("SELECT next FROM commits ORDER BY next LIMIT 2").fetchall()
    changed.change(f"UPDATE commits SET first = first + 4 WHERE next = {second[0]}")
    changed.change(f"UPDATE commits SET next = next + 1 WHERE next = {first[0]}")
    changed.change("UPDATE commits SET next = next - 1 WHERE next = (SELECT max(next) FROM commits)")
    found = changed.check()
    assert found["commit records"] == {"lost": 3 + 1}
    assert found["committed offsets"] == {"different": 1}
    changed.change(f"UPDATE commits SET first = first - 9 WHERE next = {second[0]}")
    assert changed.check()["commit records"]["doubled"] == 1


def test_row_of_the_log_that_no_commit_record_counts_is_told(changed: TapeVerification) -> None:
    changed.change(
        "UPDATE counted SET count = count - 2 WHERE rowid = (SELECT min(rowid) FROM counted WHERE what = 'rows')"
    )
    assert changed.check() == {"counts": {"lost": 2}}


def test_revision_left_out_and_revision_said_twice_are_told() -> None:
    report = Report()
    said = [{"id": "a", "revision": revision} for revision in (0, 2, 2, 3)]
    check_revisions("alerts", said, report)
    assert report.total == {"lost": 1, "doubled": 1, "different": 0}


def test_frame_counts_once_and_also_when_as_many_as_63_have_overtaken_it() -> None:
    seen = SeenSequences()
    for sequence in (0, 1, 100):
        assert not seen.has("feed", 1, sequence)
        seen.add("feed", 1, sequence)
    assert [seen.has("feed", 1, sequence) for sequence in (1, 36, 37, 99, 100, 101)] == [
        True, True, False, False, True, False,
    ]  # fmt: skip
    assert seen.has("feed", 0, 500)
    assert not seen.has("feed", 2, 0)
    assert not seen.has("other", 0, 0)


def trades(prices: list[float]) -> pa.RecordBatch:
    """A frame's rows, alike but for their price."""
    names = pa.array(["A.SIMX"] * len(prices)).dictionary_encode()
    return pa.RecordBatch.from_pydict({"instrument": names, "price": pa.array(prices), "trade_id": [""] * len(prices)})


def test_rows_that_share_a_letter_are_found_by_what_the_letter_holds() -> None:
    frame = trades([1.0, -1.0, 2.0, float("nan"), -1.0, 3.0])
    letter = pa.BufferOutputStream()
    shared = trades([-1.0, float("nan"), -1.0]).select(["instrument", "price"])
    with pa.ipc.new_stream(letter, shared.schema) as writer:
        writer.write_batch(shared)
    assert rows_of_letter(frame, 1, 3, letter.getvalue().to_pybytes()) == [1, 3, 4]


def test_rows_of_a_letter_that_was_cut_follow_one_another() -> None:
    assert rows_of_letter(trades([1.0] * 6), 2, 3, b"") == [2, 3, 4]
