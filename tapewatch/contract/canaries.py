"""Canaries: manipulation that we inject ourselves to see whether it is found; how one fared is a message.

Nobody but the operator is told of them: `tapewatch.settings.canaries.is_canary` is what every reader of alerts, signals
and bars asks.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from tapewatch.clock import NANOS
from tapewatch.contract.message import Count, Id, Message, Time, stable_id
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings.canaries import STAGES, Stage

FEED = "canary"

CanaryState = Literal["injected", "found", "late", "missed"]


class Canary(Message, frozen=True, kw_only=True):
    """An injected manipulation and what became of it. Later revisions of an id replace earlier ones."""

    TOPIC: ClassVar[str] = "canaries"

    id: Annotated[Id, Meta(description="canary_id(feed, scenario, instrument, start)")]
    revision: Annotated[Count, Meta(description="0 as injected, 1 as judged, 2 where it was found after all")] = 0
    state: Annotated[
        CanaryState,
        Meta(description="injected: not judged yet; found: alert on the topic in time; late: after it; missed: none"),
    ]
    feed: Annotated[str, Meta(description="feed that it was injected into")]
    partition: Annotated[Count, Meta(description="partition of the feed's topic")]
    scenario: Annotated[str, Meta(description="what was injected, and which scenario has to fire")]
    instrument: Annotated[str, Meta(description="canary instrument")]
    start: Annotated[Time, Meta(description="ts_recv of the first injected effect")]
    strength: Annotated[float, Meta(description="in the scenario's own unit, as the simulator's labels have it")]
    due: Annotated[Time, Meta(description="missed where no alert is readable by then")]
    every_s: Annotated[float, Meta(gt=0, description="the next one is injected so long after this one, s")]
    alert: Annotated[str, Meta(description="id of the alert that found it; empty where none did")] = ""
    decision_s: Annotated[
        float | None, Meta(description="market time from start to the alert's decision, s; null where not found")
    ] = None
    stages: Annotated[
        dict[Stage, float | None],
        Meta(description="seconds from the decision's log time until readable; null where not in time or not timed"),
    ] = msgspec.field(default_factory=dict)
    absent: Annotated[
        tuple[Stage, ...], Meta(description="where the alert was not readable when the canary was judged")
    ] = ()
    in_a_row: Annotated[
        Count, Meta(description="canaries missed in a row up to and with this one, or right before")
    ] = 0
    at: Annotated[Time, Meta(description="when this revision was made")]


def canary_id(feed: str, scenario: str, instrument: str, start_ns: int) -> str:
    """The id of an injection. start_ns : UTC nanoseconds"""
    return stable_id("canary", feed, scenario, instrument, start_ns)


class Figures(msgspec.Struct, frozen=True):
    """How canaries of a stretch of time fared.

    recall : found in time of those judged, None before the first; decision_s : median, market time
    stages : seconds from decision to readable, by stage: median and highest
    """

    injected: int
    found: int
    late: int
    missed: int
    recall: float | None
    decision_s: float | None
    stages: dict[str, tuple[float, float]]


def figures(canaries: Iterable[Canary]) -> Figures:
    """Count and time canaries, each at its newest revision."""
    known = list(canaries)
    count = {state: sum(each.state == state for each in known) for state in ("found", "late", "missed")}
    judged = sum(count.values())
    decided = [each.decision_s for each in known if each.state == "found" and each.decision_s is not None]
    timed: dict[str, tuple[float, float]] = {}
    for stage in STAGES:
        seconds = [taken for each in known if (taken := each.stages.get(stage)) is not None]
        if seconds:
            timed[stage] = (median(seconds), max(seconds))
    return Figures(
        injected=len(known),
        found=count["found"],
        late=count["late"],
        missed=count["missed"],
        recall=count["found"] / judged if judged else None,
        decision_s=median(decided) if decided else None,
        stages=timed,
    )


def median(values: Sequence[float]) -> float:
    """The middle value, the upper one of two."""
    return sorted(values)[len(values) // 2]


def since(canaries: Iterable[Canary], begin_ns: int) -> list[Canary]:
    """Those injected at or after a time, UTC nanoseconds."""
    return [each for each in canaries if from_rfc3339(each.start) >= begin_ns]


def silent_s(newest: Canary, now_ns: int) -> float:
    """Seconds that the next canary is overdue after the newest one; 0 where it is not."""
    overdue = (now_ns - from_rfc3339(newest.start)) / NANOS - 2.0 * newest.every_s
    return max(0.0, overdue)
