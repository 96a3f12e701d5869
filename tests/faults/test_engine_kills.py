"""The engine's one promise: whatever dies and however the log is cut, features, scores and alerts are the same rows,
bit for bit.
"""

import pytest

from tapewatch.settings import Settings
from tests.faults import engine_runs as runs

pytestmark = pytest.mark.slow  # real processes, killed and started again


def test_twenty_kills_change_no_bit(settings: Settings) -> None:
    total = runs.write_market(settings, "kills", seconds=680, partitions=4, instruments=24, flushes=5)
    engines = runs.Engines(settings, "kills", "group-kills", batch_frames=20)
    engines.start("a")
    try:
        kills = runs.kill_at_random(engines, total, 20, seed=3)
        engines.wait(total)
    finally:
        engines.stop()
    assert kills == 20
    found = runs.written(settings, "kills")
    assert any("alerts/alert" in by_topic for by_topic in found.values()), (
        "the market must raise alerts for this test to say anything"
    )
    runs.assert_same(found, runs.expected(settings, "kills"))


@pytest.mark.parametrize(("batch", "processes"), [(1, 1), (7, 2), (1000, 4), (100_000, 1)])
def test_batches_and_processes_change_no_bit(settings: Settings, batch: int, processes: int) -> None:
    feed = f"batch-{batch}-{processes}"
    total = runs.write_market(settings, feed, seconds=640 if batch > 1 else 20, partitions=4, instruments=12, flushes=2)
    engines = runs.Engines(settings, feed, f"group-{feed}", batch_frames=batch)
    for number in range(processes):
        engines.start(str(number))
    try:
        engines.wait(total)
    finally:
        engines.stop()
    runs.assert_same(runs.written(settings, feed), runs.expected(settings, feed))
