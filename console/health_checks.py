"""What is good, what wants a look, what is bad; why, and what to do. A function of what was seen.

Texts are templates with {names}, so that the pages can say them in the reader's language.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

State = Literal["good", "warn", "bad"]
SILENT_S, STILL_S = 60, 60
"""A feed without a record, and a reader that does not move though it has work, for so long."""
BEHIND_WARN = 2_000
"""Records behind from which a reader is late."""
REFUSED_WARN, REFUSED_BAD = 0.001, 0.05
"""Shares of refused rows in the last five minutes."""


class Check(msgspec.Struct, frozen=True):
    """One check. reason : a sentence with {names}; values : of the names; next : what to do, empty where nothing"""

    name: str
    state: State
    reason: str
    values: dict[str, str | float]
    next: str = ""


class CanarySnapshot(NamedTuple):
    """found, judged : canaries of the last hour; in_a_row : missed up to the newest verdict

    absent : stores that the newest found one did not reach; overdue_s : since the next one ought to have been injected
    unjudged : due, and nobody has judged them
    """

    found: int
    judged: int
    in_a_row: int = 0
    absent: tuple[str, ...] = ()
    overdue_s: float = 0.0
    unjudged: int = 0


class HealthSnapshot(NamedTuple):
    """What the checks rest on.

    lag : records behind, by reader; moved_s : seconds since a reader moved, None for never; silent : feeds without a
    record for SILENT_S, with the seconds
    refused, rows : of the last five minutes; dead, dead_fresh : dead letters, and those of the last half hour
    unwatched_s : instrument-seconds not watched on the newest day of the log; running : of the paper broker
    idle_groups : consumer groups with work and no member; canaries : None where there were none in a day
    """

    kafka_problem: str = ""
    database_problem: str = ""
    lag: Mapping[str, int] = {}
    moved_s: Mapping[str, float | None] = {}
    silent: Mapping[str, float] = {}
    feeds: int = 0
    refused: int = 0
    rows: int = 0
    dead: int = 0
    dead_fresh: int = 0
    unwatched_s: int = 0
    running: str = ""
    idle_groups: tuple[str, ...] = ()
    canaries: CanarySnapshot | None = None


def judged(seen: HealthSnapshot) -> list[Check]:
    """All checks, in the order of the page."""
    return [
        *_servers(seen),
        *_readers(seen),
        _feeds(seen),
        _refusals(seen),
        _letters(seen),
        _coverage(seen),
        *_canaries(seen),
        *_rest(seen),
    ]


def _servers(seen: HealthSnapshot) -> Iterator[Check]:
    start = "Run `tapewatch status`; start the server, everything goes on by itself."
    for name, problem in (("Kafka", seen.kafka_problem), ("PostgreSQL", seen.database_problem)):
        if problem:
            yield Check(name, "bad", "does not answer: {problem}", {"problem": problem}, start)
        else:
            yield Check(name, "good", "answers", {})


START = {"engine": "tapewatch run engine", "paper broker": "tapewatch run paper", "sink": "tapewatch sink postgres"}


def _readers(seen: HealthSnapshot) -> Iterator[Check]:
    for name, command in START.items():
        lag, moved = seen.lag.get(name), seen.moved_s.get(name)
        if lag is None:
            if name != "paper broker":
                yield Check(name, "warn", "has done nothing in the last half hour", {}, f"Run `{command}`.")
        elif lag and (moved is None or moved > STILL_S):
            yield Check(name, "bad", "stands still with {lag} records to do", {"lag": lag}, f"Run `{command}`.")
        elif lag > BEHIND_WARN:
            yield Check(
                name,
                "warn",
                "is {lag} records behind",
                {"lag": lag},
                "Watch whether the lag falls; if not, add a process or faster disks.",
            )
        else:
            yield Check(name, "good", "is up to date: {lag} records to do", {"lag": lag})


def _feeds(seen: HealthSnapshot) -> Check:
    if not seen.silent:
        return Check("feeds", "good", "{count} partitions of feeds are written to", {"count": seen.feeds})
    worst = max(seen.silent, key=lambda name: seen.silent[name])
    values: dict[str, str | float] = {"feed": worst, "seconds": round(seen.silent[worst]), "count": len(seen.silent)}
    said = "{count} feeds are silent; {feed} for {seconds} s"
    return Check("feeds", "warn", said, values, "Look at the producer's log. A closed market is silent too.")


def _refusals(seen: HealthSnapshot) -> Check:
    share = seen.refused / max(seen.rows + seen.refused, 1)
    state: State = "bad" if share > REFUSED_BAD else "warn" if share > REFUSED_WARN else "good"
    values: dict[str, str | float] = {"count": seen.refused, "rows": seen.rows}
    hint = "" if state == "good" else "See the reasons below, and the records in the dead-letter topic of the feed."
    return Check("refusals", state, "{count} of {rows} rows refused in five minutes", values, hint)


def _letters(seen: HealthSnapshot) -> Check:
    values: dict[str, str | float] = {"count": seen.dead, "fresh": seen.dead_fresh}
    said = "{count} dead letters, {fresh} of them in the last half hour"
    if not seen.dead_fresh:
        return Check("dead letters", "good", said, values)
    return Check(
        "dead letters",
        "warn",
        said,
        values,
        "Read them with `tapewatch dlq show`; the reason says whose fault it is.",
    )


def _coverage(seen: HealthSnapshot) -> Check:
    values: dict[str, str | float] = {"seconds": seen.unwatched_s}
    said = "{seconds} instrument-seconds of the last day were not watched"
    if not seen.unwatched_s:
        return Check("coverage", "good", said, values)
    return Check("coverage", "warn", said, values, "The page Coverage says which instruments, and why.")


def _canaries(seen: HealthSnapshot) -> Iterator[Check]:
    found = seen.canaries
    if found is None:
        return
    name = "canaries"
    values: dict[str, str | float] = {"found": found.found, "judged": found.judged, "count": found.in_a_row}
    said = "{found} of {judged} canaries of the last hour were found in time"
    if found.in_a_row:
        hint = "Is the engine at work, and can the alerts be read? `tapewatch tail canaries` names the partition."
        yield Check(name, "bad", "the last {count} canaries were missed", values, hint)
    elif found.unjudged:
        hint = "Run `tapewatch sink canary`."
        yield Check(name, "warn", "{count} canaries were not judged", {"count": found.unjudged}, hint)
    elif found.overdue_s:
        values = {"seconds": round(found.overdue_s)}
        yield Check(name, "warn", "none injected for {seconds} s too long", values, "Run `tapewatch produce canary`.")
    elif found.absent:
        hint = "Look at that sink: its lag, then its log."
        yield Check(
            name, "warn", "the last one's alert did not reach {stores}", {"stores": ", ".join(found.absent)}, hint
        )
    elif found.found < found.judged:
        yield Check(name, "warn", said, values, "Nothing, if you know why: the last one was found.")
    else:
        yield Check(name, "good", said, values)


def _rest(seen: HealthSnapshot) -> Iterator[Check]:
    if seen.running == "kill":
        yield Check("paper trading", "warn", "the kill switch is on", {}, "Start it again on the page Signals.")
    for name in seen.idle_groups:
        yield Check(
            "consumers",
            "warn",
            "{group} has records to read and no member",
            {"group": name},
            "Start the process that belongs to it.",
        )
