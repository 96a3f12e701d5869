"""The gateways' one promise: whatever dies, one order at the venue for one on the topic, and books that agree."""

from pathlib import Path

import pytest

from benchmarks.gateway_faults import run

pytestmark = pytest.mark.slow  # real processes, killed and started again: about 2 s a kill


@pytest.mark.parametrize("venue", ["upbit", "binance", "fix"])
def test_five_kills_neither_lose_nor_double_an_order(venue: str, tmp_path: Path) -> None:
    if venue == "fix":
        pytest.importorskip("quickfix", reason="the extra `fix` is not installed")
    report = run(venue, kills=5, seed=11, folder=tmp_path)
    assert report["troubles"] == []
    assert report["venue_orders"] > 15
    assert report["kills_while"]["sent"] > 1, "kills must fall into unanswered requests for this test to say anything"
    assert sum(report["orders_by_end"].values()) == report["orders"]
