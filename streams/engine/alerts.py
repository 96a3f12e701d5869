"""Alerts from scenario events: the sentence, the evidence against its thresholds, severity, and what the alert can be
recomputed from.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.scenarios.episode import CLOSED, KMEANS_ANOMALY, OPENED, SCENARIOS
from detectors.scenarios.pump_and_dump import PumpParameters
from streams.engine.models import InForce
from tapewatch.messages import Alert, AlertState, Evidence, Provenance, Severity, alert_id, to_rfc3339

F8 = npt.NDArray[np.float64]

_STATES: dict[int, AlertState] = {OPENED: "open", CLOSED: "closed"}
_SEVERITIES: tuple[tuple[float, Severity], ...] = ((90.0, "critical"), (70.0, "high"), (45.0, "medium"))


def severity(score: float) -> Severity:
    """Severity of a score of 0 to 100."""
    return next((name for least, name in _SEVERITIES if score >= least), "low")


def strength(value: float, threshold: float) -> float:
    """How far beyond its threshold a value is, 0 to 100: 40 at the threshold, 80 at three times, towards 100 beyond."""
    if not threshold > 0.0 or not math.isfinite(value):
        return 40.0
    ratio = max(value / threshold, 0.0)
    return round(100.0 * (1.0 - 0.6 * math.exp(-0.55 * (ratio - 1.0))) if ratio >= 1.0 else 40.0 * ratio, 3)


def _number(value: float) -> float | None:
    """A float for JSON: null for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def _anomaly(v: list[float], instrument: str, kind: int) -> tuple[str, float, tuple[Evidence, ...]]:
    """Sentence, score and evidence of `kmeans_anomaly` (values: detectors.scenarios.kmeans_anomaly.VALUES)."""
    evidence = (
        Evidence("kmeans_distance", _number(v[0]), _number(v[1]), ">=", "scaled deviations per root feature"),
        Evidence("kmeans_probability", _number(v[2]), None, "", "probability"),
        Evidence("streak_s", _number(v[3]), None, "", "s"),
    )
    if kind == CLOSED:
        return (
            f"{instrument} has traded near its usual patterns again; the anomaly is over.",
            strength(v[0], v[1]),
            evidence,
        )
    return (
        f"{instrument} traded unlike any usual pattern for {v[3]:.0f} s: "
        f"its distance from normal trading is {v[0]:.1f}, where {v[1]:.1f} spends the alert budget.",
        strength(v[0], v[1]),
        evidence,
    )


def _pump(v: list[float], rule: PumpParameters, instrument: str, kind: int) -> tuple[str, float, tuple[Evidence, ...]]:
    """Sentence, score and evidence of `pump_and_dump` (values: detectors.scenarios.pump_and_dump.INPUTS)."""
    evidence = (
        Evidence("ret_25s", _number(v[0]), _number(v[5]), ">=", "log return"),
        Evidence("rush_25s", _number(v[1]), _number(v[6]), ">=", "count"),
        Evidence("volume_ratio_25s", _number(v[2]), rule.volume_ratio, ">=", "ratio"),
        Evidence("buy_share_25s", _number(v[3]), rule.buy_share, ">=", "-1..1"),
        Evidence("price", _number(v[4]), None, "", "price"),
        Evidence("given_back", _number(v[7]), None, "", "share of the rise"),
    )
    score = strength(v[0], v[5])
    if kind == OPENED:
        rise = (math.exp(v[0]) - 1.0) * 100.0
        return (
            f"{instrument} rose {rise:.1f} % within 25 s on {v[2]:.0f} times its usual volume, "
            f"driven by aggressive buyers in {v[1]:.0f} distinct milliseconds: this looks like a pump.",
            score,
            evidence,
        )
    if kind == CLOSED:
        return (
            f"The watch on {instrument} after its pump ended; {v[7] * 100:.0f} % of the rise is given back.",
            score,
            evidence,
        )
    return (
        f"{instrument} has given back {v[7] * 100:.0f} % of its rise: the dump has begun.",
        max(score, 70.0),
        evidence,
    )


_TIERS = ("quotes", "trades")


def build_alert(
    event: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    values: F8,
    names: Sequence[str],
    where: tuple[str, int],
    force: InForce,
    build: str,
) -> Alert:
    """The message of one scenario event.

    event : int64[8], offsets : int64[2], values : float64[16], as streams.engine.output.Output documents; where : topic
    and partition
    """
    scenario, kind, slot, onset, decided, updated, revision, onset_offset = (int(field) for field in event)
    instrument = names[slot]
    v = [float(value) for value in values]
    if scenario == KMEANS_ANOMALY:
        sentence, score, evidence = _anomaly(v, instrument, kind)
        chance = _number(v[2])
    else:
        sentence, score, evidence = _pump(v, force.config.pump_and_dump, instrument, kind)
        chance = None
    return Alert(
        id=alert_id(SCENARIOS[scenario], instrument, onset),
        scenario=SCENARIOS[scenario],
        instrument=instrument,
        onset=to_rfc3339(onset),
        decided=to_rfc3339(decided),
        updated=to_rfc3339(updated),
        state=_STATES.get(kind, "update"),
        revision=revision - 1,
        severity=severity(score),
        score=score,
        probability=chance,
        sentence=sentence,
        data_tier=_TIERS[scenario],
        evidence=evidence,
        provenance=Provenance(
            topic=where[0],
            partition=where[1],
            onset_offset=onset_offset,
            decided_offset=int(offsets[0]),
            updated_offset=int(offsets[1]),
            configuration=force.config_hash,
            models=dict(force.models) if scenario == KMEANS_ANOMALY else {},
            build=build,
        ),
    )
