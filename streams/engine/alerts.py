"""Alerts from scenario events: the sentence, the evidence against its thresholds, severity, and what the alert can be
recomputed from.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.book import trees as book
from detectors.ensemble_members import AUTOENCODER, AUTOENCODER_CRYPTO, COINS, FUSION, ISOLATION
from detectors.scenarios.accounts.watch import ACCOUNTS
from detectors.scenarios.episode import CLOSED, OPENED, UPDATED
from detectors.scenarios.library import ENGINE, FUSED_ANOMALY, KMEANS_ANOMALY, PUMP_AND_DUMP, SCENARIOS
from streams.engine import output
from streams.engine.models import BOOK, KMEANS, KMEANS_CLASSIC, PUMPS, ActiveModels
from tapewatch.contract.messages import Alert, AlertState, Evidence, Provenance, Severity, alert_id, to_rfc3339

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


MODULES = (*ENGINE, *ACCOUNTS)
"""Scenarios by the number that an event carries: the kernels', then those of the accounts stage."""

_THRESHOLDS_AT = 8
_CHANCE_AT = 1
"""Place of the probability among the values of `kmeans_anomaly` and `fused_anomaly`."""

_MODELS = {
    KMEANS_ANOMALY: (KMEANS, KMEANS_CLASSIC),
    FUSED_ANOMALY: (FUSION, KMEANS, AUTOENCODER, ISOLATION),
    PUMP_AND_DUMP: (PUMPS,),
    **{SCENARIOS.index(name): (BOOK,) for name in book.SCENARIOS},
}
"""Models that a scenario rests on."""


def _models(scenario: int, kind: str) -> tuple[str, ...]:
    """Models that a scenario rests on for an instrument of a kind."""
    found = _MODELS.get(scenario, ())
    return tuple(AUTOENCODER_CRYPTO if name == AUTOENCODER else name for name in found) if kind in COINS else found


def _evidence(scenario: int, v: Sequence[float]) -> tuple[Evidence, ...]:
    """The scenario's values against their thresholds, and the seconds in a row.

    v : values and thresholds as the scenario's `strength` filled them in, then what streams.engine.output adds
    """
    module = MODULES[scenario]
    found = []
    for place, (name, unit) in enumerate(zip(module.VALUES, module.UNITS, strict=True)):
        threshold = _number(v[_THRESHOLDS_AT + place])
        found.append(Evidence(name, _number(v[place]), threshold, "" if threshold is None else ">=", unit))
    if scenario != PUMP_AND_DUMP:
        found.append(Evidence("streak_s", _number(v[output.STREAK]), None, "", "s"))
    return tuple(found)


def build_alert(
    event: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    values: F8,
    named: tuple[str, str],
    where: tuple[str, int],
    force: ActiveModels,
    build: str,
) -> Alert:
    """The message of one scenario event.

    event : int64[8], offsets : int64[2], values : float64[EVENT_VALUES], as streams.engine.output.Output documents
    named : the instrument and its kind; where : topic and partition
    """
    scenario, kind, _, onset, decided, updated, revision, onset_offset = (int(field) for field in event)
    instrument = named[0]
    v = [float(value) for value in values]
    module, score = MODULES[scenario], strength(v[output.STRENGTH], 1.0)
    if scenario == PUMP_AND_DUMP and kind == UPDATED:
        # The dump has begun.
        score = max(score, 70.0)
    return Alert(
        id=alert_id(module.NAME, instrument, onset),
        scenario=module.NAME,
        instrument=instrument,
        onset=to_rfc3339(onset),
        decided=to_rfc3339(decided),
        updated=to_rfc3339(updated),
        state=_STATES.get(kind, "update"),
        revision=revision - 1,
        severity=severity(score),
        score=score,
        probability=_number(v[_CHANCE_AT]) if scenario in (KMEANS_ANOMALY, FUSED_ANOMALY) else None,
        sentence=module.sentence(v, instrument, kind == CLOSED),
        data_tier=", ".join(module.TIERS),
        evidence=_evidence(scenario, v),
        provenance=Provenance(
            topic=where[0],
            partition=where[1],
            onset_offset=onset_offset,
            decided_offset=int(offsets[0]),
            updated_offset=int(offsets[1]),
            configuration=force.config_hash,
            models={name: force.models[name] for name in _models(scenario, named[1]) if name in force.models},
            build=build,
        ),
    )
