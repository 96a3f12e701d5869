"""The PostgreSQL sink's transactions without a server: when a batch is full, who is sorted out, bytes as one file."""

import itertools
import random

import psycopg2
import pytest

from sinks.postgres.batch import MAX_BYTES, MAX_PARTITIONS, MAX_RECORDS, Batch, JsonRecord
from sinks.postgres.desk_work import newest
from sinks.postgres.writer import Parts, merge_storable
from tapewatch.contract.messages import Proposal, stable_id, to_rfc3339

AT = to_rfc3339(1_700_000_000_000_000_000)


def test_a_batch_is_full_at_any_of_its_limits_and_not_before() -> None:
    def full(**changes: int) -> bool:
        batch = Batch(records=changes.get("records", 0), bytes=changes.get("bytes", 0))
        batch.rows["quotes"] = changes.get("rows", 0) // 2
        batch.rows["trades"] = changes.get("rows", 0) - batch.rows["quotes"]
        batch.days |= {("quotes", day) for day in range(changes.get("days", 0))}
        return batch.is_full(2001)

    assert not full(rows=2000, bytes=MAX_BYTES - 1, records=MAX_RECORDS - 1, days=MAX_PARTITIONS - 1)
    assert full(rows=2001)
    assert full(bytes=64 * 1024 * 1024)
    assert full(records=50_000)
    assert full(days=500)


class Savepoints:
    """A cursor that undoes what was written since the last savepoint."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self._saved: list[list[int]] = []

    def execute(self, statement: str) -> None:
        if statement.startswith("SAVEPOINT"):
            self._saved.append(self.kept[:])
        elif statement.startswith("ROLLBACK TO"):
            self.kept = self._saved.pop()
        elif statement.startswith("RELEASE"):
            self._saved.pop()
        else:
            raise AssertionError(statement)


@pytest.mark.parametrize("error", [psycopg2.DataError("d"), psycopg2.IntegrityError("i"), ValueError("v")])
@pytest.mark.parametrize("count", range(6))
def test_whichever_messages_cannot_be_held_are_sorted_out_in_their_order(count: int, error: Exception) -> None:
    records = [JsonRecord("labels", 0, offset, b"{}") for offset in range(count)]
    for bad in itertools.chain.from_iterable(itertools.combinations(range(count), n) for n in range(count + 1)):
        cursor = Savepoints()

        def write(chosen: list[JsonRecord], bad: tuple[int, ...] = bad, cursor: Savepoints = cursor) -> None:
            for record in chosen:
                cursor.kept.append(record.offset)
                if record.offset in bad:
                    raise error

        refused = merge_storable(cursor, records, write)  # type: ignore[arg-type]
        assert [(each.record.offset, each.reason, each.detail) for each in refused] == [
            (offset, "not_storable", str(error)) for offset in bad
        ]
        assert cursor.kept == [offset for offset in range(count) if offset not in bad]


def test_a_database_that_is_gone_is_no_message_that_cannot_be_held() -> None:
    def write(_: list[JsonRecord]) -> None:
        raise psycopg2.OperationalError("gone")

    with pytest.raises(psycopg2.OperationalError):
        merge_storable(Savepoints(), [JsonRecord("labels", 0, 0, b"{}")], write)  # type: ignore[arg-type]


def test_pieces_are_read_as_one_file_in_whatever_sizes() -> None:
    rng = random.Random(5)
    for _ in range(50):
        pieces = [rng.randbytes(rng.choice([0, 1, 7, 100])) for _ in range(rng.randint(0, 8))]
        parts, read = Parts(pieces), b""
        while True:
            size = rng.choice([1, 3, 50, 1000])
            found = parts.read(size)
            read += found
            if len(found) < size:
                break
        assert read == b"".join(pieces)
        assert parts.read(10) == b""


def test_of_equal_revisions_the_first_is_the_newest() -> None:
    def proposal(name: str, revision: int, why: str) -> Proposal:
        return Proposal(
            id=stable_id(name), revision=revision, kind="promotion", state="proposed", subject="h", content="h",
            who="ann", why=why, created=AT,
        )  # fmt: skip

    said = [("a", 1, "x"), ("b", 0, "x"), ("a", 2, "first"), ("a", 2, "second"), ("b", 0, "y"), ("a", 0, "z")]
    found = newest(proposal(*each) for each in said)
    assert [(each.id, each.revision, each.why) for each in found] == [
        (stable_id("a"), 2, "first"),
        (stable_id("b"), 0, "x"),
    ]
