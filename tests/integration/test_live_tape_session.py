"""Live sessions against simulated venues that misbehave, recorded: each tape replays as the same rows."""

import argparse
import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from producers.base.feed_session import Connector
from producers.base.metrics import FeedMetrics
from producers.base.outlet import MemoryOutlet
from producers.base.runner import LiveRun
from producers.base.tape import Tape
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.recordings import open_recording
from producers.simulators.catalogue import SimulatorOptions, simulated
from producers.simulators.coinbase import CoinbaseVenue
from producers.simulators.faults import Fault, FaultKind, FaultPlan
from producers.simulators.kraken import KrakenVenue
from producers.simulators.server import SimulatorServer, Venue
from producers.simulators.twse import TaiwanVenue
from producers.simulators.upbit import UpbitVenue
from producers.venues.binance.source import spot, usdm
from producers.venues.coinbase.source import coinbase
from producers.venues.kiwoom.source import connect as kiwoom
from producers.venues.kraken.source import kraken
from producers.venues.twse.connector import TwseConnector
from producers.venues.upbit.source import upbit
from producers.venues.yahoo.source import connect as yahoo
from tapewatch.contract.rows import Rows, RowType
from tapewatch.settings import Settings
from tests.eventually import eventually_async
from tests.integration.live_run import QUICK
from tests.integration.taiwan_run import PACE, RULES

NO_ARGUMENTS = argparse.Namespace()
BROKEN = (
    Fault(kind=FaultKind.GAP, at_s=0.5, count=3),
    Fault(kind=FaultKind.DISCONNECT, at_s=1.0),
    Fault(kind=FaultKind.DUPLICATE, at_s=1.3, count=5),
)
PUSHED = {"follow", "message", "lost"}


@dataclass(frozen=True)
class Case:
    """A venue under test. rows : that a session has to give before it ends; events : that its tape has to hold"""

    name: str
    venue: Callable[[], Venue]
    connect: Callable[[Settings], Connector]
    rows: dict[str, int]
    events: set[str]
    faults: tuple[Fault, ...] = BROKEN
    gaps: int = 2


def taiwan(settings: Settings) -> TwseConnector:
    return TwseConnector(settings.venues.twse, calendar="", rules=RULES, pace=PACE)


def bars(settings: Settings) -> Connector:
    return yahoo(
        settings, argparse.Namespace(symbols=("SIM0", "SIM1"), interval="1m", delayed=0.0, calendar="", dry_run=True)
    )


def korea(settings: Settings) -> Connector:
    connector = kiwoom(settings, argparse.Namespace(minutes=1, dry_run=True))
    connector.calendar = ""  # Seoul's takes seconds to work out
    return connector


CASES = (
    Case(
        "binance",
        lambda: simulated("binance", SimulatorOptions((), 2, 1, 400.0)),
        lambda settings: spot(settings, NO_ARGUMENTS),
        {"book": 100, "trade": 100, "quote": 100},
        PUSHED | {"open", "answer"},
        (Fault(kind=FaultKind.HTTP_503, match="depth", count=2), *BROKEN),
    ),
    Case(
        "binance_usdm",
        lambda: simulated("binance_usdm", SimulatorOptions((), 2, 1, 400.0)),
        lambda settings: usdm(settings, NO_ARGUMENTS),
        {"book": 100, "trade": 100, "quote": 100},
        PUSHED | {"open", "answer"},
    ),
    Case(
        "upbit",
        lambda: UpbitVenue(("KRW-BTC", "KRW-ETH"), seed=3, rate=400.0, beat_s=0.1),
        lambda settings: upbit(settings, NO_ARGUMENTS),
        {"book": 100, "trade": 100, "quote": 100},
        PUSHED | {"answer"},
    ),
    Case(
        "coinbase",
        lambda: CoinbaseVenue(("BTC-USD", "ETH-USD"), seed=3, rate=400.0, beat_s=0.1),
        lambda settings: coinbase(settings, NO_ARGUMENTS),
        {"book": 100, "trade": 100, "quote": 100},
        PUSHED | {"answer"},
    ),
    Case(
        "kraken",
        lambda: KrakenVenue(("BTC/USD", "ETH/USD"), seed=3, rate=400.0, beat_s=0.1),
        lambda settings: kraken(settings, NO_ARGUMENTS),
        {"book": 100, "trade": 100, "quote": 100},
        PUSHED | {"answer"},
    ),
    Case(
        "twse",
        lambda: TaiwanVenue(("tse_2330.tw", "otc_6547.tw"), seed=1, pace=PACE, yahoo="quotes"),
        taiwan,
        {"quote": 20, "book": 20},
        {"follow", "answer"},
        (Fault(kind=FaultKind.HTTP_500, at_s=1.0, count=12, match="getStockInfo"),),
        0,
    ),
    Case(
        "yahoo",
        lambda: simulated("yahoo", SimulatorOptions(("SIM0", "SIM1"))),
        bars,
        {},  # Whether a bar is news at the first look depends on the second of the minute
        {"follow", "answer", "note"},
        (),
        0,
    ),
    Case(
        "kiwoom",
        lambda: simulated("kiwoom", SimulatorOptions(("005930", "000660"))),
        korea,
        {},
        {"follow", "answer", "note"},
        (),
        0,
    ),
)


async def session(case: Case, path: Path) -> MemoryOutlet:
    """A recorded session that goes on until something was lost and found again, and rows of every type came."""
    outlet = MemoryOutlet()
    plan = FaultPlan(script=[msgspec.structs.replace(fault) for fault in case.faults])
    async with SimulatorServer(case.venue(), plan) as server:
        settings = pointed_at(Settings(produce=QUICK), case.name, server.addresses())
        connector = case.connect(settings)
        tape = Tape(path, case.name.replace("_", "-"), settings=getattr(connector, "tape_settings", None))
        metrics = FeedMetrics(connector.feed)
        stop = asyncio.Event()
        running = asyncio.create_task(
            LiveRun(settings, connector, outlet, Choice(), tape=tape, metrics=metrics).run(stop)
        )

        def enough() -> bool:
            found: dict[str, Any] = metrics.as_dict()
            if sum(found["messages"].values()) < 4:
                return False
            given = all(found["rows"].get(kind, 0) >= count for kind, count in case.rows.items())
            return (
                given
                and found["gaps"] >= case.gaps
                and found["resyncs"] >= case.gaps
                and not plan.pending()
                and plan.elapsed > 2.0
            )

        await eventually_async(lambda: running.done() or enough(), what="enough came", pause=0.05)
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


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_recorded_session_with_faults_replays_as_its_own_rows(case: Case, tmp_path: Path) -> None:
    # Some seconds of real time: sockets break and come back.
    path = tmp_path / "session.tape.gz"
    outlet = asyncio.run(session(case, path))
    recording = open_recording([path])
    played = [rows for chunk in recording.chunks() for rows in chunk.rows]
    for kind in RowType:
        live, again = table(outlet.rows, kind), table(played, kind)
        for name, column in live.items():
            np.testing.assert_array_equal(again[name], column, err_msg=f"{kind.label} {name}")
    assert {one.id for one in recording.instruments} == set(outlet.instruments)
    assert recording.report.reasons["malformed_line"] == 0
    lines = gzip.decompress(path.read_bytes()).splitlines()[1:]
    assert {json.loads(line)["kind"] for line in lines} >= case.events
