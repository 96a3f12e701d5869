"""A log of two partitions in which everything happens that may split."""

from functools import cache

import msgspec

from detectors.scenarios.kmeans_anomaly import Parameters as AnomalyParameters
from streams.engine.detector_config import DetectorConfig
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import StatusKind
from tapewatch.market_log.admission import CONTROL_SOURCE
from tests.unit import engine_market as m
from tests.unit.engine_market import status

SECONDS = 75


Log = tuple[tuple[bytes, list[tuple[str, bytes]]], ...]


def changed() -> str:
    """The detail of a control row: fewer alerts from here on."""
    config = DetectorConfig(AnomalyParameters(hold_s=5.0, quiet_s=9.0, cooldown_s=90.0))
    return msgspec.json.encode({"models": {}, "config": msgspec.to_builtins(config)}).decode()


@cache
def events(partition: int) -> tuple[m.Event, ...]:
    """A partition's rows: every type, a silence, a halt, a gap, a late row, and the control row in the middle."""
    made = m.RandomMarket(seed=21 + partition, seconds=SECONDS, silence=(50, 58), rate=1.0).events()
    said = [
        status(StatusKind.HALT, 20.3, "BOOKS.SIMX"),
        status(StatusKind.CONTROL, 35.4, detail=changed()),
        status(StatusKind.RESUME, 40.3, "BOOKS.SIMX"),
        status(StatusKind.GAP, 62.3, "TRADED.SIMX"),
    ]
    return (*m.in_order(made, said), m.quote("QUOTED.SIMX", 30.0, 99.0, 101.0))


@cache
def log(partition: int, cuts: frozenset[int] = frozenset()) -> Log:
    """The events as frames, cut further at the given places."""
    whole, found, counts = events(partition), [], dict[str, int]()
    names = m.names_in(whole)
    control = [place for place, event in enumerate(whole) if is_control(event)]
    beside = {place + step for place in control for step in (0, 1)}
    for part in m.frames_of(whole, cuts | beside):
        source = CONTROL_SOURCE if is_control(part[0]) else "test"
        counts[source] = counts.get(source, -1) + 1
        headers = FrameHeaders(part[0].type.label, source, 0, counts[source], 0).to_kafka()
        found.append((m.frame(part, names), headers))
    return tuple(found)


def is_control(event: m.Event) -> bool:
    return event.values.get("kind") == StatusKind.CONTROL
