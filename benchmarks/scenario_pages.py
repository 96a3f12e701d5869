"""Fills the generated parts of docs/scenarios (tables of parameters, figures of measured rates) and draws a true case
of each scenario: `python -m benchmarks.scenario_pages --check|--write`.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import account_controls, control_market, scenario_controls
from benchmarks.scenario_controls import Series, picture
from detectors.scenarios import cross
from detectors.scenarios import observation as at
from detectors.scenarios.accounts.ring import NANOS
from detectors.scenarios.accounts.watch import ACCOUNTS, create, on_trade
from detectors.scenarios.library import ENGINE
from tapewatch import generated
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.contract.rows import RowType

MODULE = "benchmarks.scenario_pages"
DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES, IMAGES = DOCS / "scenarios", DOCS / "images" / "scenarios"
RATES = DOCS / "results" / "scenario-rates.json"
ANOMALIES = ("kmeans_anomaly", "fused_anomaly")
_PARAMETER = re.compile(r"^\s*([a-z_0-9]+) : (.+?) \(([^()]+)\)$", re.MULTILINE)


def modules() -> list[ModuleType]:
    """Every scenario whose page is kept here."""
    return [*(module for module in ENGINE if module.NAME in scenario_controls.TRUE), *ACCOUNTS, cross]


def parameters(module: ModuleType) -> str:
    """The table of a scenario's parameters; ValueError where a docstring leaves one out."""
    shipped = module.Parameters()
    kinds = [kind for kind in reversed(type(shipped).__mro__) if kind.__module__.startswith("detectors.")]
    docs = "\n".join(kind.__doc__ or "" for kind in kinds)
    meant = {name: (meaning, unit) for name, meaning, unit in _PARAMETER.findall(docs)}
    if list(meant) != list(shipped.__struct_fields__):
        raise ValueError(f"{module.NAME}: the docstring names {list(meant)}, not {list(shipped.__struct_fields__)}")
    lines = ["| parameter | unit | default | meaning |", "|---|---|--:|---|"]
    for name, (meaning, unit) in meant.items():
        lines.append(f"| `{name}` | {unit} | {f'{getattr(shipped, name):.6f}'.rstrip('0').rstrip('.')} | {meaning} |")
    return "\n".join(lines)


def rates(name: str) -> str:
    """What was measured of a scenario."""
    result = json.loads(RATES.read_text(encoding="utf-8"))
    found: dict[str, Any] = result["scenarios"][name]
    recall, false = found["recall"], found["false_alerts_per_instrument_hour"]
    lines = [
        f"`{result['command']}`: {found['detected']} of {found['episodes']} injected episodes alert "
        f"({recall['mean']:.0%}, 95 % interval {recall['low']:.0%} to {recall['high']:.0%}); {found['false_alerts']} "
        f"false alerts in {found['instrument_hours']:.0f} instrument-hours ({false['mean']:.3f} an hour, "
        f"{false['low']:.3f} to {false['high']:.3f}); median delay {found['median_delay_s']:.0f} s.",
        "",
        found["injected"],
    ]
    return "\n".join(lines)


def filled(text: str, mark: str, content: str) -> str:
    """The page with what stands between a mark and its end replaced."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    if begin not in text:
        return text
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"


def page(module: ModuleType) -> str:
    """A scenario's page with its generated parts as they should be."""
    text = filled((PAGES / f"{module.NAME}.md").read_text(encoding="utf-8"), "parameters", parameters(module))
    return filled(text, "rates", rates(module.NAME)) if "<!-- rates -->" in text and RATES.exists() else text


def engine_pictures() -> dict[str, str]:
    """True cases of the engine's scenarios: mid or spread, volume, and the alert."""
    markets = {
        scenario_controls.instrument(name, True): market
        for name in scenario_controls.TRUE
        for market in [scenario_controls.market(name, True)]
    }
    driver = control_market.run(markets)
    alerts = [messages.decode(Alert, record.value) for record in driver.collect()[topics.ALERTS]]
    shown = {name: name for name in scenario_controls.TRUE} | dict.fromkeys(ANOMALIES, "pump_and_dump")
    return {name: _engine_picture(name, control, alerts) for name, control in shown.items()}


def _engine_picture(name: str, control: str, alerts: Sequence[Alert]) -> str:
    own, market = scenario_controls.instrument(control, True), scenario_controls.market(control, True)
    alert = next(each for each in alerts if each.scenario == name and each.instrument == own)
    onset, decided = (from_rfc3339(when) / NANOS - control_market.START for when in (alert.onset, alert.decided))
    span = 1100 if name == "squeeze" else 240
    first = max(0, int(decided) - span)
    last = min(control_market.SECONDS, int(decided) + span // 2)
    seconds = np.arange(first, last)
    trades = next(rows for rows in market.rows(own) if rows.type == RowType.TRADE).columns
    at_second = trades["ts_recv"] // NANOS - control_market.START
    volume = np.bincount(at_second, trades["qty"], control_market.SECONDS)[first:last]
    top = {
        "excessive_spread": Series("spread, basis points", seconds, market.spread[first:last]),
        "unusual_order_size": Series("largest bid level, units", seconds, (market.bids + market.wall)[first:last]),
    }.get(name, Series("mid price", seconds, 100.0 * np.exp(market.mids()[first:last])))
    if name in ("unusual_price", "sweeping"):
        near = (at_second >= first) & (at_second < last)
        times = (trades["ts_recv"][near] / NANOS) - control_market.START
        top = Series("trade price", times, trades["price"][near], dots=True)
    return picture([top, Series("volume a second, units", seconds, volume, bars=True)], (onset, decided), name)


def account_picture(name: str) -> str:
    """Trades of a crowd, with those of the case marked, and the first hit."""
    crowd, case = account_controls.TRUE[name]
    bit, ring, hit = 1 << [module.NAME for module in ACCOUNTS].index(name), create(), 0.0
    for when, price, qty, buyer, seller in sorted([*crowd, *case]):
        if on_trade(ring, int(when * NANOS), price, qty, buyer, seller) & bit and not hit:
            hit = when
    series = [
        _dots("price of the crowd's trades", crowd),
        _dots("price of the case's trades", case),
    ]
    return picture(series, (case[0][0], hit), name)


def _dots(title: str, trades: Sequence[account_controls.Trade]) -> Series:
    times, prices = (np.array([trade[place] for trade in sorted(trades)]) for place in (0, 1))
    return Series(title, times, prices, dots=True)


def cross_picture() -> str:
    """Paths of the two markets, log returns in percent."""
    first, second = account_controls.pushed_and_follower()
    seconds = np.arange(len(first))
    series = [
        Series("pushed market, %", seconds, 100.0 * np.cumsum(first[:, at.RET_1S])),
        Series("follower, %", seconds, 100.0 * np.cumsum(second[:, at.RET_1S])),
    ]
    return picture(series, (30.0, 80.0), cross.NAME)


def pictures() -> dict[str, str]:
    """Scenario -> SVG."""
    found = engine_pictures() | {module.NAME: account_picture(module.NAME) for module in ACCOUNTS}
    return found | {cross.NAME: cross_picture()}


def main(words: list[str] | None = None) -> int:
    """Check the pages' tables, or write them and the pictures; 1 where --check finds one out of step."""
    args = generated.options(MODULE, "Generated parts of the scenario pages.").parse_args(words)
    code = generated.settle({PAGES / f"{module.NAME}.md": page(module) for module in modules()}, MODULE, args.write)
    if args.write:
        IMAGES.mkdir(parents=True, exist_ok=True)
        for name, drawn in pictures().items():
            (IMAGES / f"{name}.svg").write_text(drawn, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
