"""Alerts, commands and a desk of cases for tests: times are seconds after one moment."""

import itertools
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from streams.cases.case_manager import CaseManager, Output
from tapewatch.clock import NANOS
from tapewatch.contract import messages
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, Case, CaseAlert, CaseAnswer, CaseCommand, Provenance, Suppression
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings.delivery import CaseSettings

START = 1_780_000_000
NUMBERS = itertools.count()


def at(seconds: float) -> str:
    return to_rfc3339(int((START + seconds) * NANOS))


def alert(
    scenario: str = "pump_and_dump",
    instrument: str = "2330.XTAI",
    begin: float = 0.0,
    severity: str = "high",
    revision: int = 0,
    **fields: Any,
) -> Alert:
    """An alert whose episode began at `begin` and was decided 10 s later; each revision comes a minute after."""
    onset = int((START + begin) * NANOS)
    body = {
        "id": messages.alert_id(scenario, instrument, onset),
        "scenario": scenario,
        "instrument": instrument,
        "onset": to_rfc3339(onset),
        "decided": at(begin + 10),
        "updated": at(begin + 10 + 60 * revision),
        "state": "open" if revision == 0 else "update",
        "revision": revision,
        "severity": severity,
        "score": 80.0,
        "sentence": "s",
        "data_tier": "trades",
        "provenance": Provenance("market.t", 0, 1, 2, 2, "c", {}, "b"),
    }
    return msgspec.convert(body | fields, Alert)


def command(action: str, case: Case | str = "", who: str = "ann", seconds: float = 100.0, **fields: Any) -> CaseCommand:
    number = next(NUMBERS)
    case = case.id if isinstance(case, Case) else case
    body = {"id": f"{number:032x}", "action": action, "case": case, "who": who, "at": at(seconds), "why": "because"}
    return msgspec.convert(body | fields, CaseCommand)


def rule(
    scenario: str = "ramping", owner: str = "ann", starts: float = 0.0, expires: float = 1000.0, **fields: Any
) -> Suppression:
    body = {
        "id": messages.stable_id(owner, scenario, next(NUMBERS)),
        "state": "proposed",
        "scenario": scenario,
        "owner": owner,
        "reason": "index event",
        "created": at(starts),
        "starts": at(starts),
        "expires": at(expires),
    }
    return msgspec.convert(body | fields, Suppression)


def of(case: Case, one: Alert) -> CaseAlert:
    """What a case keeps of an alert."""
    return next(each for each in case.alerts if each.id == one.id)


class Scene:
    """A desk, and everything that came out of it."""

    def __init__(self, reference: Iterable[Instrument] = (), **settings: Any) -> None:
        self.reference = {each.id: each for each in reference}
        self.settings = CaseSettings(**settings)
        self.desk = CaseManager(self.settings, self.reference)
        self.said: list[Output] = []

    def take(self, message: Alert | CaseCommand) -> list[Output]:
        found = self.desk.take(message)
        self.said += found
        return found

    def joined(self, one: Alert) -> Case:
        """The case after an alert."""
        [case] = self.take(one)
        assert isinstance(case, Case)
        return case

    def alert(self, scenario: str = "pump_and_dump", **fields: Any) -> Case:
        """The case after an alert of these fields."""
        return self.joined(alert(scenario, **fields))

    def tell(self, action: str, case: Case | str = "", **fields: Any) -> CaseAnswer:
        """The answer to a command."""
        answer = self.take(command(action, case, **fields))[-1]
        assert isinstance(answer, CaseAnswer)
        return answer

    def case(self, case: Case) -> Case:
        return self.desk.shelf.cases[case.id]

    def closed(self, case: Case, disposition: str = "false_positive", seconds: float = 200.0) -> Case:
        """The case, closed by two people."""
        assert self.tell("close", case, disposition=disposition, seconds=seconds).accepted
        assert self.tell("approve", case, who="bob", seconds=seconds).accepted
        return self.case(case)

    def suppressed(self, **fields: Any) -> Suppression:
        """A rule in force."""
        proposed = rule(**fields)
        assert self.tell("suppress", suppression=proposed).accepted
        assert self.tell("approve_suppression", subject=proposed.id, who="bob").accepted
        return self.desk.rules[proposed.id]

    def restored(self) -> CaseManager:
        """A desk made of what came out."""
        desk = CaseManager(self.settings, self.reference)
        for each in self.said:
            desk.recall(each)
        return desk


def coin(name: str, currency: str, kind: Literal["spot", "perpetual"] = "spot") -> Instrument:
    return Instrument(id=name, currency=currency, kind=kind)
