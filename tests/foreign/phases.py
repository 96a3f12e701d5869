"""Which instruments were open, halted or unwatched, told again from the status rows (docs/features.md).

A halted, closed or unwatched instrument has no second. Windows begin anew at a gap, and at the end of a halt or of a
closed session; VWAP, high and low begin anew with a session.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tests.foreign.scratch import Scratch, table

OPEN, CLOSE, AUCTION, HALT, RESUME, HEARTBEAT, GAP, RESYNC, CONTROL = range(1, 10)
ROW = 0
"""A market row, as an event among the kinds of status rows."""
EVERY = "*"

Event = tuple[int, int, int]
"""Place, second, kind."""


@dataclass
class PhaseChanges:
    """Changes of phase (with whether seconds are closed from there on), new beginnings of windows, new sessions."""

    phases: list[tuple[int, int, int, int]] = field(default_factory=list)
    restarts: list[tuple[int, int, int, int]] = field(default_factory=list)
    sessions: list[tuple[int, int, int, int]] = field(default_factory=list)


def follow(instrument: int, events: Iterable[Event], told: PhaseChanges) -> None:
    """One instrument's events in the order of the log."""
    phase, sessions = "before", 0
    for place, second, kind in sorted(events):
        was = phase
        if kind == GAP:
            told.restarts.append((instrument, place, second, 1))
            phase = "unwatched" if phase == "open" else phase
        else:
            if phase == "unwatched":
                phase = "open"
                # A market row that ends a gap is itself the first of the new windows.
                if kind != ROW:
                    told.restarts.append((instrument, place, second, 1))
            if kind == ROW:
                phase = "open" if phase == "before" else phase
            elif kind == HALT:
                phase = "halted"
            elif kind == CLOSE:
                phase = "closed"
            elif kind in (OPEN, RESUME, AUCTION):
                if phase in ("before", "closed"):
                    sessions += 1
                    told.sessions.append((instrument, place, second, sessions))
                if phase in ("halted", "closed"):
                    told.restarts.append((instrument, place, second, 1))
                phase = "auction" if kind == AUCTION else "open"
        if phase != was:
            told.phases.append((instrument, place, second, int(phase in ("open", "auction"))))


def write(scratch: Scratch, partition: int) -> None:
    """Make the tables `phases`, `restarts` and `sessions` of a partition."""
    sql = scratch.sql
    sql.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE active AS SELECT instrument, min_by(second, place) AS second, min(place) AS place
        FROM rows WHERE partition = {partition} AND kind <> 0 AND NOT sealed GROUP BY instrument;
        CREATE OR REPLACE TEMP TABLE events AS
        SELECT a.instrument, s.place, s.second, s.kind FROM statuses s
        JOIN active a ON s.instrument IN (a.instrument, {scratch.number(EVERY)})
        WHERE s.partition = {partition} AND s.kind NOT IN ({HEARTBEAT}, {CONTROL});
        """
    )
    found = sql.execute(
        f"""
        SELECT instrument, place, second, kind FROM events
        UNION SELECT instrument, place, second, {ROW} FROM active
        UNION SELECT g.instrument, r.place, r.second, {ROW} FROM (SELECT * FROM events WHERE kind = {GAP}) g
        ASOF JOIN (SELECT * FROM rows WHERE partition = {partition} AND kind <> 0 AND NOT sealed) r
            ON g.instrument = r.instrument AND g.place < r.place
        """
    ).fetchall()
    events: defaultdict[int, list[Event]] = defaultdict(list)
    for instrument, *event in found:
        events[instrument].append((event[0], event[1], event[2]))
    told = PhaseChanges()
    for instrument, mine in events.items():
        follow(instrument, mine, told)
    for name, rows in (("phases", told.phases), ("restarts", told.restarts), ("sessions", told.sessions)):
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        given = table(
            dict(zip(("instrument", "place", "second", "value"), map(np.ascontiguousarray, columns), strict=True))
        )
        # No status is about a time before the instrument's first row.
        scratch.insert(
            f"""
            CREATE OR REPLACE TEMP TABLE {name} AS
            SELECT g.instrument::INT AS instrument, g.place, greatest(g.second, a.second) AS second, value
            FROM given g JOIN active a ON a.instrument = g.instrument
            """,
            given,
        )
