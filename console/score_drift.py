"""Drift of kept scores: a sample of the table `scores`, cut into blocks of time, each against a detector's first one.

The table holds only what the engine reports (`docs/calibration.md`), so the first block is the reference, not the
training set: `tapewatch evaluate drift` compares with that, over every feature row.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from console.database import Database
from console.recent import NS_PER_MS, NS_PER_S
from detectors import drift
from tapewatch.clock import NANOS, WALL

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
State = Literal["good", "warn", "bad"]

SAMPLE = 200_000
"""Rows that are drawn at most, about."""
LEAST = 200
"""Rows of a block below which it tells nothing."""
KEPT_S = 60
STEPS_S = (86_400, 3_600, 600, 60)

_ROW_BYTES = 80
_SPAN = """
SELECT min(first.ts_ns), max(last.ts_ns) FROM instruments i
CROSS JOIN LATERAL (SELECT ts_ns FROM scores WHERE instrument_id = i.id ORDER BY ts_ns LIMIT 1) first
CROSS JOIN LATERAL (SELECT ts_ns FROM scores WHERE instrument_id = i.id ORDER BY ts_ns DESC LIMIT 1) last
"""
_SIZE = "SELECT coalesce(sum(pg_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = 'scores'::regclass"
_SAMPLE = """
SELECT model_id, ts_ns, raw, probability FROM scores TABLESAMPLE SYSTEM (:percent) REPEATABLE (1)
WHERE ts_ns > :begin AND raw <> 'NaN'
AND NOT instrument_id = ANY(ARRAY(SELECT id FROM instruments WHERE name LIKE ANY(:canaries))) LIMIT :limit
"""
_MODELS = "SELECT id, detector, version FROM score_models"


class Detector(NamedTuple):
    """One model version: ends of blocks in UTC ms, stability index, mean probability, rows drawn, and what it means."""

    detector: str
    version: str
    at: list[int]
    psi: list[float | None]
    probability: list[float | None]
    rows: list[int]
    state: State


class Drift(NamedTuple):
    """All detectors. share : of the rows that was drawn"""

    step_s: int
    share: float
    detectors: list[Detector]
    moderate: float = drift.MODERATE
    strong: float = drift.STRONG


class ScoreDrift:
    """Measures at most once a minute. canaries : patterns of LIKE of the instruments that do not count"""

    def __init__(self, database: Database, canaries: Sequence[str] = ()) -> None:
        self._database, self._canaries = database, list(canaries)
        self._kept: dict[tuple[int, int], tuple[int, Drift]] = {}
        self._turn = asyncio.Lock()

    async def measured(self, step_s: int, blocks: int) -> Drift:
        """The drift over the newest blocks. step_s : 0 chooses the coarsest cut that gives ten blocks"""
        async with self._turn:
            at, found = self._kept.get((step_s, blocks), (0, Drift(step_s, 0.0, [])))
            if at and WALL.elapsed() - at < KEPT_S * NANOS:
                return found
            found = await self._measure(step_s, blocks)
            self._kept = {(step_s, blocks): (WALL.elapsed(), found)}
            return found

    async def _measure(self, step_s: int, blocks: int) -> Drift:
        ((first, last),) = await self._database.rows(_SPAN)
        if last is None:
            return Drift(step_s or STEPS_S[0], 0.0, [])
        step = step_s or chosen_step((last - first) // NS_PER_S)
        begin = max(last // (step * NS_PER_S) - blocks + 1, 0) * step * NS_PER_S
        ((size,),) = await self._database.rows(_SIZE)
        percent = min(100.0, 100.0 * SAMPLE * _ROW_BYTES / max(float(size), 1.0))
        rows = await self._database.rows(
            _SAMPLE, {"percent": percent, "begin": begin, "limit": 2 * SAMPLE, "canaries": self._canaries}
        )
        models = {number: (detector, version) for number, detector, version in await self._database.rows(_MODELS)}
        detectors = await asyncio.to_thread(compared, rows, models, step)
        return Drift(step, percent / 100.0, detectors)


def chosen_step(span_s: int) -> int:
    """The coarsest cut of which the span holds ten blocks; a minute where none does.

    >>> chosen_step(3 * 86_400), chosen_step(500)
    (3600, 60)
    """
    return next((step for step in STEPS_S if span_s >= 10 * step), STEPS_S[-1])


def compared(rows: Iterable[Any], models: dict[int, tuple[str, str]], step_s: int) -> list[Detector]:
    """Each model version's blocks. rows : model number, UTC ns, raw score, probability"""
    table = np.array([(row[0], row[1], row[2], row[3]) for row in rows], dtype=object).reshape(-1, 4)
    numbers = table[:, 0].astype(np.int64)
    blocks = table[:, 1].astype(np.int64) // (step_s * NS_PER_S)
    raw, probability = table[:, 2].astype(np.float64), table[:, 3].astype(np.float64)
    found = []
    for number in np.unique(numbers):
        mine = numbers == number
        detector, version = models.get(int(number), (str(number), ""))
        found.append(_detector(detector, version, blocks[mine], raw[mine], probability[mine], step_s))
    return sorted(found, key=lambda each: (each.detector, each.at[-1]))


def _detector(detector: str, version: str, blocks: I8, raw: F8, probability: F8, step_s: int) -> Detector:
    """Stability indices against the first block that has enough rows."""
    names = np.unique(blocks)
    rows = [int(np.count_nonzero(blocks == name)) for name in names]
    begun = next((name for name, count in zip(names, rows, strict=True) if count >= LEAST), None)
    psi: list[float | None] = [None] * len(names)
    if begun is not None:
        edges, shares = drift.reference(raw[blocks == begun])
        psi = [
            drift.stability_index(drift.count(raw[blocks == name], edges), shares) if count >= LEAST else None
            for name, count in zip(names, rows, strict=True)
        ]
    newest = next((value for value in reversed(psi) if value is not None), 0.0)
    state: State = "bad" if newest >= drift.STRONG else "warn" if newest >= drift.MODERATE else "good"
    ends = [int(name + 1) * step_s * NS_PER_S // NS_PER_MS for name in names]
    return Detector(detector, version, ends, psi, [_mean(probability[blocks == name]) for name in names], rows, state)


def _mean(values: F8) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
