"""A pumped market without a broker: its log, the engine's alerts and a snapshot, and an archive that gathers them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from streams.driver import FOREVER_NS, Driver
from streams.engine.models import ModelStore
from streams.engine.snapshots import dump
from streams.engine.task import Task
from streams.evidence.gathering import Gatherer
from tapewatch.clock import Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.proof.evidence import Archive, Entry, EvidenceRecord
from tapewatch.settings import Settings
from tapewatch.settings.delivery import EvidenceSettings
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, in_order, trade

COIN, TOPIC = "COIN.XPMP", "market.evidence"
CALM_S, PUMP_S = 620, 20


def pumped_events(coin: str = COIN) -> list[Event]:
    """Ten minutes of one trade a second, then a pump on a hundred times the volume, then a dump."""
    calm = [trade(coin, second + 0.5, 100.0, 1.0, 1 if second % 2 else -1) for second in range(CALM_S)]
    pump = [trade(coin, CALM_S + number / 20, 100.0 + number / 20, 5.0, 1) for number in range(PUMP_S * 20)]
    dump_ = [trade(coin, CALM_S + PUMP_S + number / 20, 120.0 - number / 20, 5.0, -1) for number in range(PUMP_S * 20)]
    return in_order(heartbeats(CALM_S + 2 * PUMP_S), calm, pump, dump_)


class Scene:
    """The log of one partition, what the engine made of it, and snapshots where it was told to take them.

    low : the first offset that the log still has
    """

    def __init__(self, snapshot_at: float = 0.9) -> None:
        self.registry = FixedRegistry([Instrument(COIN, kind="spot")])
        self.low = 0
        self.snapshots: list[tuple[int, bytes]] = []
        driver = Driver(self.registry, TOPIC, 0)
        events = pumped_events()
        names = m.names_in(events)
        parts = m.frames_of(events)
        self.log: list[EvidenceRecord] = []
        for number, part in enumerate(parts):
            headers = FrameHeaders(part[0].type.label, "test", 0, number, 0).to_kafka()
            record = EvidenceRecord(0, number, FOREVER_NS // 1_000_000, None, m.frame(part, names), headers)
            self.log.append(record)
            driver.record(record.value, headers)
            if number == int(len(parts) * snapshot_at):
                driver.outgoing()
                self.snapshots.append((driver.task.next_offset, dump(driver.task)))
        found = [record for record in driver.collect()[topics.ALERTS] if b"pump_and_dump" in record.value]
        self.alerts = [
            EvidenceRecord(0, offset, 0, record.key, record.value, record.headers)
            for offset, record in enumerate(found)
        ]

    def bounds(self, where: tuple[str, int]) -> tuple[int, int]:
        return (self.low, len(self.log)) if where == (TOPIC, 0) else (0, 0)

    def read(self, where: tuple[str, int], first: int, last: int) -> Iterator[EvidenceRecord]:
        return iter(self.log[max(first, self.low) : last + 1])

    def before(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        return max((each for each in self.snapshots if each[0] <= limit), default=None)


def settings_in(folder: Path, **evidence: Any) -> Settings:
    """Settings of an archive in a folder."""
    return msgspec.structs.replace(Settings(data=str(folder)), evidence=EvidenceSettings(**evidence))


def archived(
    scene: Scene, archive: Archive, records: list[EvidenceRecord] | None = None, reach: int = 20_000
) -> list[Entry]:
    """Archive the scene's alert records (or these), one bundle each."""
    gatherer = Gatherer(archive, scene.registry, ModelStore(), scene, scene, reach)
    entries = []
    for record in scene.alerts if records is None else records:
        gathered = gatherer.gather(record, messages.decode(Alert, record.value or b""))
        entries.append(archive.add(gathered.manifest, gathered.parts))
    return entries


def archive_in(folder: Path, clock: Clock, **evidence: Any) -> Archive:
    """An archive of a test's own."""
    return Archive(settings_in(folder, **evidence), clock)
