"""The case stage's process: alerts and commands in, cases, answers and suppressions out, each exactly once."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from streams import members
from streams.cases.decoder import CaseProcessor
from streams.event_stage.process import EventStage
from streams.event_stage.records import EventStageTotals, Keyed, Outcome, Record
from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.errors import ContractError
from tapewatch.market_log.dead_letters import CASES
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.runtime.monitoring import Monitor, counters
from tapewatch.settings import Settings

log = logs.get("cases")

INPUTS = (topics.ALERTS, topics.CASE_COMMANDS)
OUTPUTS: tuple[type[messages.Case | messages.Suppression | messages.CaseAnswer], ...] = (
    messages.Case,
    messages.Suppression,
    messages.CaseAnswer,
)


@dataclass(slots=True)
class CaseTotals(EventStageTotals):
    """What this process has done."""

    alerts: int = 0
    commands: int = 0
    cases: int = 0
    answers: int = 0
    suppressions: int = 0


COUNTS = counters(
    "cases",
    alerts="Alerts taken.",
    commands="Commands taken.",
    cases="Case revisions written.",
    answers="Answers to commands written.",
    suppressions="Suppressions written.",
)


class CaseWork:
    """The desk's part: its state lies in the topics that it writes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.registry = Registry(settings)
        self._intake = CaseProcessor(settings.cases, self.registry, settings.notify.canaries)
        self.totals = CaseTotals()

    def recall(self, _: Mapping[members.Key, int]) -> None:
        """Read cases, suppressions and answers to their end."""
        self.registry.refresh()
        self._intake = CaseProcessor(self._settings.cases, self.registry, self._settings.notify.canaries)
        for kind in OUTPUTS:
            kafka.read_all(self._settings, kind.TOPIC, partial(self._recalled, kind))
        log.info("cases read", cases=self._intake.cases)

    def _recalled(self, kind: Any, message: Any) -> None:
        try:
            self._intake.desk.recall(messages.decode(kind, message.value() or b""))
        except ContractError as error:
            # Nothing of ours: another program wrote into the topic.
            log.warning("no message", topic=message.topic(), offset=message.offset(), error=str(error))

    def begin(self) -> None:
        """Registrations may have come since."""
        self.registry.stale = True

    def take(self, record: Record) -> list[Keyed]:
        """What follows from an alert or a command, under the id of a case or rule, or of an answer's command."""
        return [
            ((each.command if isinstance(each, messages.CaseAnswer) else each.id).encode(), each)
            for each in self._intake.take(record)
        ]

    def count(self, record: Record, outcome: Outcome) -> None:
        """Into the totals."""
        self.totals.alerts += record.place[0] == topics.ALERTS
        self.totals.commands += record.place[0] == topics.CASE_COMMANDS
        for _, message in outcome.said:
            self.totals.cases += isinstance(message, messages.Case)
            self.totals.answers += isinstance(message, messages.CaseAnswer)
            self.totals.suppressions += isinstance(message, messages.Suppression)


class CaseStage:
    """The one process of the case stage: a second one of the same group takes over from the first."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self._settings = settings
        self._work = CaseWork(settings)
        self.totals = self._work.totals
        self.monitor = Monitor("cases", settings)
        self.monitor.show_counts(COUNTS, self.totals)
        self._stage = EventStage(settings, CASES, settings.cases.group, INPUTS, self._work, self.monitor, clock)

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        specs = [*topics.shared_topics(self._settings.topics), *topics.case_topics(self._settings.topics)]
        try:
            self._stage.run(stop, until_idle_s, specs)
        finally:
            self._work.registry.close()
