"""Paper trading as the live view shows it: counts, result, the newest actions and fills."""

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.demo.trading import TradingState
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
