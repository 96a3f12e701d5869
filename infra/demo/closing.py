"""The summary as a person reads it."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.demo.summary import Latency, Summary
from tapewatch.logs import printable

_LISTED = 8


def told(summary: Summary, keep: bool) -> RenderableType:
    """All of it on one screen. keep : the stack has been left running."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _facts(summary):
        table.add_row(name, value)
    stack = "runs on: tapewatch down" if keep else "is stopped, its data kept: tapewatch up"
    title = Text(f"{summary.topic}, {summary.seconds:.0f} s", style="bold cyan")
    return Group(title, table, *_gravest(summary), _next(summary, stack))


def _facts(summary: Summary) -> list[tuple[str, Text]]:
    """Name and value of each line."""
    first = "none" if summary.first_score_s is None else f"after {summary.first_score_s:.1f} s"
    facts = [
        ("rows in", Text(_counts(summary.rows_in))),
        ("refused", Text(_counts(summary.refused))),
        ("rows in PostgreSQL", Text(_counts(summary.tables) + ("" if summary.counted else " (about)"))),
        ("alerts", _alerts(summary)),
    ]
    for name, found in summary.episodes.items():
        fared = f"{found.injected} injected, {found.detected} detected, {found.anomalies} with an anomaly"
        facts.append((f"  {name}", Text(fared)))
    for name, like in summary.look_alikes.items():
        facts.append((f"  {name}", Text(f"{like.injected} look-alikes, {like.alerted} alerted", style="dim")))
    if summary.false_alerts is not None:
        facts.append(("false alerts", Text(_counts(summary.false_alerts_by_scenario))))
    facts.append(
        ("alert latency", Text(f"live: {_latency(summary.latency_live_ms)}; all: {_latency(summary.latency_ms)}"))
    )
    facts.append(("first score", Text(first)))
    facts.append(("paper trading", Text(_traded(summary))))
    for name, fed in summary.live_sources.items():
        ended = "" if fed.ended else ", did not end in order"
        facts.append((f"  {name}", Text(f"{_counts(fed.counts)}, {fed.gaps} gaps, {fed.refused} refused{ended}")))
    if summary.live_sources:
        facts.append(("live alerts", Text(_counts(summary.live_alerts))))
    if summary.duplicates:
        facts.append(("seen before", Text(f"{summary.duplicates:,} frames, which add nothing")))
    return facts


def _traded(summary: Summary) -> str:
    result = ", ".join(f"{amount:+,.2f} {currency}" for currency, amount in summary.paper_pnl.items())
    return f"{summary.signals:,} signals, {summary.orders:,} orders, {summary.fills:,} fills, result {result or 'none'}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "none"


def _alerts(summary: Summary) -> Text:
    text = Text(f"{summary.alerts_in_topic} in the topic, {summary.alerts_in_postgres} in PostgreSQL, ")
    if summary.alert_ids_equal is None:
        return text.append("ended before all was kept", style="yellow")
    if summary.alert_ids_equal:
        return text.append("the same ids", style="green")
    return text.append(f"DIFFERENT: {', '.join(summary.differing[:_LISTED])}", style="bold red")


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "none"
    return f"p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms, max {latency.max:.0f} ms of {latency.alerts}"


def _gravest(summary: Summary) -> list[Text]:
    """The alerts with the highest scores, a line each, in the order of time."""
    chosen = sorted(summary.alerts, key=lambda alert: -alert.score)[:_LISTED]
    lines = []
    for alert in sorted(chosen, key=lambda alert: alert.decided):
        line = Text(f"{alert.decided[:19]}Z {alert.severity:<8} ", style="dim", no_wrap=True, overflow="ellipsis")
        lines.append(line.append(printable(alert.sentence), style="not dim"))
    return lines


def _next(summary: Summary, stack: str) -> Text:
    """What can be done now."""
    text = Text(f"The stack {stack} (data: {summary.data}). Prove an alert with the stack up:\n")
    return text.append(f"  {summary.verify}", style="bold")
