"""Canaries as they were injected, and alerts that found them."""

from tapewatch.clock import NANOS
from tapewatch.contract.canaries import Canary, canary_id
from tapewatch.contract.messages import Alert, Provenance, alert_id, to_rfc3339

START = 1_767_600_000 * NANOS
DUE_S = 120.0
NAME = "CANARY_1.SIMX"


def injected(after_s: float = 0.0, instrument: str = NAME) -> Canary:
    start = START + int(after_s * NANOS)
    return Canary(
        id=canary_id("canary", "pump_and_dump", instrument, start),
        state="injected",
        feed="canary",
        partition=0,
        scenario="pump_and_dump",
        instrument=instrument,
        start=to_rfc3339(start),
        strength=0.6,
        due=to_rfc3339(start + int(DUE_S * NANOS)),
        every_s=300.0,
        at=to_rfc3339(start),
    )


def alert(
    after_s: float,
    scenario: str = "pump_and_dump",
    instrument: str = NAME,
    revision: int = 0,
    topic: str = "market.canary",
) -> Alert:
    at = to_rfc3339(START + int(after_s * NANOS))
    return Alert(
        id=alert_id(scenario, instrument, START),
        scenario=scenario,
        instrument=instrument,
        onset=at,
        decided=at,
        updated=at,
        state="open",
        revision=revision,
        severity="high",
        score=90.0,
        sentence="a pump",
        data_tier="trades",
        provenance=Provenance(topic, 0, 1, 2, 2, "c", {}, "b"),
    )
