"""The rules of cases without a broker: alerts and commands go in, cases, answers and suppressions come out.

No clock but the messages' own times. What was taken before changes nothing: an alert's revision that its case has
seen, a command that was answered. The whole state is in what came out, so that `recall` of that makes the same desk.
"""

from collections.abc import Mapping

import msgspec

from streams.cases import inhibition, risk, suppressing, transitions
from streams.cases.neighbourhood import neighbourhood
from streams.cases.placing import QUIET, CaseIndex
from streams.cases.transitions import RefusedError, moment
from tapewatch.errors import ContractError
from tapewatch.instruments import Instrument, is_instrument_id
from tapewatch.messages import Alert, Case, CaseAlert, CaseAnswer, CaseCommand, CaseEvent, Suppression, stable_id
from tapewatch.reach_settings import CaseSettings

WHO = "cases"
"""Whose steps in a case's history are the stage's own."""

Output = Case | CaseAnswer | Suppression


class CaseManager:
    """Cases, suppressions, and which commands were answered.

    reference : instruments' reference data by id, as far as it is known
    """

    def __init__(self, settings: CaseSettings, reference: Mapping[str, Instrument]) -> None:
        self._settings, self._reference = settings, reference
        self.shelf = CaseIndex(settings)
        self.rules: dict[str, Suppression] = {}
        self._answered: set[bytes] = set()

    def recall(self, message: Output) -> None:
        """Take back in what came out before, in the order in which it did."""
        if isinstance(message, Case):
            self.shelf.put(message)
        elif isinstance(message, Suppression):
            self.rules[message.id] = message
        else:
            self._answered.add(bytes.fromhex(message.command))

    def take(self, message: Alert | CaseCommand) -> list[Output]:
        """What follows from a message; nothing from one that was taken before.

        ContractError for an alert whose times or instrument are none.
        """
        found = self._alert(message) if isinstance(message, Alert) else self._command(message)
        for each in found:
            self.recall(each)
        return found

    def refuse(self, command: str, reason: str, at: str) -> list[Output]:
        """The answer to what bears a command's id and is none; nothing where it was answered before."""
        if bytes.fromhex(command) in self._answered:
            return []
        answer = CaseAnswer(command=command, accepted=False, reason=reason, at=at)
        self.recall(answer)
        return [answer]

    def _alert(self, alert: Alert) -> list[Output]:
        seen = _seen(alert)
        case = self.shelf.of_alert(seen.id)
        if case is None:
            return [self._placed(self._suppressed(seen))]
        before = next(each for each in case.alerts if each.id == seen.id)
        if seen.revision <= before.revision:
            return []
        kept = before.inhibited if before.inhibition == "cooldown" else ""
        return [self._updated(case, before, self._suppressed(seen, kept, self.shelf.ceiling(case)))]

    def _suppressed(self, alert: CaseAlert, cooled: str = "", ceiling: int = -1) -> CaseAlert:
        """The alert with what keeps it quiet beside stronger ones: a rule, or a cooldown up to a severity's rank."""
        rule = next((each for each in self.rules.values() if suppressing.covers(each, alert)), None)
        if rule is not None:
            return msgspec.structs.replace(alert, inhibited=rule.id, inhibition="suppression")
        if cooled and risk.RANK[alert.severity] <= ceiling:
            return msgspec.structs.replace(alert, inhibited=cooled, inhibition="cooldown")
        return alert

    def _placed(self, alert: CaseAlert) -> Case:
        """The case that an alert joins, or the one that it opens."""
        name = neighbourhood(alert.instrument, self._reference.get(alert.instrument))
        case: Case | None
        cooled = self.shelf.cooling(alert)
        ceiling = -1 if cooled is None else self.shelf.ceiling(cooled)
        if cooled is not None and risk.RANK[alert.severity] <= ceiling:
            case, alert = cooled, self._suppressed(alert, cooled.id, ceiling)
        else:
            case = self.shelf.open_case(name, alert) or cooled
        if case is None and alert.inhibition == "suppression":
            case = self.shelf.quiet_case(name, alert)
        if case is None:
            return self._opened(name, alert)
        event = CaseEvent(alert.updated, WHO, "alert", _why(alert), subject=alert.id)
        return self._with(case, (*case.alerts, alert), alert, event)

    def _opened(self, name: str, alert: CaseAlert) -> Case:
        quiet = bool(alert.inhibited)
        value = risk.risk([alert], self.shelf.record(name))
        event = CaseEvent(alert.updated, WHO, "closed" if quiet else "opened", _why(alert), subject=alert.id)
        return Case(
            id=stable_id(name, alert.id),
            revision=0,
            instrument=alert.instrument,
            neighbourhood=name,
            instruments=(alert.instrument,),
            state="closed" if quiet else "new",
            disposition=QUIET if quiet else "",
            closed=alert.updated if quiet else "",
            risk=value,
            priority=risk.priority(value),
            opened=alert.updated,
            updated=alert.updated,
            alerts=(alert,),
            history=(event,),
        )

    def _updated(self, case: Case, before: CaseAlert, alert: CaseAlert) -> Case:
        """The case with an alert's later revision. Only what somebody should know of becomes a step of its history."""
        alerts = tuple(alert if each.id == alert.id else each for each in case.alerts)
        events = []
        if alert.severity != before.severity:
            why = f"{before.severity} to {alert.severity}"
            events.append(CaseEvent(alert.updated, WHO, "alert_severity", why, subject=alert.id))
        if alert.state == "closed" != before.state:
            events.append(CaseEvent(alert.updated, WHO, "alert_closed", subject=alert.id))
        return self._with(case, alerts, alert, *events)

    def _with(self, case: Case, alerts: tuple[CaseAlert, ...], alert: CaseAlert, *events: CaseEvent) -> Case:
        """The case with changed alerts: who is quiet, what the risk is, and whether work on it starts again."""
        ceiling = self.shelf.ceiling(case)
        alerts = inhibition.judged(alerts, self._settings.inhibit_s)
        value = risk.risk(alerts, self.shelf.record(case.neighbourhood, case.id))
        louder = risk.highest(alerts) > ceiling
        raises = not next(each for each in alerts if each.id == alert.id).inhibited
        again: dict[str, object] = {}
        if case.state == "closed" and louder:
            again = {"state": "reopened", "disposition": ""}
            why = "an alert is more severe than any was when the case was closed"
            events = (*events, CaseEvent(alert.updated, WHO, "reopened", why, subject=alert.id))
        joined = len(alerts) > len(case.alerts)
        if case.closing is not None and (louder or (joined and raises)):
            again = {"closing": None}
            why = "an alert came that whoever wanted to close the case had not seen"
            events = (*events, CaseEvent(alert.updated, WHO, "close_withdrawn", why, subject=alert.id))
        told = msgspec.structs.replace(
            case,
            alerts=alerts,
            instruments=tuple(dict.fromkeys(each.instrument for each in alerts)),
            risk=value,
            priority=risk.priority(value),
            **again,
        )
        return transitions.stepped(told, alert.updated, *events)

    def _command(self, command: CaseCommand) -> list[Output]:
        if bytes.fromhex(command.id) in self._answered:
            return []
        case, at = command.case, command.at
        try:
            at = moment(at)
            command = msgspec.structs.replace(command, at=at)
            _check_text(command)
            done = self._rule(command) if command.action in suppressing.ACTIONS else self._case(command)
        except (RefusedError, ValueError) as refusal:
            known = self.shelf.cases.get(case)
            revision = -1 if known is None else known.revision
            return [
                CaseAnswer(command=command.id, case=case, accepted=False, reason=str(refusal), revision=revision, at=at)
            ]
        return [done, CaseAnswer(command=command.id, case=case, accepted=True, revision=done.revision, at=at)]

    def _case(self, command: CaseCommand) -> Case:
        case = self.shelf.cases.get(command.case)
        if case is None:
            raise RefusedError(f"there is no case {command.case}" if command.case else "the command names no case")
        return transitions.changed(case, command)

    def _rule(self, command: CaseCommand) -> Suppression:
        if command.action == "suppress":
            known = command.suppression is not None and command.suppression.id in self.rules
            return suppressing.proposed(command, known)
        rule = self.rules.get(command.subject)
        if rule is None:
            raise RefusedError(
                f"there is no rule {command.subject}" if command.subject else "the command names no rule"
            )
        act = suppressing.approved if command.action == "approve_suppression" else suppressing.ended
        return act(rule, command)


def _check_text(command: CaseCommand) -> None:
    """No store keeps a NUL within a text, and nobody is nobody's account."""
    rule = command.suppression
    told = [command.who, command.why, command.owner, command.subject]
    if rule is not None:
        told += [rule.owner, rule.reason, rule.scenario, rule.instrument, rule.venue, rule.below]
    if any("\0" in text for text in told):
        raise RefusedError("a text holds a NUL character")
    if not command.who.strip():
        raise RefusedError("a command needs an account")


def _seen(alert: Alert) -> CaseAlert:
    """What a case keeps of an alert. ContractError where its times or its instrument are none."""
    if not is_instrument_id(alert.instrument):
        raise ContractError("malformed_instrument", f"{alert.instrument!r} is not an instrument id")
    try:
        onset, decided, updated = (moment(time) for time in (alert.onset, alert.decided, alert.updated))
    except ValueError as error:
        raise ContractError("malformed_message", str(error)) from error
    return CaseAlert(
        id=alert.id,
        revision=alert.revision,
        scenario=alert.scenario,
        instrument=alert.instrument,
        severity=alert.severity,
        score=alert.score,
        state=alert.state,
        onset=onset,
        decided=decided,
        updated=updated,
        probability=alert.probability,
    )


def _why(alert: CaseAlert) -> str:
    """What a step of the history says of an alert that came."""
    told = f"{alert.scenario}, {alert.severity}"
    return f"{told}; quiet by {alert.inhibition}" if alert.inhibition else told
