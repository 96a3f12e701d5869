"""Cases that follow from a tape's alerts while two people work on them by a fixed script; and how much each weighs."""

from typing import Any, cast

import msgspec

from streams.cases import risk
from streams.cases.process import CaseProcessor
from streams.engine.task import OutputRecord
from streams.event_stage.records import Record
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, CaseAlert, CaseCommand, Suppression
from tapewatch.errors import ContractError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings.delivery import CaseSettings
from tests.golden.engine import Row, letter
from tests.golden.tape import Tape

RULE = f"{7:032x}"
STEPS: tuple[tuple[int, str, str, dict[str, Any]], ...] = (
    (1, "assign", "ann", {"owner": "ann"}),
    (1, "review", "ann", {"expected": 0}),
    (2, "review", "ann", {}),
    (3, "close", "ann", {"disposition": "true_positive"}),
    (3, "approve", "Ann ", {}),
    (3, "approve", "bob", {}),
    (9, "escalate", "ann", {}),
    (9, "close", "bob", {"disposition": "false_positive"}),
    (9, "reject", "ann", {}),
    (12, "close", "ann", {"disposition": "false_positive"}),
    (12, "approve", "bob", {}),
    (19, "note", "ann", {}),
    (20, "reopen", "bob", {}),
    (20, "close", "ann", {"disposition": "reported"}),
    (20, "approve", "bob", {}),
    (22, "reopen", "bob", {}),
    (24, "note", "ann", {"why": " "}),
    (40, "suppress", "bob", {}),
    (40, "approve_suppression", "bob", {"subject": RULE}),
    (40, "approve_suppression", "ann", {"subject": RULE}),
    (60, "end_suppression", "ann", {"subject": RULE}),
)
"""After which alert, who does what, with the case that the alert lies in."""
BROKEN = (b"no message", b'{"version": "2.0", "id": "%032x"}' % 99, b"{}")


class Work:
    """A desk, and what came of each record."""

    def __init__(self, tape: Tape) -> None:
        self._intake = CaseProcessor(CaseSettings(), cast(Any, FixedRegistry(tape.instruments)))
        self.said: list[Any] = []
        self.letters: list[Row] = []
        self._offset = 0

    def take(self, topic: str, value: bytes, appended: int) -> None:
        """A record of alerts or commands."""
        place, self._offset = (topic, 0), self._offset + 1
        try:
            self.said += self._intake.take(Record(place, self._offset, value, appended))
        except ContractError as error:
            origin = (*place, self._offset)
            dead = dead_letters.of_record(origin, error.reason, error.message, value, dead_letters.CASES)
            self.letters.append(letter({name: text.decode() for name, text in dead.headers}, value))

    def tell(self, number: int, alert: Alert) -> None:
        """The script's step, at the alert's time."""
        _, action, who, fields = STEPS[number]
        case = self._intake.desk.shelf.of_alert(alert.id)
        command = CaseCommand(
            id=f"{number:032x}",
            case="" if "suppression" in action or case is None else case.id,
            action=cast(Any, action),
            who=who,
            at=alert.updated,
            **{"why": "as the script says", "suppression": _rule(alert) if action == "suppress" else None} | fields,
        )
        self.take(topics.CASE_COMMANDS, messages.encode(command), 0)

    def weights(self) -> list[Row]:
        """Every case as it is in the end: its risk, and what each alert adds to it."""
        return [
            {
                "case": case.id, "neighbourhood": case.neighbourhood, "state": case.state,
                "disposition": case.disposition, "risk": case.risk, "priority": case.priority,
                "alerts": [_weight(alert) for alert in case.alerts],
            }
            for case in self._intake.desk.shelf.cases.values()
        ]  # fmt: skip


def _rule(alert: Alert) -> Suppression:
    """A rule against layering for a minute from an alert on: what stands behind it is told by weaker scenarios then."""
    until = to_rfc3339(from_rfc3339(alert.updated) + 60 * NANOS)
    return Suppression(
        id=RULE, state="proposed", scenario="layering", owner="bob", reason="index event", created=alert.updated,
        starts=alert.updated, expires=until,
    )  # fmt: skip


def _weight(alert: CaseAlert) -> Row:
    quiet = {"quiet by": alert.inhibition} if alert.inhibited else {}
    told = {"scenario": alert.scenario, "instrument": alert.instrument, "severity": alert.severity}
    return told | {"weight": risk.weight(alert)} | quiet


def work(tape: Tape, records: list[OutputRecord]) -> tuple[dict[str, list[Row]], list[OutputRecord]]:
    """What the desk says of the engine's alerts, by topic, and the records that it writes."""
    done = Work(tape)
    alerts = [record.value for record in records if record.topic == topics.ALERTS]
    for number, value in enumerate(alerts):
        alert = messages.decode(Alert, value)
        done.take(topics.ALERTS, value, 0)
        for step, (after, *_) in enumerate(STEPS):
            if after == number:
                done.tell(step, alert)
    # Again, as after a rebalance: nothing follows. Then what nobody can read.
    done.take(topics.ALERTS, alerts[0], 0)
    done.tell(0, messages.decode(Alert, alerts[1]))
    for topic in (topics.ALERTS, topics.CASE_COMMANDS):
        for value in BROKEN:
            done.take(topic, value, NANOS)
    found: dict[str, list[Row]] = {topic: [] for topic in (topics.CASES, topics.CASE_ANSWERS, topics.SUPPRESSIONS)}
    for message in done.said:
        found[message.TOPIC].append(msgspec.to_builtins(message))
    found |= {"cases/risk": done.weights(), "cases/dead letters": done.letters}
    return found, [OutputRecord(message.TOPIC, messages.encode(message)) for message in done.said]
