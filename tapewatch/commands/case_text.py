"""Cases and suppression rules as lines for a terminal."""

from collections.abc import Iterable

from tapewatch.contract.messages import Case, CaseAlert, Suppression
from tapewatch.logs import printable as plain


def _time(text: str) -> str:
    """To the second."""
    return f"{text[:10]} {text[11:19]}"


def _names(case: Case) -> str:
    return plain(", ".join(case.instruments))


def queue(cases: Iterable[Case]) -> str:
    """A line a case."""
    lines = [f"{'case':<9}{'P':>2}{'risk':>7}  {'state':<10}{'owner':<12}{'alerts':>6}  {'opened':<20} instruments"]
    for case in cases:
        waits = " (close waits)" if case.closing else ""
        lines.append(
            f"{case.id[:8]:<9}{case.priority:>2}{case.risk:>7.1f}  {case.state:<10}{plain(case.owner)[:11]:<12}"
            f"{len(case.alerts):>6}  {_time(case.opened):<20} {_names(case)}{waits}"
        )
    return "\n".join(lines)


def one(case: Case) -> str:
    """All there is to say of a case."""
    outcome = f", {case.disposition}" if case.disposition else ""
    lines = [
        f"case {case.id}, revision {case.revision}: {case.state}{outcome}",
        f"{plain(case.neighbourhood)}: {_names(case)}",
        f"priority {case.priority}, risk {case.risk:.1f}, owner {plain(case.owner) or 'nobody'}",
    ]
    if case.closing:
        lines.append(f"{plain(case.closing.who)} wants to close it as {case.closing.disposition}: approve or reject")
    lines += ["", "alerts:", *(_alert(alert) for alert in case.alerts), "", "history:"]
    lines += [
        f"  {_time(step.at)}  {plain(step.who)}: {step.action}{_with(step.subject)}{_with(step.why)}"
        for step in case.history
    ]
    return "\n".join(lines)


def _with(text: str) -> str:
    return f"  {plain(text)}" if text else ""


def _alert(alert: CaseAlert) -> str:
    quiet = f"  quiet: {alert.inhibition} {alert.inhibited[:8]}" if alert.inhibited else ""
    named = plain(f"{alert.scenario} {alert.instrument}  {alert.severity}")
    return (
        f"  {alert.id[:8]}  {_time(alert.decided)}  {named} {alert.score:.0f}  "
        f"{plain(alert.state)}, revision {alert.revision}{quiet}"
    )


def rules(found: Iterable[Suppression]) -> str:
    """A line a rule."""
    lines = [f"{'rule':<9}{'state':<10}{'from':<20} {'to':<20} {'owner':<12}{'approved by':<12} what and why"]
    for rule in found:
        scope = [each for each in (rule.scenario, rule.instrument, rule.venue) if each]
        below = f" below {rule.below}" if rule.below else ""
        lines.append(
            f"{rule.id[:8]:<9}{rule.state:<10}{_time(rule.starts):<20} {_time(rule.expires):<20} "
            f"{plain(rule.owner)[:11]:<12}{plain(rule.approved_by)[:11]:<12} "
            f"{plain(' '.join(scope))}{below}: {plain(rule.reason)}"
        )
    return "\n".join(lines)
