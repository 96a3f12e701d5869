"""The live view: rates, lag, newest scores, episodes found and alerts, on a terminal or as plain lines.

Paper trading as the live view shows it: counts, result, the newest actions and fills.
"""

from types import TracebackType
from typing import TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.demo import labels
from infra.demo.follow import Follower, TailReader
from infra.demo.front import Front
from infra.demo.gauges import Gauges, TradingState
from infra.demo.labels import Verdict
from infra.demo.plan import Plan
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.messages import Alert
from tapewatch.logs import printable
from tapewatch.rfc3339 import from_rfc3339

ROWS = 4


def panel(content: RenderableType, title: str) -> Panel:
    """A box of the view."""
    return Panel(content, title=title, title_align="left", border_style="bright_black", box=box.ROUNDED, padding=(0, 1))


def result_of(trading: TradingState) -> Text:
    """Profit and loss by currency."""
    told = Text()
    for currency, amount in trading.result.items():
        told.append(f"{amount:+,.2f} {currency} ", style="green" if amount >= 0 else "red")
    return told if told.plain else Text("none", style="dim")


def trading_panel(signals: int, trading: TradingState | None, lag: int) -> Panel:
    """Counts, then the newest actions and fills, by time. lag : market frames that the broker has not used yet"""
    if trading is None:
        return panel(Text("not started yet", style="dim"), "paper trading")
    asked = f"{signals:,} signals, {len(trading.orders):,} orders ({len(trading.standing):,} open)"
    done = f"{trading.fills:,} fills, {trading.open_positions:,} positions, lag {lag:,}"
    result = Text("P&L ", style="bold", no_wrap=True).append(result_of(trading))
    lines = Group(Text(asked, no_wrap=True), Text(done, style="dim", no_wrap=True), result, _newest(trading))
    return panel(lines, "paper trading")


def _newest(trading: TradingState) -> Table:
    """The newest actions and fills."""
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    actions = [(each.ts, f"signal {each.action}", each.instrument, "") for each in list(trading.actions)]
    fills = [
        (each.at, f"{each.side} {each.qty:,.8g}", each.instrument, f"at {each.price:,.8g}")
        for each in list(trading.executions)
    ]
    for at, what, instrument, price in sorted(actions + fills, key=lambda row: from_rfc3339(row[0]))[: -ROWS - 1 : -1]:
        table.add_row(Text(at[11:19], style="dim"), what, printable(f"{instrument} {price}"))
    return table


FRAME_NS = NANOS // 4
LINE_NS = 2 * NANOS
RATE_NS = 2 * NANOS
LIVE_S = 3.0
"""A market whose clock is at most this far behind the wall clock is live, s."""

_COLOURS = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}


class Rates:
    """Rows a second over the last seconds, by stage."""

    def __init__(self) -> None:
        self.now: dict[str, float] = {}
        self._past: list[tuple[int, dict[str, int]]] = []

    def note(self, counts: dict[str, int]) -> None:
        """Take note of counts that only grow."""
        now = WALL.elapsed()
        self._past.append((now, counts))
        while len(self._past) > 2 and self._past[1][0] < now - RATE_NS:
            self._past.pop(0)
        then, before = self._past[0]
        seconds = max((now - then) / NANOS, 1e-3)
        self.now = {name: (count - before[name]) / seconds for name, count in counts.items()}


class State:
    """What there is to show of a running demo."""

    def __init__(
        self, plan: Plan, is_recording: bool, seconds: int, seen: Follower, gauges: Gauges, begun_ns: int
    ) -> None:
        self.plan, self.is_recording, self.seconds = plan, is_recording, seconds
        self.seen, self.gauges = seen, gauges
        self.trading: TradingState | None = None
        self.behind: TailReader | None = None
        self.front: Front | None = None
        self.is_draining = False
        self.rates = Rates()
        self._begun_ns = begun_ns

    @property
    def age_s(self) -> float:
        """Time since the demo's start, s."""
        return (WALL.elapsed() - self._begun_ns) / NANOS

    @property
    def is_live(self) -> bool:
        """Whether the engine has come close to the wall clock; a recording never is live."""
        return not self.is_recording and WALL.now() - self.seen.clock_ns < LIVE_S * NANOS

    @property
    def phase(self) -> str:
        """What is going on."""
        if self.is_draining:
            return "draining"
        if not self.seen.clock_ns:
            return "starting"
        if self.is_recording:
            return "replaying"
        return "live" if self.is_live else "warming up"

    @property
    def rows_in_per_s(self) -> float:
        """Rows a second that come in: frames are counted, and have as many rows as those that the engine takes now."""
        now, used = self.rates.now, max(self.seen.frames, 1)
        size = now["engine"] / now["used"] if now["used"] else self.seen.rows.total() / used
        return now["frames"] * size

    @property
    def rows_kept(self) -> int:
        """Rows in PostgreSQL."""
        return sum(self.gauges.inserted.values())

    def judge(self) -> Verdict:
        """Alerts so far against the labels so far."""
        alerts = list(self.seen.alerts.values())
        injected, likes = labels.read(self.plan.labels), labels.read(self.plan.look_alikes)
        return labels.judge(alerts, injected, likes, self.seen.clock_ns)


class Screen:
    """Shows a state on a terminal, four times a second, or writes lines elsewhere."""

    def __init__(self, stream: TextIO, state: State) -> None:
        self.state = state
        self._console = Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._next_ns = 0
        self._said: set[str] = set()
        self._has_told_console = False

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live = Live(console=self._console, screen=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def refresh(self) -> None:
        """Show what there is, when it is time."""
        now = WALL.elapsed()
        if now < self._next_ns:
            return
        state = self.state
        seen, frames = state.seen, state.gauges.produced
        counts = {"engine": seen.rows.total(), "used": seen.frames, "kept": state.rows_kept, "frames": frames}
        state.rates.note(counts)
        if self._live is not None:
            self._next_ns = now + FRAME_NS
            self._live.update(_page(state, self._console.size.width, self._console.size.height), refresh=True)
        else:
            self._next_ns = now + LINE_NS
            self._lines()

    def _lines(self) -> None:
        """A line of figures, and one for each new alert."""
        state = self.state
        self._console.print(Text(_line(state)), soft_wrap=True)
        if not self._has_told_console and state.front is not None and state.front.look():
            self._has_told_console = True
            self._console.print(Text(f"  {state.front.told()}"), soft_wrap=True)
        for alert in list(state.seen.alerts.values()):
            if alert.id not in self._said:
                self._said.add(alert.id)
                self._console.print(
                    Text(f"  alert {alert.decided[11:19]} {alert.severity:<8} ") + _said(alert), soft_wrap=True
                )


def _line(state: State) -> str:
    rates, gauges, seen = state.rates.now, state.gauges, state.seen
    parts = [
        f"{state.age_s:4.0f} s {state.phase:<10}",
        f"in ~{state.rows_in_per_s:,.0f} rows/s",
        f"engine {rates['engine']:,.0f} rows/s, lag {gauges.engine_lag:,}",
        f"postgres {rates['kept']:,.0f} rows/s, lag {gauges.sink_lag:,}",
        f"{seen.scores:,} scores",
        f"{len(seen.alerts)} alerts",
        f"{seen.signals:,} signals",
    ]
    trading = state.trading
    if trading is not None:
        parts.append(
            f"paper {len(trading.orders)} orders, {trading.fills} fills, P&L {result_of(trading).plain.strip()}"
        )
    if not state.is_recording:
        pumps = state.judge().episodes.get("pump_and_dump")
        parts += [f"pumps found {pumps.detected} of {pumps.injected}"] if pumps else []
    return " · ".join(parts)


def _said(alert: Alert) -> Text:
    """Scenario and sentence. The instrument stands in the sentence."""
    return Text(f"{alert.scenario}  {printable(alert.sentence)}")


def _page(state: State, width: int, height: int) -> RenderableType:
    """The whole screen."""
    roomy = height >= 32
    top = 13 if roomy else 7
    page = Layout()
    parts = [Layout(_header(state), size=1, name="header"), Layout(name="top", size=top)]
    if state.front is not None and state.front.look():
        parts.insert(1, Layout(Text(f" {state.front.told()}", style="bold", no_wrap=True), size=1, name="console"))
    parts.append(Layout(size=9, name="middle"))
    parts.append(Layout(_alerts(state, width, roomy), name="alerts"))
    page.split_column(*parts)
    page["top"].split_row(Layout(_flow(state), ratio=1), Layout(_scores(state, top - 3), ratio=1))
    trading = Layout(trading_panel(state.seen.signals, state.trading, state.gauges.paper_lag), ratio=1)
    page["middle"].split_row(*([] if state.is_recording else [Layout(_episodes(state), ratio=1)]), trading)
    return page


def _header(state: State) -> Text:
    limit = f" of {state.seconds} s live" if state.seconds else ""
    line = Text(" tapewatch ", style="bold black on cyan")
    line.append(f" {state.plan.feed}", style="bold")
    line.append(f"  {state.plan.instruments} instruments  {state.age_s:.0f} s{limit}  ")
    line.append(state.phase, style="bold green" if state.phase == "live" else "yellow")
    line.append("   Ctrl-C ends", style="dim")
    line.no_wrap = True
    return line


def _flow(state: State) -> Panel:
    """Rates and lag of every stage."""
    seen, gauges, rates = state.seen, state.gauges, state.rates.now
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("stage", style="bold")
    for title in ("rows/s", "rows", "lag"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row("in", f"~{state.rows_in_per_s:,.0f}", "", "")
    table.add_row("engine", f"{rates['engine']:,.0f}", _short(seen.rows.total()), _lag(gauges.engine_lag))
    table.add_row("postgres", f"{rates['kept']:,.0f}", _short(state.rows_kept), _lag(gauges.sink_lag))
    refused, told = seen.refused.total(), Text(no_wrap=True, overflow="ellipsis")
    told.append(f"{refused:,} refused", style="red" if refused else "dim")
    told.append(f", {seen.duplicates:,} repeated, ", style="dim")
    told.append(f"{_short(seen.features)} features", style="dim")
    return panel(Group(table, told), "rates and lag (frames)")


def _lag(frames: int) -> Text:
    return Text(f"{frames:,}", style="green" if frames < 100 else "yellow")


def _short(count: int) -> str:
    """A count in at most six characters."""
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e4 else f"{count:,}"


def _scores(state: State, rows: int) -> Panel:
    """The instruments with the highest of the newest scores."""
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("instrument", style="bold", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("prob", justify="right")
    table.add_column("raw", justify="right")
    for score in state.seen.top_scores(rows):
        high = "red" if score.probability >= 0.9 else "yellow" if score.probability >= 0.5 else ""
        probability = Text(f"{score.probability:.3f}" if score.probability == score.probability else "-", style=high)
        table.add_row(printable(score.instrument), score.detector, probability, f"{score.raw:.2f}")
    if not table.row_count:
        return panel(Text("none yet", style="dim"), "newest scores")
    return panel(table, "newest scores, highest first")


def _episodes(state: State) -> Panel:
    """Injected episodes and what became of them."""
    verdict = state.judge()
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("injected", style="bold", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("detected", no_wrap=True)
    table.add_column("anomaly", justify="right")
    for name, found in verdict.episodes.items():
        table.add_row(name, str(found.injected), _detected(found), str(found.anomalies))
    alike = sum(like.injected for like in verdict.look_alikes.values())
    alerted = sum(like.alerted for like in verdict.look_alikes.values())
    news = verdict.look_alikes.get("news_jump", labels.LookAlike())
    pumps = verdict.false_alerts.get("pump_and_dump", 0)
    told = Text(f"look-alikes {alike}, alerted {alerted} (news {news.alerted} of {news.injected})")
    told.append(f" · false alerts {sum(verdict.false_alerts.values())}, of pumps {pumps}")
    told.no_wrap = True
    return panel(Group(table, told), "recall against the labels so far")


def _detected(found: labels.DetectionCounts) -> Text:
    return Text(f"{found.detected} of {found.injected}  ({100 * found.detected / found.injected:.0f} %)", style="green")


def _alerts(state: State, width: int, roomy: bool) -> Panel:
    """Alerts, the newest first."""
    alerts = list(state.seen.alerts.values())
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), show_edge=False, show_header=False)
    table.add_column("time", no_wrap=True, style="dim")
    table.add_column("severity", no_wrap=True)
    table.add_column("sentence", no_wrap=not roomy, overflow="ellipsis" if not roomy else "fold", ratio=1)
    for alert in reversed(alerts[-12:]):
        sentence = Text(f"{alert.scenario} ", style="bold").append(printable(alert.sentence), style="not bold")
        table.add_row(alert.decided[11:19], Text(alert.severity, style=_COLOURS[alert.severity]), sentence)
    return panel(table, f"alerts ({len(alerts)})")
