"""Every line of the Binance recordings goes through the live connector, sent again by a simulated Binance."""

import asyncio
import os
from argparse import Namespace
from collections import Counter
from pathlib import Path

import pytest

from producers.base.outlet import MemoryOutlet
from producers.base.runner import LiveRun, LiveSummary
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.simulators.binance import BinanceRecording
from producers.simulators.binance.recording import recorded_lines
from producers.simulators.server import SimulatorServer
from producers.sources import SOURCES
from tapewatch.settings import Settings

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set TAPEWATCH_TEST_DATA")
RECORDINGS = [
    ("binance", "binance", ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"), "trade,bookTicker,depth@100ms"),
    ("binance_usdm", "binance-usdm", ("usdm_btcusdt_20240808.gz",), "trade,bookTicker,depth@0ms"),
]


async def sent_again(dialect: str, source: str, paths: list[Path], channels: str) -> tuple[LiveSummary, int]:
    """What the connector made of it, and how many messages the venue wrote."""
    venue = BinanceRecording(paths, dialect=dialect)
    async with SimulatorServer(venue) as server:
        settings = pointed_at(Settings(), dialect, server.addresses())
        connector = SOURCES[source].function(SOURCES[source].connect)(settings, Namespace(channels=channels))
        run = LiveRun(settings, connector, MemoryOutlet(), Choice())
        stop = asyncio.Event()
        task = asyncio.create_task(run.run(stop))
        await asyncio.wait_for(venue.finished.wait(), 120)
        count = -1
        while count != sum(connector.decoder.collector.messages.values()):
            count = sum(connector.decoder.collector.messages.values())
            await asyncio.sleep(0.3)
        stop.set()
        return await task, int(server.report()["written"])


@pytest.mark.parametrize(("dialect", "source", "names", "channels"), RECORDINGS)
def test_every_recorded_line_goes_through_the_live_connector(
    dialect: str, source: str, names: tuple[str, ...], channels: str
) -> None:
    paths = [DATA / "binance" / name for name in names]
    lines = Counter(line.stream.partition("@")[2] for line in recorded_lines(paths) if line.stream)
    summary, written = asyncio.run(sent_again(dialect, source, paths, channels))
    depth = channels.rpartition(",")[2]
    assert summary.messages["trade"] == lines["trade"]
    assert summary.messages["book_ticker"] == lines["bookTicker"]
    assert summary.messages["depth"] == lines[depth]
    assert sum(lines.values()) + summary.messages["command"] == written, "nothing else was sent"
    assert summary.rows["quote"] + summary.dropped.get("repeated", 0) == lines["bookTicker"]
    assert summary.rows["trade"] + summary.dropped.get("not_market_trade", 0) == lines["trade"]
    assert not summary.refused
    assert not summary.violations
    assert summary.gaps == 0
    # Differences that the snapshot holds already give no row; the snapshot itself gives one.
    assert summary.rows["book"] == lines[depth] + 1 - summary.dropped.get("stale_diff", 0) - summary.dropped.get(
        "before_snapshot", 0
    )
