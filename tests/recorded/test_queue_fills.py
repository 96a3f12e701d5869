"""Real orders of a LOBSTER sample, followed as our own: the queue model keeps its level."""

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.queue_fills import told

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FILE = DATA / "lobster" / "AMZN_2012-06-21_1222-1600_message_and_L1.csv.gz"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"no sample at {FILE}; set TAPEWATCH_TEST_DATA")


def test_the_queue_model_tells_fills_and_never_promises_one_that_did_not_come() -> None:
    found: dict[str, Any] = told(FILE)
    assert found["orders"] == 9596
    assert found["queue.fills_told"]["mean"] > 0.94
    assert found["queue.deletions_told"]["mean"] > 0.9995
    assert found["queue.deletions_told"]["low"] > found["no_queue.deletions_told"]["high"]
