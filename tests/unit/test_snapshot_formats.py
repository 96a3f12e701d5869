"""Snapshots as earlier releases wrote them (tests/vectors/snapshots): what this build does with each format."""

import hashlib

import msgspec
import pytest

from streams.engine import snapshots
from streams.engine.build import build_hash
from streams.engine.snapshots import FORMAT, DamagedError
from tests.unit.snapshot_vectors import Vector, fed, fresh, log, shelf_of, vectors

LOG, VECTORS = log(), vectors()
OURS = [each for each in VECTORS if each.format == FORMAT]
OTHERS = [each for each in VECTORS if each.format != FORMAT]


def test_there_is_a_snapshot_of_this_builds_format_by_an_earlier_release() -> None:
    assert OURS, f"format {FORMAT} is new: keep one by `python -m tests.unit.snapshot_vectors COMMIT` once it is landed"
    assert all(each.commit and each.build != build_hash() for each in VECTORS)


@pytest.mark.parametrize("vector", OURS, ids=lambda each: each.commit)
def test_build_goes_on_from_a_releases_snapshot_as_if_it_had_computed_the_log(vector: Vector) -> None:
    computed, restored = fresh(vector), fresh(vector)
    fed(computed, LOG, 0, LOG.at)
    snapshots.restore(restored, vector.snapshot, shelf_of(vector))
    assert restored.next_offset == LOG.at
    found, wanted = fed(restored, LOG, LOG.at), fed(computed, LOG, LOG.at)
    assert found == wanted
    assert {topic for topic, _ in wanted} >= {"features", "scores", "alerts"}
    assert restored.force.models == computed.force.models
    assert snapshots.dump(restored) == snapshots.dump(computed)


@pytest.mark.parametrize("vector", OURS, ids=lambda each: each.commit)
def test_snapshot_was_taken_behind_a_control_row(vector: Vector) -> None:
    restored = fresh(vector)
    before = restored.force.config_hash
    snapshots.restore(restored, vector.snapshot, shelf_of(vector))
    assert restored.force.config_hash != before


def of_format(vector: Vector, number: int) -> bytes:
    """The snapshot as a build of another format would call it; its digest is right."""
    body = vector.snapshot[32:]
    length = int.from_bytes(body[:4], "little")
    head = msgspec.json.decode(body[4 : 4 + length]) | {"format": number}
    encoded = msgspec.json.encode({"format": number} if number > FORMAT else head)
    body = len(encoded).to_bytes(4, "little") + encoded + body[4 + length :]
    return hashlib.sha256(body).digest() + body


@pytest.mark.parametrize("number", [FORMAT - 1, FORMAT + 1])
def test_snapshot_of_another_format_is_named_and_leaves_the_task_as_it_was(number: int) -> None:
    task, untouched = fresh(OURS[0]), fresh(OURS[0])
    with pytest.raises(DamagedError) as refusal:
        snapshots.restore(task, of_format(OURS[0], number), shelf_of(OURS[0]))
    assert f"has format {number}, this build's is {FORMAT}" in refusal.value.message
    assert "computed from the log" in refusal.value.hint
    assert fed(task, LOG, 0) == fed(untouched, LOG, 0)


@pytest.mark.parametrize("vector", OTHERS, ids=lambda each: f"format {each.format}")
def test_snapshot_that_a_release_wrote_in_another_format_is_refused(vector: Vector) -> None:
    with pytest.raises(DamagedError, match=f"has format {vector.format}"):
        snapshots.restore(fresh(OURS[0]), vector.snapshot, shelf_of(vector))
