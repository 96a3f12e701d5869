"""The rules of judging canaries without broker or clock: what was injected and what was seen in, verdicts out.

The whole state is in the messages that came out and went in: `recall` of them makes the same ledger. A canary is judged
once; one that was missed is told once more where it is found after all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.canaries import Canary
from tapewatch.contract.messages import Alert
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings.canaries import STAGES, Stage

LATE_NS = 3600 * NANOS
"""So long after it was due a missed canary may still be found."""


@dataclass(slots=True)
class Sighting:
    """An alert of a canary instrument. topic, partition : of the market row that decided it

    decided_ns : log time of its decision; recorded_ns : of its record, by the broker's clock
    seen_ns : stage to the time at which we first could read it there
    timed : whether we were looking before it was there, so that `seen_ns` tells how long it took
    """

    id: str
    scenario: str
    instrument: str
    topic: str
    partition: int
    decided_ns: int
    recorded_ns: int
    timed: bool
    seen_ns: dict[Stage, int] = field(default_factory=dict)

    @property
    def readable_ns(self) -> int:
        """Since when it could be read, as far as we know."""
        return self.seen_ns["topic"] if self.timed else self.recorded_ns


class Ledger:
    """Canaries by id, alerts of canary instruments, and how many were missed in a row.

    stages : where an alert has to be readable
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages: tuple[Stage, ...] = tuple(each for each in STAGES if each in stages)
        self.canaries: dict[str, Canary] = {}
        self._sightings: dict[str, Sighting] = {}
        self.in_a_row = 0

    def recall(self, canary: Canary) -> None:
        """Take in a message of the topic, our own ones too, in their order."""
        known = self.canaries.get(canary.id)
        if known is not None and known.revision >= canary.revision:
            return
        self.canaries[canary.id] = canary
        if canary.revision == 1:
            self.in_a_row = self.in_a_row + 1 if canary.state == "missed" else 0

    def sight(self, alert: Alert, recorded_ns: int, now_ns: int, timed: bool) -> None:
        """An alert of a canary instrument was read from the topic. Later revisions of it tell nothing more."""
        if alert.id not in self._sightings:
            decided, source = from_rfc3339(alert.decided), alert.provenance
            place = (alert.instrument, source.topic, source.partition)
            found = Sighting(alert.id, alert.scenario, *place, decided, recorded_ns, timed)
            found.seen_ns["topic"] = now_ns
            self._sightings[alert.id] = found

    def stored(self, stage: Stage, ids: Iterable[str], now_ns: int) -> None:
        """These alerts can be read in a store."""
        for each in ids:
            self._sightings[each].seen_ns.setdefault(stage, now_ns)

    def awaited(self, stage: Stage) -> list[str]:
        """Alerts of canaries that are not judged yet and were not seen in a store."""
        found = (self._alert_of(each) for each in self._open())
        return [each.id for each in found if each is not None and stage not in each.seen_ns]

    def verdicts(self, now_ns: int) -> list[Canary]:
        """What can be judged at this time. `recall` them once they are written.

        now_ns : all alerts recorded up to now have been read
        """
        found = []
        in_a_row = self.in_a_row
        for canary in sorted(self._open(), key=lambda each: (each.start, each.id)):
            verdict = self._verdict(canary, now_ns, in_a_row)
            if verdict is not None:
                found.append(verdict)
                in_a_row = verdict.in_a_row if verdict.state == "missed" else 0
        found += [late for canary in self._missed(now_ns) if (late := self._late(canary, now_ns)) is not None]
        return found

    def forget(self, before_ns: int) -> None:
        """Let go of what began earlier and is judged, and of alerts as old."""
        self.canaries = {
            key: each
            for key, each in self.canaries.items()
            if each.state == "injected" or from_rfc3339(each.start) >= before_ns
        }
        self._sightings = {key: each for key, each in self._sightings.items() if each.decided_ns >= before_ns}

    def oldest_open_ns(self, otherwise_ns: int) -> int:
        """From where alerts have to be read after a start: the first canary not judged yet, or missed lately."""
        awaited = [*self._open(), *self._missed(otherwise_ns)]
        return min((from_rfc3339(each.start) for each in awaited), default=otherwise_ns)

    def _open(self) -> list[Canary]:
        return [each for each in self.canaries.values() if each.state == "injected"]

    def _missed(self, now_ns: int) -> list[Canary]:
        """Missed ones that may still be found."""
        return [
            each
            for each in self.canaries.values()
            if each.state == "missed" and from_rfc3339(each.due) > now_ns - LATE_NS
        ]

    def _alert_of(self, canary: Canary) -> Sighting | None:
        """The first alert of the canary's scenario that was decided after it began, and before its next one could."""
        start, topic = from_rfc3339(canary.start), topics.market(canary.feed)
        end = from_rfc3339(canary.due) + LATE_NS
        mine = [
            each
            for each in self._sightings.values()
            if each.instrument == canary.instrument
            and each.scenario == canary.scenario
            and (each.topic, each.partition) == (topic, canary.partition)
            and start < each.decided_ns <= end
        ]
        return min(mine, key=lambda each: each.decided_ns, default=None)

    def _verdict(self, canary: Canary, now_ns: int, in_a_row: int) -> Canary | None:
        """The canary as judged; None while it may yet be found, or its alert may yet reach a store."""
        due, alert = from_rfc3339(canary.due), self._alert_of(canary)
        in_time = alert is not None and alert.readable_ns <= due
        absent = self._absent(alert)
        if now_ns <= due and (not in_time or absent):
            return None
        if alert is None or not in_time:
            return msgspec.structs.replace(
                canary, revision=1, state="missed", absent=self.stages, in_a_row=in_a_row + 1, at=to_rfc3339(now_ns)
            )
        return self._found(canary, alert, now_ns, revision=1, state="found", absent=absent, in_a_row=in_a_row)

    def _late(self, canary: Canary, now_ns: int) -> Canary | None:
        """A missed canary that was found after all."""
        alert = self._alert_of(canary)
        if alert is None:
            return None
        return self._found(canary, alert, now_ns, revision=2, state="late", absent=(), in_a_row=canary.in_a_row)

    def _found(self, canary: Canary, alert: Sighting, now_ns: int, **verdict: object) -> Canary:
        return msgspec.structs.replace(
            canary,
            alert=alert.id,
            decision_s=_seconds(alert.decided_ns - from_rfc3339(canary.start)),
            stages=self._timed(alert),
            at=to_rfc3339(now_ns),
            **verdict,
        )

    def _absent(self, alert: Sighting | None) -> tuple[Stage, ...]:
        """Where an alert was not seen. One that was there before we looked was seen everywhere, as far as we know."""
        if alert is None:
            return self.stages
        return tuple(stage for stage in self.stages if stage not in alert.seen_ns) if alert.timed else ()

    def _timed(self, alert: Sighting) -> Mapping[Stage, float | None]:
        """Seconds from the decision to each stage."""
        if not alert.timed:
            return dict.fromkeys(self.stages, None)
        return {
            stage: _seconds(alert.seen_ns[stage] - alert.decided_ns) if stage in alert.seen_ns else None
            for stage in self.stages
        }


def _seconds(ns: int) -> float:
    return round(ns / NANOS, 6)
