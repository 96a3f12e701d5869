"""The case stage's process: alerts and commands in, cases, answers and suppressions out, each exactly once.

Records as they were read become alerts and commands for the desk; what is neither is answered, or refused.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from streams import members
from streams.cases.case_manager import CaseManager, Output
from streams.event_stage.process import EventStage
from streams.event_stage.records import EventStageTotals, Keyed, Outcome, Record
from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.message import UNREADABLE
from tapewatch.contract.messages import Alert, CaseCommand
from tapewatch.errors import ContractError
from tapewatch.market_log.dead_letters import CASES
from tapewatch.market_log.registry import Registry
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.runtime.monitoring import Monitor, counters
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary
from tapewatch.settings.delivery import CaseSettings

_ID = re.compile("[0-9a-f]{32}")


class _CommandId(msgspec.Struct):
    """What an unreadable command may still say."""

    id: str


class CaseProcessor:
    """A desk behind the contract's check. canaries : what the ids of instruments begin with that make no case"""

    def __init__(self, settings: CaseSettings, registry: Registry, canaries: tuple[str, ...] = ()) -> None:
        self._registry, self._canaries = registry, canaries
        self.desk = CaseManager(settings, registry.instruments)

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return len(self.desk.shelf.cases)

    def take(self, record: Record) -> list[Output]:
        """What follows from a record; ContractError for what is neither alert nor command."""
        if record.place[0] == topics.ALERTS:
            alert = messages.decode(Alert, record.value)
            if is_canary(self._canaries, alert.instrument):
                return []
            # Reads on in the registry where the instrument is not known yet.
            self._registry.known(alert.instrument)
            return self.desk.take(alert)
        return self._command(record)

    def _command(self, record: Record) -> list[Output]:
        """What follows from a command; one that cannot be read is refused under its id, where it has one."""
        try:
            command = messages.decode(CaseCommand, record.value)
        except ContractError as error:
            found = _id_of(record.value)
            if not found:
                raise
            at = to_rfc3339(record.appended)
            return self.desk.refuse(found, f"this is no command: {error}"[:500], at)
        return self.desk.take(command)


def _id_of(value: bytes) -> str:
    """The id that an unreadable command bears; empty where there is none."""
    try:
        found = msgspec.json.decode(value, type=_CommandId).id
    except UNREADABLE:
        return ""
    return found if _ID.fullmatch(found) else ""


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
