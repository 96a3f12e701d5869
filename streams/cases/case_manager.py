"""The rules of cases without a broker: alerts and commands go in, cases, answers and suppressions come out.

No clock but the messages' own times. What was taken before changes nothing: an alert's revision that its case has
seen, a command that was answered. The whole state is in what came out, so that `recall` of that makes the same desk.

Which instruments belong together: those of one base asset, and an equity with what is derived from it.

The rule, in this order. A symbol's product suffix (`-PERP`, `-F202612`) and leading multiplier (`1000PEPE`) go. A
coin's symbol is split into base and quote asset: at the dash, where Upbit alone writes the quote first, or at the
currency that it ends with; what remains is the base asset, the same on every venue. Everything else is its symbol up
to the first dash, within its currency, so that a ticker of another country is another neighbourhood; where no reference
data says the currency, within its venue.

All cases, and the one that a new alert belongs to: by neighbourhood and time, by cooldown, by suppression.
"""

import re
from collections.abc import Mapping

import msgspec

from streams.cases import inhibition, risk, suppression, transitions
from streams.cases.risk import CONFIRMED, DISMISSED, Record, highest
from streams.cases.transitions import RefusedError, moment
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.messages import (
    Alert,
    Case,
    CaseAlert,
    CaseAnswer,
    CaseCommand,
    CaseEvent,
    Suppression,
    stable_id,
)
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings.delivery import CaseSettings

QUIET = "suppressed"
"""Disposition of a case in which no alert ever raised anybody."""


class CaseIndex:
    """Cases by id, with what finds them again."""

    def __init__(self, settings: CaseSettings) -> None:
        self._settings = settings
        self.cases: dict[str, Case] = {}
        self._of_alert: dict[str, str] = {}
        self._open: dict[str, dict[str, None]] = {}
        self._closed: dict[str, dict[str, str]] = {}
        self._cooling: dict[tuple[str, str], str] = {}
        self._quiet: dict[str, str] = {}
        self._at_close: dict[str, int] = {}

    def put(self, case: Case) -> None:
        """Take up a case's newest revision."""
        self.cases[case.id] = case
        for alert in case.alerts:
            self._of_alert[alert.id] = case.id
        works = self._open.setdefault(case.neighbourhood, {})
        outcomes = self._closed.setdefault(case.neighbourhood, {})
        if case.state != "closed":
            works[case.id] = None
            outcomes.pop(case.id, None)
            self._at_close.pop(case.id, None)
            return
        self._at_close.setdefault(case.id, highest(case.alerts))
        works.pop(case.id, None)
        outcomes[case.id] = case.disposition
        if case.disposition == QUIET:
            self._quiet[case.neighbourhood] = case.id
            return
        for alert in case.alerts:
            key = (alert.scenario, alert.instrument)
            held = self.cases.get(self._cooling.get(key, ""))
            if held is None or held.closed <= case.closed:
                self._cooling[key] = case.id

    def ceiling(self, case: Case) -> int:
        """Rank of the highest severity that raised somebody: at the close of a closed case, else now; -1 for none."""
        return self._at_close.get(case.id, highest(case.alerts))

    def of_alert(self, alert: str) -> Case | None:
        """The case that holds an alert; None before it is in one."""
        return self.cases.get(self._of_alert.get(alert, ""))

    def record(self, name: str, beside: str = "") -> Record:
        """How the neighbourhood's closed cases came out, one of them left aside."""
        outcomes = [outcome for case, outcome in self._closed.get(name, {}).items() if case != beside]
        return Record(sum(each in CONFIRMED for each in outcomes), sum(each in DISMISSED for each in outcomes))

    def open_case(self, name: str, alert: CaseAlert) -> Case | None:
        """The case in work whose alerts lie nearest, within the window; the lowest id decides between equals."""
        found = []
        for each in self._open.get(name, {}):
            case = self.cases[each]
            gap = _gap(case, alert)
            if len(case.alerts) < self._settings.most_alerts and gap <= self._settings.window_s * NANOS:
                found.append((gap, each))
        return self.cases[min(found)[1]] if found else None

    def cooling(self, alert: CaseAlert) -> Case | None:
        """The closed case whose cooldown the alert falls into: of its scenario and instrument, decided within
        `cooldown_s` after the close, or after the newest revision of the case's alerts where the log's time is behind.
        """
        case = self.cases.get(self._cooling.get((alert.scenario, alert.instrument), ""))
        if case is None or case.state != "closed" or len(case.alerts) >= self._settings.most_alerts:
            return None
        decided, lasts = from_rfc3339(alert.decided), self._settings.cooldown_s * NANOS
        newest = max(each.updated for each in case.alerts)
        ends = (from_rfc3339(newest), from_rfc3339(case.closed))
        return case if any(0 <= decided - end <= lasts for end in ends) or _gap(case, alert) == 0 else None

    def quiet_case(self, name: str, alert: CaseAlert) -> Case | None:
        """The case of alerts that never raised anybody, within the window."""
        case = self.cases.get(self._quiet.get(name, ""))
        if case is None or case.state != "closed" or len(case.alerts) >= self._settings.most_alerts:
            return None
        return case if _gap(case, alert) <= self._settings.window_s * NANOS else None


def _gap(case: Case, alert: CaseAlert) -> int:
    """Nanoseconds between an alert's decision and the nearest of the case's alerts, from decided to updated; 0 within
    one.
    """
    at = from_rfc3339(alert.decided)
    return min(max(from_rfc3339(each.decided) - at, at - from_rfc3339(each.updated), 0) for each in case.alerts)


COIN_KINDS = ("spot", "perpetual")
QUOTE_FIRST = ("UPBIT",)
QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "GBP", "TRY", "KRW", "JPY", "BTC", "ETH", "BNB")
"""Quote assets by which a coin's symbol is cut where no reference data says its own; longer ones first."""

_PRODUCT = re.compile(r"-(PERP|SWAP|FUT|F?\d{4,8})$")
_MULTIPLIER = re.compile(r"^10{3,6}(?=[A-Z])")
_MIC = re.compile(r"[A-Z][A-Z0-9]{3}")


def neighbourhood(instrument: str, reference: Instrument | None) -> str:
    """The name of an instrument's neighbourhood: `coin:BTC`, `share:2330/TWD`, `share:2330.XTAI`.

    reference : the instrument's reference data; None where there is none
    """
    symbol, _, venue = instrument.rpartition(".")
    currency = reference.currency if reference else ""
    if _is_coin(venue, reference):
        return f"coin:{_base(_PRODUCT.sub('', symbol), venue, currency)}"
    root = symbol.partition("-")[0]
    return f"share:{root}/{currency}" if currency else f"share:{root}.{venue}"


def _is_coin(venue: str, reference: Instrument | None) -> bool:
    """By its kind; without reference data, by a venue that has no four-letter market identifier code."""
    return reference.kind in COIN_KINDS if reference else _MIC.fullmatch(venue) is None


def _base(symbol: str, venue: str, currency: str) -> str:
    """The base asset of a coin's symbol."""
    first, dash, second = symbol.partition("-")
    if dash:
        quote_first = venue in QUOTE_FIRST or (bool(currency) and first == currency)
        symbol = second if quote_first else first
    else:
        symbol = _cut(symbol, currency)
    return _MULTIPLIER.sub("", symbol)


def _cut(symbol: str, currency: str) -> str:
    """A symbol without the quote asset at its end."""
    for quote in ((currency,) if currency else ()) + QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote)
    return symbol


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
        rule = next((each for each in self.rules.values() if suppression.covers(each, alert)), None)
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
            done = self._rule(command) if command.action in suppression.ACTIONS else self._case(command)
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
            return suppression.proposed(command, known)
        rule = self.rules.get(command.subject)
        if rule is None:
            raise RefusedError(
                f"there is no rule {command.subject}" if command.subject else "the command names no rule"
            )
        act = suppression.approved if command.action == "approve_suppression" else suppression.ended
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
