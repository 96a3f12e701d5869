"""A live session against a simulated venue that misbehaves, recorded: the tape replays as the same rows."""

import argparse
import asyncio
import gzip
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from producers.base.metrics import FeedMetrics
from producers.base.outlet import KeptOutlet
from producers.base.runner import LiveRun
from producers.base.tape import Tape
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.recordings import open_recording
from producers.simulators.catalogue import SimulatorOptions, simulated
from producers.simulators.faults import FaultPlan
from producers.simulators.server import SimulatorServer
from producers.venues.binance.source import spot
from tapewatch.rows import Rows, RowType, StatusKind
from tapewatch.settings import Settings
from tapewatch.venue_settings import ProduceSettings

FAULTS = [
    {"kind": "http_503", "match": "depth", "count": 2},
    {"kind": "gap", "at_s": 0.5, "count": 3, "match": "depth"},
    {"kind": "disconnect", "at_s": 1.0},
    {"kind": "duplicate", "at_s": 1.5, "count": 5},
]


async def session(path: Path) -> KeptOutlet:
    """A recorded session that goes on until books were lost and found again."""
    produce = ProduceSettings(backoff_first_s=0.05, backoff_cap_s=0.2)
    venue = simulated("binance", SimulatorOptions((), 2, 1, 400.0))
    outlet = KeptOutlet()
    tape = Tape(path, "binance")
    async with SimulatorServer(venue, FaultPlan.from_json(json.dumps({"script": FAULTS}).encode())) as server:
        settings = pointed_at(Settings(produce=produce), "binance", server.addresses())
        connector = spot(settings, argparse.Namespace())
        metrics = FeedMetrics(connector.feed)
        stop = asyncio.Event()
        run = LiveRun(settings, connector, outlet, Choice(), tape=tape, metrics=metrics)
        running = asyncio.create_task(run.run(stop))
        async with asyncio.timeout(60):
            while not running.done():
                found = metrics.as_dict()
                if found["gaps"] >= 2 and found["resyncs"] >= 2 and found["rows"].get("book", 0) > 200:
                    break
                await asyncio.sleep(0.1)
        stop.set()
        await running
    await asyncio.to_thread(tape.close)
    return outlet


def table(parts: list[Rows], kind: RowType) -> dict[str, npt.NDArray[np.generic]]:
    """The rows of one type in the order in which they came, with instruments by name; none of the runner's own."""
    found: dict[str, list[npt.NDArray[np.generic]]] = {}
    for rows in parts:
        if rows.type is kind:
            own = rows.take(rows.columns["instrument"] != 0)
            names = np.array(own.instruments, object)[own.columns["instrument"]]
            for name, column in {**own.columns, "instrument": names}.items():
                found.setdefault(name, []).append(column)
    return {name: np.concatenate(columns) for name, columns in found.items()}


def test_recorded_session_with_faults_replays_as_its_own_rows(tmp_path: Path) -> None:
    # Some seconds of real time: sockets break and come back.
    outlet = asyncio.run(session(tmp_path / "session.tape.gz"))
    recording = open_recording([tmp_path / "session.tape.gz"])
    played = [rows for chunk in recording.chunks() for rows in chunk.rows]
    for kind in (RowType.TRADE, RowType.QUOTE, RowType.BOOK, RowType.STATUS):
        live, again = table(outlet.rows, kind), table(played, kind)
        for name, column in live.items():
            np.testing.assert_array_equal(again[name], column, err_msg=f"{kind.label} {name}")
    kinds = set(table(played, RowType.STATUS)["kind"].tolist())
    assert {int(StatusKind.GAP), int(StatusKind.RESYNC)} <= kinds
    assert {one.id for one in recording.instruments} == set(outlet.instruments)
    assert recording.report.reasons["malformed_line"] == 0
    lines = gzip.decompress((tmp_path / "session.tape.gz").read_bytes()).splitlines()[1:]
    assert {json.loads(line)["kind"] for line in lines} == {"follow", "open", "message", "answer", "lost"}
